#include "bench/cluster/report.h"

#include <cstdio>
#include <fstream>
#include <iomanip>

#include "tests/support/figures.h"

namespace holdfast::bench {

void PrintHead() {
  std::printf("%-24s %-20s %7s %11s %9s %9s %9s %8s %13s\n", "workload", "door", "clients",
              "per second", "p50 us", "p99 us", "pause ms", "cpu us", "x best peer");
}

void PrintRow(const Row& row, const Row* peer) {
  char ratio[32] = "";
  if (peer != nullptr)
    std::snprintf(ratio, sizeof(ratio), "%.2f", row.per_second / peer->per_second);
  char cpu[32] = "";
  char pause[32] = "";
  if (row.pause_ms > 0) std::snprintf(pause, sizeof(pause), "%.1f", row.pause_ms);
  if (row.cpu_us > 0) std::snprintf(cpu, sizeof(cpu), "%.1f", row.cpu_us);
  std::printf("%-24s %-20s %7d %11.0f %9.0f %9.0f %9s %8s %13s\n", row.workload.c_str(),
              row.door.c_str(), row.clients, row.per_second, row.p50_us, row.p99_us, pause, cpu,
              ratio);
  std::fflush(stdout);
}

const Row* PeerOf(const Row& row, const std::vector<Row>& peers) {
  const Row* best = nullptr;
  for (const Row& peer : peers) {
    if (peer.workload != row.workload || peer.clients != row.clients) continue;
    if (best == nullptr || peer.per_second > best->per_second) best = &peer;
  }
  return best;
}

void WriteCsv(const std::string& path, const std::vector<Row>& rows,
              const std::vector<Row>& peers) {
  std::ofstream out(path);
  out << "system,workload,door,clients,per_second,p50_us,p99_us,pause_ms,cpu_us,failed,"
         "entry_requests,sync_entries,sync_us,log_bytes,times_peer\n"
      << std::fixed << std::setprecision(1);
  for (const std::vector<Row>* part : {&peers, &rows}) {
    for (const Row& row : *part) {
      const Row* peer = part == &rows ? PeerOf(row, peers) : nullptr;
      out << row.system << ",\"" << row.workload << "\",\"" << row.door << "\"," << row.clients
          << ',' << row.per_second << ',' << row.p50_us << ',' << row.p99_us << ',' << row.pause_ms
          << ',' << row.cpu_us << ',' << row.failed << ',' << row.entry_requests << ','
          << row.sync_entries << ',' << row.sync_us << ',' << row.log_bytes << ',';
      if (peer != nullptr) out << std::setprecision(2) << row.per_second / peer->per_second;
      out << std::setprecision(1) << '\n';
    }
  }
}

void WriteDiskCsv(const std::string& path, const testing::ProcessCluster& cluster) {
  std::ofstream out(path);
  out << "node,requests,log_written_bytes,log_disk_bytes,store_disk_bytes\n"
      << std::fixed << std::setprecision(0);
  for (int node = 1; node <= cluster.size(); ++node) {
    const auto figures = testing::Figures::Of(cluster.host(node), cluster.http(node));
    out << node << ',' << figures.Get("holdfast_entry_requests_sum") << ','
        << figures.Get("holdfast_log_written_bytes_total") << ',' << DiskBytes(cluster, node, "log")
        << ',' << DiskBytes(cluster, node, "store") << '\n';
  }
}

}  // namespace holdfast::bench
