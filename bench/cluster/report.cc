#include "bench/cluster/report.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <fstream>
#include <iomanip>
#include <set>

namespace holdfast::bench {
namespace {

std::string Label(const Row& row) { return row.door + ", " + std::to_string(row.clients); }

// Horizontal bars with their numbers; no scripts, no fonts to load.
void WriteBars(const std::string& path, const std::string& title, const std::vector<Row>& rows) {
  constexpr int kLeft = 190, kBar = 22, kTop = 48, kWidth = 860, kNumber = 110;
  double most = 1;
  for (const Row& row : rows) most = std::max(most, row.per_second);
  std::ofstream out(path);
  const int height = kTop + static_cast<int>(rows.size()) * (kBar + 6) + 12;
  out << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << kWidth << "\" height=\"" << height
      << "\" font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" "
         "fill=\"white\"/>\n<text x=\"12\" y=\"26\" font-size=\"16\">"
      << title << "</text>\n";
  int y = kTop;
  for (const Row& row : rows) {
    const int width = static_cast<int>(row.per_second / most * (kWidth - kLeft - kNumber));
    out << "<text x=\"" << kLeft - 8 << "\" y=\"" << y + 16 << "\" text-anchor=\"end\">"
        << Label(row) << "</text>\n<rect x=\"" << kLeft << "\" y=\"" << y << "\" width=\"" << width
        << "\" height=\"" << kBar << "\" fill=\""
        << (row.system == "holdfast" ? "#2b6cb0" : "#a0aec0") << "\"/>\n<text x=\""
        << kLeft + width + 6 << "\" y=\"" << y + 16 << "\">" << static_cast<long>(row.per_second)
        << "</text>\n";
    y += kBar + 6;
  }
  out << "</svg>\n";
}

std::vector<Row> Only(const std::vector<Row>& rows, const std::string& workload) {
  std::vector<Row> some;
  for (const Row& row : rows) {
    if (row.workload == workload) some.push_back(row);
  }
  return some;
}

}  // namespace

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
  out << "system,workload,door,clients,per_second,p50_us,p99_us,pause_ms,cpu_us,times_peer\n"
      << std::fixed << std::setprecision(1);
  for (const std::vector<Row>* part : {&peers, &rows}) {
    for (const Row& row : *part) {
      const Row* peer = part == &rows ? PeerOf(row, peers) : nullptr;
      out << row.system << ",\"" << row.workload << "\",\"" << row.door << "\"," << row.clients
          << ',' << row.per_second << ',' << row.p50_us << ',' << row.p99_us << ',' << row.pause_ms
          << ',' << row.cpu_us << ',';
      if (peer != nullptr) out << std::setprecision(2) << row.per_second / peer->per_second;
      out << std::setprecision(1) << '\n';
    }
  }
}

void WriteSvg(const std::string& folder, const std::vector<Row>& rows,
              const std::vector<Row>& peers) {
  std::set<std::string> workloads;
  for (const Row& row : rows) workloads.insert(row.workload);
  for (const std::string& workload : workloads) {
    std::vector<Row> bars = Only(peers, workload);
    for (const Row& row : Only(rows, workload)) bars.push_back(row);
    std::string name = workload;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<uint8_t>(c)); },
        '-');
    WriteBars(folder + "/" + name + ".svg", workload + " a second, by door and clients", bars);
  }
}

}  // namespace holdfast::bench
