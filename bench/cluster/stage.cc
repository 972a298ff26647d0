#include "bench/cluster/stage.h"

#include <chrono>
#include <cstdio>
#include <thread>

#include "bench/cluster/report.h"
#include "tests/support/figures.h"

namespace holdfast::bench {
namespace {

constexpr std::chrono::seconds kStoredPatience{30};

}  // namespace

Stage::Stage(const Settings& settings, std::vector<Row> peers)
    : settings_(settings), peers_(std::move(peers)), cluster_(settings.nodes) {
  cluster_.SetFlags(settings.flags);
}

bool Stage::Begin(const std::string& what) {
  cluster_.StartAll();
  if (!cluster_.WaitHealthy()) {
    std::fprintf(stderr, "the cluster did not become healthy:\n%s", cluster_.LogOf(1).c_str());
    return false;
  }
  leader_ = cluster_.WaitLeader();
  std::printf(
      "%d node%s on loopback, %d s a line, every acknowledgement fsynced by a majority%s; pause: "
      "the longest time without an answer to anybody; cpu: of all nodes, for one of what is "
      "counted\n\n",
      settings_.nodes, settings_.nodes == 1 ? "" : "s", settings_.seconds, what.c_str());
  PrintHead();
  for (const Row& peer : peers_) {
    Row row = peer;
    row.door = peer.system + ", " + peer.door;
    PrintRow(row, nullptr);
  }
  return true;
}

void Stage::End() {
  const auto mebibytes = [](uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  std::printf(
      "\nNode memory at most %.0f MiB; node 1 holds %.0f MiB of log and %.0f MiB of store\n",
      mebibytes(MemoryBytesMax(cluster_)), mebibytes(DiskBytes(cluster_, 1, "log")),
      mebibytes(DiskBytes(cluster_, 1, "store")));
  if (!settings_.csv.empty()) WriteCsv(settings_.csv, rows_, peers_);
  if (settings_.disk_csv.empty()) return;
  WaitStored();
  WriteDiskCsv(settings_.disk_csv, cluster_);
}

// Until no node's checkpoint or compaction is behind; checkpoints come by time.
void Stage::WaitStored() const {
  const auto deadline = std::chrono::steady_clock::now() + kStoredPatience;
  for (int node = 1; node <= cluster_.size();) {
    const auto figures = testing::Figures::Of(cluster_.host(node), cluster_.http(node));
    const bool stored = !figures.empty() && figures.Get("holdfast_store_delta_rows") == 0 &&
                        figures.Get("holdfast_store_compaction_bytes") == 0;
    if (stored) {
      ++node;
      continue;
    }
    if (std::chrono::steady_clock::now() > deadline) {
      std::fprintf(stderr,
                   "Node %d has not stored everything yet; its files are counted as they are.\n",
                   node);
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // tidy: allow sleep, a process
  }
}

bool Stage::Wanted(const std::string& workload, const std::string& door) const {
  return (workload + ", " + door).find(settings_.only) != std::string::npos;
}

std::unique_ptr<client::Client> Stage::NewClient() const {
  return std::make_unique<client::Client>(
      std::vector<std::string>{"127.0.0.1:" + std::to_string(cluster_.grpc(leader_))});
}

Callers Stage::Through(const std::string& door, int clients, const MakeScript& make) const {
  if (door == "pipe") return OverPipe({cluster_.grpc(leader_)}, clients, make);
  if (door == "gRPC") return OverGrpc(cluster_.grpc(leader_), clients, make);
  return OverHttp(cluster_.http(leader_), clients, make);
}

void Stage::Line(const std::string& workload, const std::string& door, int clients,
                 const MakeScript& make) {
  if (!Wanted(workload, door)) return;
  Add(Measure(workload, door, Through(door, clients, make), settings_.seconds, cluster_));
}

void Stage::Add(Row row) {
  PrintRow(row, PeerOf(row, peers_));
  rows_.push_back(std::move(row));
}

}  // namespace holdfast::bench
