// Payments by many clients through all nodes while the leader dies again and again: what was
// acknowledged is there once and only once, on every node.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdio>

#include "tests/cluster/payment_load.h"

namespace holdfast {
namespace {

using testing::PaymentLoad;
using testing::ProcessCluster;
using testing::RunFor;
using Clock = std::chrono::steady_clock;

double Milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

TEST(FailoverTest, EveryAcknowledgedPaymentIsThereOnceWhileTheLeaderDiesThreeTimes) {
  ProcessCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  PaymentLoad load(cluster);
  load.Start(64);
  // 30 s of load: three times a kill of the leader, its return, and a follower that restarts at
  // once: what the leader still answers to its former life must not reach a client of the new one.
  for (int round = 0; round < 3; ++round) {
    RunFor(std::chrono::seconds(3));
    const int leader = cluster.WaitLeader();
    ASSERT_NE(leader, 0);
    cluster.Kill(leader);
    RunFor(std::chrono::seconds(4));
    cluster.Start(leader);
    RunFor(std::chrono::seconds(1));
    cluster.Kill(leader);
    cluster.Start(leader);
  }
  RunFor(std::chrono::seconds(6));
  load.Stop();
  ASSERT_TRUE(cluster.WaitHealthy());
  const auto& payments = load.payments();
  std::printf("    %zu payments acknowledged, %zu sent; longest gap without a success %.0f ms\n",
              payments.acknowledged.size(), payments.attempted.size(),
              Milliseconds(payments.longest_gap));
  RecordProperty("longest_gap_ms", static_cast<int>(Milliseconds(payments.longest_gap)));
  EXPECT_GT(payments.acknowledged.size(), 1000u);
  EXPECT_LT(payments.longest_gap, testing::kGapMax);
  CheckAll(cluster, load.payments());
}

TEST(FailoverTest, KillingAllNodesAtOnceLosesNothingAcknowledged) {
  ProcessCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  PaymentLoad load(cluster);
  for (int round = 0; round < 2; ++round) {
    load.Start(32);
    RunFor(std::chrono::seconds(2));
    for (int node = 1; node <= 3; ++node) cluster.Signal(node, SIGKILL);
    load.Stop();
    for (int node = 1; node <= 3; ++node) cluster.Kill(node);
    cluster.StartAll();
    ASSERT_TRUE(cluster.WaitHealthy());
  }
  EXPECT_GT(load.payments().count(), 100u);
  CheckAll(cluster, load.payments());
}

TEST(FailoverTest, SevenNodesServeWithoutThree) {
  ProcessCluster cluster(7);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  PaymentLoad load(cluster);
  load.Start(16);
  RunFor(std::chrono::seconds(1));
  cluster.Kill(cluster.WaitLeader());
  for (int node = 1, killed = 1; node <= 7 && killed < 3; ++node) {
    if (!cluster.Running(node)) continue;
    cluster.Kill(node);
    ++killed;
  }
  ASSERT_NE(cluster.WaitLeader(), 0);
  EXPECT_GT(load.RateOver(std::chrono::seconds(2)), 0);
  load.Stop();
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  CheckAll(cluster, load.payments());
}

}  // namespace
}  // namespace holdfast
