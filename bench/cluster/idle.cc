// Nodes that nobody asks anything: what heartbeats and the like cost.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "bench/cluster/stage.h"
#include "tests/support/http_client.h"

namespace holdfast::bench {
namespace {

// NODE.WHEN.metrics and NODE.WHEN.clock: the clock page, where a node has one.
void KeepPages(const testing::ProcessCluster& cluster, const std::string& folder,
               const std::string& when) {
  if (folder.empty()) return;
  for (int node = 1; node <= cluster.size(); ++node) {
    testing::HttpClient http(cluster.host(node), cluster.http(node), std::chrono::seconds(5));
    const std::string prefix = folder + "/" + std::to_string(node) + "." + when;
    std::ofstream(prefix + ".metrics") << http.Get("/metrics").body;
    const testing::HttpReply clock = http.Get("/v1/clock");
    if (clock.status == 200) std::ofstream(prefix + ".clock") << clock.body;
  }
}

}  // namespace

int RunIdle(const Settings& settings, const std::string& folder) {
  testing::ProcessCluster cluster(settings.nodes);
  cluster.SetFlags(settings.flags);
  cluster.StartAll();
  if (!cluster.WaitHealthy() || cluster.WaitLeader() == 0) {
    std::fprintf(stderr, "the cluster did not become healthy:\n%s", cluster.LogOf(1).c_str());
    return EXIT_FAILURE;
  }
  std::this_thread::sleep_for(std::chrono::seconds(1));  // tidy: allow sleep, warming up
  KeepPages(cluster, folder, "before");
  const double cpu_before = CpuSeconds(cluster);
  const auto begun = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(  // tidy: allow sleep, what is measured
      std::chrono::seconds(settings.seconds));
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const double cpu = CpuSeconds(cluster) - cpu_before;
  KeepPages(cluster, folder, "after");
  const double cpu_us = cpu * 1e6 / took / settings.nodes;
  std::printf("%d nodes, idle: %.0f us of processor a second and node\n", settings.nodes, cpu_us);
  if (!settings.csv.empty()) {
    std::ofstream(settings.csv) << "nodes,seconds,cpu_us\n"
                                << settings.nodes << ',' << took << ',' << cpu_us << '\n';
  }
  return EXIT_SUCCESS;
}

}  // namespace holdfast::bench
