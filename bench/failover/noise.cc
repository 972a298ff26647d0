#include "bench/failover/noise.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "bench/failover/load.h"
#include "tests/support/figures.h"

namespace holdfast::bench {
namespace {

constexpr int kClients = 16;

// Until it is destroyed.
class Hogs {
 public:
  explicit Hogs(int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this] {
        while (!stop_.load(std::memory_order_relaxed)) {
        }
      });
    }
  }
  ~Hogs() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Hogs(const Hogs&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// As the node that is the furthest says.
struct Standing {
  double term = 0;
  double leader_changes = 0;
};

Standing StandingOf(const testing::ProcessCluster& cluster) {
  Standing standing;
  for (int node = 1; node <= cluster.size(); ++node) {
    const auto figures = testing::Figures::Of(cluster.host(node), cluster.http(node));
    standing.term = std::max(standing.term, figures.Get("holdfast_term"));
    standing.leader_changes =
        std::max(standing.leader_changes, figures.Get("holdfast_leader_changes_total"));
  }
  return standing;
}

}  // namespace

int RunNoise(const NoiseOptions& options) {
  testing::ProcessCluster cluster(options.nodes);
  cluster.SetFlags(options.flags);
  cluster.StartAll();
  if (!cluster.WaitHealthy() || cluster.WaitLeader() == 0 || !OpenAccounts(cluster)) {
    std::fprintf(stderr, "the cluster did not become healthy:\n%s", cluster.LogOf(1).c_str());
    return EXIT_FAILURE;
  }
  const Standing before = StandingOf(cluster);
  std::vector<Answer> answers;
  steady_clock::time_point until;
  {
    const Hogs hogs(options.hogs);
    Load load(cluster, 0, kClients, std::chrono::milliseconds(0));
    std::this_thread::sleep_for(std::chrono::seconds(options.seconds));
    until = steady_clock::now();
    answers = load.Stop();
  }
  const Standing after = StandingOf(cluster);
  // Every new term is one, whether somebody won it or not.
  const double elections = after.term - before.term;
  const double changes = after.leader_changes - before.leader_changes;
  const double gap_ms = LongestGapMs(answers, until);
  std::printf(
      "%d hogs, %d clients, %d s: %.0f elections, %.0f changes of leader, %zu payments, the "
      "longest "
      "time without one %.0f ms\n",
      options.hogs, kClients, options.seconds, elections, changes, answers.size(), gap_ms);
  if (!options.csv.empty()) {
    std::ofstream(options.csv) << "hogs,seconds,elections,leader_changes,payments,longest_gap_ms\n"
                               << options.hogs << ',' << options.seconds << ',' << elections << ','
                               << changes << ',' << answers.size() << ',' << gap_ms << '\n';
  }
  return EXIT_SUCCESS;
}

}  // namespace holdfast::bench
