// Groups of real replicas in simulated trouble. A failure names its seed; to see that run again:
//   HOLDFAST_RAFT_SEED=<seed> raft_test --gtest_filter=ReplicaSim.Chaos
// which also says what happens in it. HOLDFAST_RAFT_SEEDS=<count> runs that many, from
// HOLDFAST_RAFT_FIRST (default 1) on.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <cstdlib>

#include "src/base/check.h"
#include "src/raft/testing/chaos.h"

namespace holdfast::raft::sim {
namespace {

uint64_t NumberFromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class ReplicaSim : public ::testing::Test {
 protected:
  ReplicaSim() {
    spdlog::set_level(spdlog::level::off);  // A run has hundreds of elections.
    SetCheckHandler([](const std::string& report) { throw Violation(report); });
  }
  ~ReplicaSim() override {
    SetCheckHandler(nullptr);
    spdlog::set_level(spdlog::level::info);
  }
};

TEST_F(ReplicaSim, Chaos) {
  constexpr uint64_t kSeeds = 200;
  const uint64_t replay = NumberFromEnvironment("HOLDFAST_RAFT_SEED", 0);
  const uint64_t first = replay > 0 ? replay : NumberFromEnvironment("HOLDFAST_RAFT_FIRST", 1);
  const uint64_t count = replay > 0 ? 1 : NumberFromEnvironment("HOLDFAST_RAFT_SEEDS", kSeeds);
  ChaosReport total;
  uint64_t slowest_ms = 0;
  uint64_t slowest_seed = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    try {
      const ChaosReport report = RunChaos(seed, replay > 0);
      total.acknowledged += report.acknowledged;
      total.reads_served += report.reads_served;
      total.reads_refused += report.reads_refused;
      total.leaders += report.leaders;
      total.installs += report.installs;
      total.rejoins += report.rejoins;
      total.changes += report.changes;
      total.steps += report.steps;
      total.simulated_ms += report.simulated_ms;
      if (report.converged_ms > slowest_ms) {
        slowest_ms = report.converged_ms;
        slowest_seed = seed;
      }
    } catch (const Violation& violation) {
      ADD_FAILURE() << violation.what() << "\nReplay: HOLDFAST_RAFT_SEED=" << seed
                    << " raft_test --gtest_filter=ReplicaSim.Chaos";
    }
  }
  std::printf(
      "%llu runs, %.2f simulated hours, %llu writes acknowledged, %llu reads served, %llu refused, "
      "%llu leaders, %llu checkpoints installed, %llu rejoined, %llu memberships, %llu events; "
      "slowest to converge: "
      "%llu ms (seed %llu)\n",
      static_cast<unsigned long long>(count), static_cast<double>(total.simulated_ms) / 3.6e6,
      static_cast<unsigned long long>(total.acknowledged),
      static_cast<unsigned long long>(total.reads_served),
      static_cast<unsigned long long>(total.reads_refused),
      static_cast<unsigned long long>(total.leaders),
      static_cast<unsigned long long>(total.installs),
      static_cast<unsigned long long>(total.rejoins),
      static_cast<unsigned long long>(total.changes), static_cast<unsigned long long>(total.steps),
      static_cast<unsigned long long>(slowest_ms), static_cast<unsigned long long>(slowest_seed));
  // A run in which nothing happens would find nothing.
  EXPECT_GT(total.acknowledged, 0u);
  EXPECT_GT(total.reads_served, 0u);
  EXPECT_GT(total.changes, 0u);
}

}  // namespace
}  // namespace holdfast::raft::sim
