// Members come and go while payments go on: a cluster grows, a dead node is replaced, the leader is
// removed.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/cluster/payment_load.h"
#include "tests/support/http_client.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HttpClient;
using testing::JsonField;
using testing::PaymentLoad;
using testing::ProcessCluster;
using testing::RunFor;

class MembersTest : public ::testing::Test {
 protected:
  void StartCluster(int nodes, int founders) {
    cluster_ = std::make_unique<ProcessCluster>(nodes);
    cluster_->SetFounders(founders);
    cluster_->StartAll();
    ASSERT_TRUE(cluster_->WaitHealthy());
    load_ = std::make_unique<PaymentLoad>(*cluster_);
    load_->Start(8);
    RunFor(milliseconds(500));
  }
  // The exit code of `holdfast members ...`, asked of all nodes.
  int Members(const std::string& words) {
    std::string command = ProcessCluster::Program() + " --endpoints ";
    for (int node = 1; node <= cluster_->size(); ++node) {
      command += (node > 1 ? ",127.0.0.1:" : "127.0.0.1:") + std::to_string(cluster_->grpc(node));
    }
    const int status = std::system((command + " members " + words).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void Add(int node) {
    ASSERT_EQ(Members("add " + std::to_string(node) +
                      " 127.0.0.1:" + std::to_string(cluster_->peer(node))),
              0);
    cluster_->Start(node);
    ASSERT_EQ(Members("promote " + std::to_string(node)), 0) << cluster_->LogOf(node);
  }
  void CheckAll() {
    RunFor(milliseconds(500));
    load_->Stop();
    testing::CheckAll(*cluster_, load_->payments());
    EXPECT_GT(load_->payments().count(), 0u);
    // An election takes up to two election timeouts (800 ms); a change of members less.
    const auto gap = load_->payments().longest_gap;
    std::printf("longest time without a payment: %ld ms\n",
                static_cast<long>(std::chrono::duration_cast<milliseconds>(gap).count()));
    EXPECT_LT(gap, testing::kGapMax);
  }

  std::unique_ptr<ProcessCluster> cluster_;
  std::unique_ptr<PaymentLoad> load_;
};

TEST_F(MembersTest, AClusterGrowsFromOneToThree) {
  StartCluster(3, 1);
  Add(2);
  Add(3);
  // What each knows of the members it knows after a restart, too.
  for (int node = 1; node <= 3; ++node) {
    cluster_->Kill(node);
    cluster_->Start(node);
    ASSERT_TRUE(cluster_->WaitHealthy()) << cluster_->LogOf(node);
  }
  CheckAll();
}

TEST_F(MembersTest, ADeadNodeIsReplaced) {
  StartCluster(4, 3);
  const int dead = cluster_->WaitLeader() % 3 + 1;
  cluster_->Kill(dead);
  Add(4);
  EXPECT_EQ(Members("remove " + std::to_string(dead)), 0);
  EXPECT_EQ(Members("remove " + std::to_string(dead)), 0) << "it is so already";
  // What was removed while it was away finds no way back in.
  cluster_->Start(dead);
  RunFor(seconds(1));
  EXPECT_NE(JsonField(HttpClient(cluster_->http(dead), seconds(2)).Get("/status").body, "ready"),
            "true");
  cluster_->Kill(dead);
  CheckAll();
}

TEST_F(MembersTest, TheLeaderIsRemovedAndEnds) {
  StartCluster(3, 3);
  const int leader = cluster_->WaitLeader();
  ASSERT_EQ(Members("remove " + std::to_string(leader)), 0);
  EXPECT_EQ(cluster_->WaitEnd(leader, seconds(20)), 5) << cluster_->LogOf(leader);
  EXPECT_NE(cluster_->LogOf(leader).find("was removed from the cluster"), std::string::npos);
  CheckAll();
}

TEST_F(MembersTest, WhatWouldLeaveNoQuorumIsRefused) {
  StartCluster(3, 3);
  const int leader = cluster_->WaitLeader();
  const int dead = leader % 3 + 1;
  const int alive = dead % 3 + 1;
  cluster_->Kill(dead);
  // Two voters, of which one is dead, could not elect a leader.
  EXPECT_EQ(Members("remove " + std::to_string(alive) + " --wait 2"), 3);
  EXPECT_EQ(Members("promote 7 --wait 2"), 2) << "not a member";
  cluster_->Start(dead);
  ASSERT_TRUE(cluster_->WaitHealthy());
  CheckAll();
}

}  // namespace
}  // namespace holdfast
