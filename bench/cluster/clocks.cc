// What keeping the time costs nodes that have nothing else to do, and how right it is: on one
// machine all clocks are the same, so it is known. One node's wall clock may be set wrong.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <thread>

#include "bench/cluster/stage.h"
#include "tests/faults/fault_control.h"
#include "tests/support/http_client.h"
#include "tests/support/temp_folder.h"

namespace holdfast::bench {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLookEvery{200};

int64_t WallUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// While it lives, processes that are started have a wall clock that is ahead.
class WrongClock {
 public:
  WrongClock(const std::string& shim, int64_t ahead_ms) {
    FaultControl control{};
    control.clock_offset_us = ahead_ms * 1'000;
    const std::string file = folder_.path() + "/faults";
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(&control), sizeof(control));
    setenv("HOLDFAST_FAULTS", file.c_str(), 1);
    setenv("LD_PRELOAD", shim.c_str(), 1);
  }
  // The file is opened by a process when it begins: it must be there until the end of all of them.
  void Leave() {
    unsetenv("LD_PRELOAD");
    unsetenv("HOLDFAST_FAULTS");
  }

 private:
  testing::TempFolder folder_;
};

// What a node says of the time. False: it has no such page.
bool Look(const testing::ProcessCluster& cluster, int node, int64_t begun_us, std::ostream& out) {
  testing::HttpClient http(cluster.host(node), cluster.http(node), std::chrono::seconds(5));
  http.Get("/health/live");  // The connection stands: the next call is a round trip and no more.
  const int64_t sent_us = WallUs();
  const testing::HttpReply reply = http.Get("/v1/clock");
  const int64_t round_trip_us = WallUs() - sent_us;
  if (reply.status != 200) return false;
  const auto field = [&reply](const char* name) { return testing::JsonField(reply.body, name); };
  const int64_t now_us = std::atoll(field("now_us").c_str());
  out << node << ',' << (sent_us - begun_us) / 1'000 << ',' << field("status") << ',';
  if (now_us != 0) out << now_us - (sent_us + round_trip_us / 2);
  out << ',' << field("error_us") << ',' << round_trip_us << ',' << field("sent") << ','
      << field("received") << ',' << field("work_us") << '\n';
  return true;
}

}  // namespace

int RunClocks(const Settings& settings, int64_t ahead_ms, const std::string& shim) {
  std::optional<WrongClock> wrong;
  testing::ProcessCluster cluster(settings.nodes);
  cluster.SetFlags(settings.flags);
  for (int node = 1; node <= settings.nodes; ++node) {
    if (ahead_ms != 0 && node == settings.nodes) wrong.emplace(shim, ahead_ms);
    cluster.Start(node);
  }
  if (wrong) wrong->Leave();
  if (!cluster.WaitHealthy() || cluster.WaitLeader() == 0) {
    std::fprintf(stderr, "the cluster did not become healthy:\n%s", cluster.LogOf(1).c_str());
    return EXIT_FAILURE;
  }
  std::this_thread::sleep_for(std::chrono::seconds(1));
  std::ofstream out(settings.csv.empty() ? "/dev/null" : settings.csv);
  out << "node,at_ms,status,off_us,bound_us,round_trip_us,sent,received,work_us\n";
  const double cpu_before = CpuSeconds(cluster);
  const auto begun = steady_clock::now();
  const int64_t begun_us = WallUs();
  bool known = true;
  while (known && steady_clock::now() - begun < std::chrono::seconds(settings.seconds)) {
    for (int node = 1; node <= cluster.size(); ++node) {
      known = known && Look(cluster, node, begun_us, out);
    }
    std::this_thread::sleep_for(kLookEvery);
  }
  if (!known) {
    std::fprintf(stderr, "this program's nodes have no clock page\n");
    return EXIT_FAILURE;
  }
  const double took = std::chrono::duration<double>(steady_clock::now() - begun).count();
  std::printf("%d nodes: %.0f us of processor a second and node, being asked included\n",
              settings.nodes, (CpuSeconds(cluster) - cpu_before) * 1e6 / took / settings.nodes);
  return EXIT_SUCCESS;
}

}  // namespace holdfast::bench
