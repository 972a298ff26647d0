// What is too rare to wait for in random runs.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "sim/cluster.h"
#include "src/base/testing/stopped.h"

namespace holdfast::sim {
namespace {

class ClockScenarioTest : public ::testing::Test {
 protected:
  ClockScenarioTest() {
    spdlog::set_level(spdlog::level::off);
    options_.nodes = 5;
    options_.clock.sample_ms = 200;
    options_.clock.drift_ppm = 10'000;  // So that holdover is over soon.
    options_.clock.error_ms_max = 150;
  }
  ~ClockScenarioTest() override { spdlog::set_level(spdlog::level::info); }

  void Begin() {
    cluster_.emplace(world_, options_);
    for (uint64_t id = 1; id <= options_.nodes; ++id) cluster_->Revive(NodeId(id));
    ASSERT_TRUE(Until(5'000, [this] { return cluster_->Converged(); }));
  }
  bool Until(uint64_t ms, const std::function<bool()>& condition) {
    const uint64_t end_us = world_.events.now_us() + ms * 1'000;
    while (!condition()) {
      if (world_.events.now_us() >= end_us) return false;
      world_.events.RunUntil(world_.events.now_us() + 1'000);
    }
    return true;
  }
  // Somebody else does by now.
  bool Led(NodeId before) const {
    const NodeId leader = cluster_->Leader();
    return leader.value != 0 && leader != before;
  }
  clock::Status StatusOf(NodeId node) { return cluster_->ClockOf(node).status; }

  const holdfast::testing::StopThrows stop_throws_;
  ClusterOptions options_;
  World world_{1, false};
  std::optional<Cluster> cluster_;
};

// Its own clock is wrong, and of the others it hears two: no three of five agree. Those two hear
// the other two as well.
TEST_F(ClockScenarioTest, ALeaderThatDoesNotKnowTheTimeGivesWay) {
  Begin();
  const NodeId leader = cluster_->Leader();
  cluster_->TellStory(leader, Cluster::Story::kOff, 3'600'000'000);
  size_t cut = 0;
  std::vector<NodeId> near;
  for (uint64_t id = 1; id <= options_.nodes; ++id) {
    if (NodeId(id) == leader) continue;
    if (++cut > 2) {
      near.push_back(NodeId(id));
      continue;
    }
    cluster_->network().CutLink(leader, NodeId(id), Network::Cut::kBreak);
    cluster_->network().CutLink(NodeId(id), leader, Network::Cut::kBreak);
  }
  EXPECT_FALSE(Until(10'000, [&] { return Led(leader); })) << "it holds over";
  ASSERT_TRUE(Until(10'000, [&] { return StatusOf(leader) == clock::Status::kUnsynchronised; }));
  EXPECT_TRUE(Until(15'000, [&] { return Led(leader); }));
  const NodeId next = cluster_->Leader();
  EXPECT_NE(std::find(near.begin(), near.end(), next), near.end());
  EXPECT_EQ(StatusOf(next), clock::Status::kSynchronised);
  // And there it stays.
  EXPECT_FALSE(Until(30'000, [&] { return Led(next); }));
}

// Nobody knows the time: whoever leads goes on.
TEST_F(ClockScenarioTest, WhereNobodyKnowsTheTimeTheLeaderStays) {
  Begin();
  const NodeId leader = cluster_->Leader();
  for (uint64_t id = 1; id <= options_.nodes; ++id) {
    cluster_->TellStory(NodeId(id), Cluster::Story::kOff, static_cast<int64_t>(id) * 3'600'000'000);
  }
  EXPECT_FALSE(Until(60'000, [&] { return Led(leader); }));
  EXPECT_EQ(StatusOf(leader), clock::Status::kUnsynchronised);
}

}  // namespace
}  // namespace holdfast::sim
