// Nodes that come back from far: after the log they would need has been let go of, and after their
// data folder was deleted. Payments go on meanwhile.
#include <gtest/gtest.h>

#include <cstdio>
#include <random>

#include "tests/cluster/payment_load.h"
#include "tests/support/bystanders.h"
#include "tests/support/http_client.h"

namespace holdfast {
namespace {

using std::chrono::seconds;
using testing::Bystanders;
using testing::HttpClient;
using testing::JsonField;
using testing::PaymentLoad;
using testing::ProcessCluster;
using testing::RunFor;
using Clock = std::chrono::steady_clock;

// Checkpoints so often, and so little log behind them, that a second is too long to be away.
const std::vector<std::string> kForgetful = {"--checkpoint-interval-ms", "300",
                                             "--log-keep-entries",       "10",
                                             "--log-segment-bytes",      "2097152"};

class RejoinTest : public ::testing::Test {
 protected:
  void StartCluster(int nodes) {
    cluster_ = std::make_unique<ProcessCluster>(nodes);
    cluster_->SetFlags(kForgetful);
    cluster_->StartAll();
    ASSERT_TRUE(cluster_->WaitHealthy());
    load_ = std::make_unique<PaymentLoad>(*cluster_);
  }
  uint64_t StatusOf(int node, const std::string& field) {
    const auto reply = HttpClient(cluster_->http(node), seconds(2)).Get("/status");
    const std::string value = JsonField(reply.body, field);
    return value.empty() ? 0 : std::stoull(value);
  }
  bool Rejoining(int node) {
    const auto reply = HttpClient(cluster_->http(node), seconds(2)).Get("/status");
    return JsonField(reply.body, "rejoining") == "true";
  }
  // Until the node has what the others have, and a voice. How long that took.
  Clock::duration WaitCaughtUp(int node, seconds patience = seconds(60)) {
    const auto begun = Clock::now();
    const int leader = cluster_->WaitLeader(node);
    const uint64_t aim = StatusOf(leader, "applied");
    while (StatusOf(node, "applied") < aim || Rejoining(node)) {
      if (Clock::now() > begun + patience) {
        ADD_FAILURE() << "node " << node << " does not catch up:\n" << cluster_->LogOf(node);
        break;
      }
      RunFor(std::chrono::milliseconds(20));
    }
    return Clock::now() - begun;
  }
  // Payments go on while a node comes back; as fast as half the rate without it, where the machine
  // had little else to do.
  void ExpectGoesOn(double without, double during, double others) {
    std::printf(
        "    %.0f payments/s without the node, %.0f/s while it came back: %.2f of it; "
        "others took %.2f of the machine\n",
        without, during, during / without, others);
    EXPECT_GT(during, 0);
    EXPECT_TRUE(others > 0.15 || during >= without / 2);
  }
  int AnyFollower() { return cluster_->WaitLeader() % cluster_->size() + 1; }
  static double Seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

  std::unique_ptr<ProcessCluster> cluster_;
  std::unique_ptr<PaymentLoad> load_;
};

TEST_F(RejoinTest, ANodeThatWasAwayTooLongForTheLogFetchesACheckpoint) {
  StartCluster(3);
  load_->Start(16);
  RunFor(seconds(1));
  const int away = AnyFollower();
  const uint64_t had = StatusOf(away, "last");
  cluster_->Kill(away);
  const int leader = cluster_->WaitLeader();
  const Bystanders bystanders(*cluster_);
  const double without = load_->RateOver(seconds(3));
  for (const auto begun = Clock::now(); StatusOf(leader, "first") <= had + 1;) {
    ASSERT_LT(Clock::now(), begun + seconds(60)) << "the log still reaches back";
    RunFor(std::chrono::milliseconds(50));
  }

  load_->payments().TakeLongestGap();
  cluster_->Start(away);
  const double during = load_->RateOver(seconds(3));
  ExpectGoesOn(without, during, bystanders.Share());
  WaitCaughtUp(away);
  EXPECT_LT(load_->payments().TakeLongestGap(), testing::kGapMax);
  EXPECT_GE(StatusOf(away, "restarts"), 1u) << "it got along without a checkpoint";
  load_->Stop();
  CheckAll(*cluster_, load_->payments());
}

TEST_F(RejoinTest, ANodeWhoseFolderWasDeletedRejoinsAndVotes) {
  StartCluster(3);
  load_->Start(16);
  RunFor(seconds(2));
  const int lost = AnyFollower();
  cluster_->Kill(lost);
  cluster_->Wipe(lost);
  RunFor(seconds(1));
  const Bystanders bystanders(*cluster_);
  const double without = load_->RateOver(seconds(2));
  load_->payments().TakeLongestGap();
  cluster_->Start(lost);
  const double during = load_->RateOver(seconds(3));
  ExpectGoesOn(without, during, bystanders.Share());
  std::printf("    done %.1f s later\n", Seconds(WaitCaughtUp(lost)));
  EXPECT_LT(load_->payments().TakeLongestGap(), testing::kGapMax);
  // It votes: without the leader a majority needs it.
  cluster_->Kill(cluster_->WaitLeader());
  ASSERT_NE(cluster_->WaitLeader(), 0) << cluster_->LogOf(lost);
  EXPECT_GT(load_->RateOver(seconds(2)), 0);
  load_->Stop();
  cluster_->StartAll();
  ASSERT_TRUE(cluster_->WaitHealthy());
  CheckAll(*cluster_, load_->payments());
}

TEST_F(RejoinTest, ALeaderWhoseFolderWasDeletedRejoins) {
  StartCluster(3);
  load_->Start(16);
  RunFor(seconds(1));
  const int lost = cluster_->WaitLeader();
  cluster_->Kill(lost);
  cluster_->Wipe(lost);
  cluster_->Start(lost);  // At once: the others may still hold it for the leader.
  WaitCaughtUp(lost);
  load_->Stop();
  CheckAll(*cluster_, load_->payments());
}

TEST_F(RejoinTest, DyingAnywhereOnTheWayBackIsHarmless) {
  StartCluster(3);
  load_->Start(8);
  RunFor(seconds(1));
  const int lost = AnyFollower();
  cluster_->Kill(lost);
  cluster_->Wipe(lost);
  std::mt19937 random(7);
  for (int life = 0; life < 12; ++life) {
    cluster_->Start(lost);
    RunFor(std::chrono::milliseconds(50 + random() % 700));
    cluster_->Kill(lost);
  }
  cluster_->Start(lost);
  WaitCaughtUp(lost);
  load_->Stop();
  CheckAll(*cluster_, load_->payments());
}

TEST_F(RejoinTest, TheLostFolderIsRefusedWhenItComesBack) {
  StartCluster(3);
  load_->Start(4);
  RunFor(seconds(1));
  const int node = AnyFollower();
  cluster_->Kill(node);
  const std::string kept = cluster_->data(node) + ".kept";
  std::filesystem::rename(cluster_->data(node), kept);
  cluster_->Start(node);
  WaitCaughtUp(node);
  cluster_->Kill(node);
  cluster_->Wipe(node);
  std::filesystem::rename(kept, cluster_->data(node));
  cluster_->Start(node);
  EXPECT_NE(cluster_->WaitEnd(node, seconds(20)), 0);
  EXPECT_NE(cluster_->LogOf(node).find("has taken the place of"), std::string::npos)
      << cluster_->LogOf(node);
  cluster_->Wipe(node);
  cluster_->Start(node);
  WaitCaughtUp(node);
  load_->Stop();
  CheckAll(*cluster_, load_->payments());
}

}  // namespace
}  // namespace holdfast
