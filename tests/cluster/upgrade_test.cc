// Nodes are stopped and started one after the other under load, with the same program or with a
// newer one: nothing is lost, and there is a leader all the while.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/cluster/payment_load.h"
#include "tests/support/http_client.h"
#include "tests/support/run_program.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HttpClient;
using testing::HttpReply;
using testing::JsonField;
using testing::PaymentLoad;
using testing::ProcessCluster;
using testing::RunFor;
using Clock = std::chrono::steady_clock;

constexpr char kOlder[] = "holdfast_older";

class RollingTest : public ::testing::Test {
 protected:
  void StartCluster(const char* program) {
    cluster_.SetProgram(program);
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.WaitHealthy());
    load_.emplace(cluster_);
    load_->Start(8);
    RunFor(milliseconds(1'000));
    load_->payments().TakeLongestGap();
  }
  // Stops the node as an operator does, and starts it with what SetProgram says.
  void Replace(int node) {
    const bool led = cluster_.WaitLeader() == node;
    const auto began = Clock::now();
    ASSERT_EQ(cluster_.Terminate(node), 0) << cluster_.LogOf(node);
    const auto stopped = Clock::now();
    const bool handed_over = cluster_.HandedOver(node);
    cluster_.Start(node);
    ASSERT_TRUE(cluster_.WaitHealthy(node, seconds(20))) << cluster_.LogOf(node);
    RunFor(milliseconds(1'000));
    const auto gap = load_->payments().TakeLongestGap();
    const auto ms = [](auto duration) {
      return static_cast<long>(std::chrono::duration_cast<milliseconds>(duration).count());
    };
    std::printf("node %d%s: stopped in %ld ms, longest time without a payment %ld ms\n", node,
                led ? ", the leader" : "", ms(stopped - began), ms(gap));
    EXPECT_LT(gap, testing::kGapMax) << "node " << node;
    EXPECT_LT(stopped - began, seconds(5)) << "node " << node << ": it waited for somebody";
    least_gap_ = std::min<Clock::duration>(least_gap_, gap);
    handed_over_ += led && handed_over ? 1 : 0;
  }
  std::string StatusOf(int node, const char* field) {
    return JsonField(HttpClient(cluster_.http(node), seconds(5)).Get("/status").body, field);
  }
  // When all nodes go by this version of the behaviour; false: not in time.
  bool WaitBehaviour(const std::string& version, seconds patience) {
    const auto deadline = Clock::now() + patience;
    for (int node = 1; node <= cluster_.size();) {
      if (StatusOf(node, "behaviour") == version) {
        ++node;
      } else if (Clock::now() > deadline) {
        return false;
      }
    }
    return true;
  }
  int RemoveCounter(int node) {
    const HttpReply reply =
        HttpClient(cluster_.http(node), seconds(5)).Post("/v1/counters/visits:remove", "{}");
    return reply.status;
  }
  void CheckAll() {
    load_->Stop();
    testing::CheckAll(cluster_, load_->payments());
    EXPECT_GT(load_->payments().count(), 0u);
  }
  // The positions and versions of the steps in a node's log: "812:2 "; the node must not run.
  std::string StepsInLog(int node) {
    const auto inspected =
        testing::RunHoldfast("inspect " + cluster_.data(node) + " --entries 1..");
    std::string steps;
    const std::string mark = "raises the behaviour to version ";
    for (size_t at = inspected.output.find(mark); at != std::string::npos;
         at = inspected.output.find(mark, at + 1)) {
      const size_t line = inspected.output.rfind('\n', at) + 1;
      steps += inspected.output.substr(line, inspected.output.find(' ', line) - line) + ":" +
               inspected.output.substr(at + mark.size(), 1) + " ";
    }
    return steps;
  }

  ProcessCluster cluster_{3};
  int handed_over_ = 0;  // By leaders that were stopped.
  Clock::duration least_gap_ = testing::kGapMax;
  std::optional<PaymentLoad> load_;
};

TEST_F(RollingTest, ARestartOfEveryNodeLosesNothing) {
  StartCluster("holdfast");
  // Twice: also of a leader that was restarted before, and with every node leading in turn.
  for (int round = 0; round < 2; ++round) {
    for (int node = 1; node <= 3; ++node) Replace(node);
  }
  EXPECT_GT(handed_over_, 0);
  EXPECT_LT(least_gap_, milliseconds(800));
  CheckAll();
}

TEST_F(RollingTest, AnUpgradeComesIntoForceWhenAllCanDoItAndOnce) {
  StartCluster(kOlder);
  EXPECT_TRUE(WaitBehaviour("1", seconds(10)));
  HttpClient(cluster_.http(1)).Post("/v1/counters/visits:add", R"({"amount": 5})");
  cluster_.SetProgram("holdfast");
  for (const int node : {2, 3, 1}) {
    // Until the last one is replaced nobody does what only some can do, whichever program leads.
    for (int asked = 1; asked <= 3; ++asked) {
      EXPECT_EQ(StatusOf(asked, "behaviour"), "1") << "node " << asked;
      EXPECT_EQ(RemoveCounter(asked), 404) << "node " << asked;
    }
    Replace(node);
    EXPECT_EQ(StatusOf(node, "behaviour_newest"), "2");
  }
  ASSERT_TRUE(WaitBehaviour("2", seconds(10)));
  EXPECT_EQ(RemoveCounter(2), 200);
  RunFor(milliseconds(500));
  CheckAll();

  // The program of before is told so by the others, by itself, and changes nothing.
  EXPECT_EQ(cluster_.Terminate(3), 0);
  cluster_.SetProgram(kOlder);
  cluster_.Start(3);
  EXPECT_EQ(cluster_.WaitEnd(3, seconds(20)), 5);
  EXPECT_NE(cluster_.LogOf(3).find("runs Holdfast 0.1.0-alpha, which can do version 1"),
            std::string::npos)
      << cluster_.LogOf(3);
  EXPECT_NE(cluster_.LogOf(3).find("Install Holdfast 0.1.0 or newer"), std::string::npos);
  EXPECT_EQ(testing::RunHoldfast("inspect " + cluster_.data(3)).code, 0);
  cluster_.SetProgram("holdfast");
  cluster_.Start(3);
  EXPECT_TRUE(cluster_.WaitHealthy());
  std::string report;
  EXPECT_TRUE(cluster_.WaitEqualState(seconds(20), &report)) << report;

  std::string steps;
  for (int node = 1; node <= 3; ++node) {
    EXPECT_EQ(cluster_.Terminate(node), 0);
    const std::string in_log = StepsInLog(node);
    if (steps.empty()) steps = in_log;
    EXPECT_EQ(in_log, steps) << "node " << node;
  }
  EXPECT_EQ(std::count(steps.begin(), steps.end(), ':'), 2) << steps;
  EXPECT_EQ(steps.find(":1 "), steps.find(':')) << steps;
  EXPECT_NE(steps.find(":2 "), std::string::npos) << steps;
}

// A node whose folder knows nothing yet learns it from the others, before it takes anything over.
TEST_F(RollingTest, AnOlderProgramWithANewFolderIsToldBeforeItJoins) {
  StartCluster("holdfast");
  EXPECT_TRUE(WaitBehaviour("2", seconds(10)));
  cluster_.Kill(2);
  cluster_.Wipe(2);
  cluster_.SetProgram(kOlder);
  cluster_.Start(2);
  EXPECT_EQ(cluster_.WaitEnd(2, seconds(20)), 5);
  EXPECT_NE(cluster_.LogOf(2).find("Install Holdfast 0.1.0 or newer"), std::string::npos)
      << cluster_.LogOf(2);
  cluster_.SetProgram("holdfast");
  cluster_.Start(2);
  EXPECT_TRUE(cluster_.WaitHealthy());
  CheckAll();
}

}  // namespace
}  // namespace holdfast
