// Keepers of several nodes, over links and clocks that the test holds.
#include "src/node/clock_keeper.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>

namespace holdfast::node {
namespace {

using clock::Status;

constexpr int64_t kEpochUs = 1'700'000'000'000'000;
constexpr int64_t kMs = 1'000;
constexpr int64_t kSecond = 1'000'000;
constexpr uint64_t kBurstMs = bounds::kClockBurstMs;

// True time passes for all; each has its own wall clock.
class HeldClock : public Clock {
 public:
  explicit HeldClock(const int64_t& true_us) : true_us_(true_us) {}
  uint64_t MonotonicMs() const override { return static_cast<uint64_t>(true_us_ / kMs); }
  int64_t ElapsedUs() const override { return true_us_ + 77; }
  int64_t WallUs() const override { return kEpochUs + true_us_ + off_us; }
  int64_t off_us = 0;

 private:
  const int64_t& true_us_;
};

class ClockKeeperTest : public ::testing::Test {
 protected:
  struct Node {
    std::unique_ptr<HeldClock> clock;
    std::unique_ptr<ClockKeeper> keeper;
    bool linked = true;
    bool answers = true;
    std::optional<ClockAnswer> says;  // Whatever it is asked.
    size_t sent = 0;
  };
  struct OnItsWay {
    NodeId from;
    NodeId to;
    PeerFrame frame;
  };

  void Make(size_t count, const ClockOptions& options = {}) {
    std::vector<NodeId> all;
    for (uint64_t id = 1; id <= count; ++id) all.push_back(NodeId(id));
    for (const NodeId id : all) {
      Node& node = nodes_[id];
      node.clock = std::make_unique<HeldClock>(true_us_);
      node.keeper = std::make_unique<ClockKeeper>(options, id, *node.clock,
                                                  [this, id](NodeId to, PeerFrame frame) {
                                                    if (!nodes_[id].linked || !nodes_[to].linked)
                                                      return false;
                                                    ++nodes_[id].sent;
                                                    wire_.push_back({id, to, std::move(frame)});
                                                    return true;
                                                  });
      node.keeper->SetVoters(all);
    }
  }
  void Pass(int64_t us) { true_us_ += us; }
  // What is on its way arrives, `way_us` later each.
  void Deliver(int64_t way_us = 200) {
    while (!wire_.empty()) {
      OnItsWay next = std::move(wire_.front());
      wire_.pop_front();
      Pass(way_us);
      ClockKeeper& to = *nodes_[next.to].keeper;
      if (next.frame.has_clock_question()) {
        if (auto says = nodes_[next.to].says) {
          says->set_id(next.frame.clock_question().id());
          nodes_[next.from].keeper->Answered(next.to, *says);
        } else if (nodes_[next.to].answers) {
          to.Answer(next.from, next.frame.clock_question());
        }
      } else {
        to.Answered(next.from, next.frame.clock_answer());
      }
    }
  }
  void Run(int64_t us) {
    const int64_t end_us = true_us_ + us;
    while (true_us_ < end_us) {
      for (auto& [id, node] : nodes_) node.keeper->Step(static_cast<uint64_t>(true_us_ / kMs));
      Deliver();
      Pass(20 * kMs);
    }
  }
  ClockKeeper& Of(uint64_t node) { return *nodes_[NodeId(node)].keeper; }
  HeldClock& ClockOf(uint64_t node) { return *nodes_[NodeId(node)].clock; }
  void ExpectTrue(uint64_t node) {
    const clock::Estimate now = Of(node).Now();
    EXPECT_LE(now.bounds.earliest_us, kEpochUs + true_us_) << "node " << node;
    EXPECT_GE(now.bounds.latest_us, kEpochUs + true_us_) << "node " << node;
  }

  int64_t true_us_ = kSecond;
  std::map<NodeId, Node> nodes_;
  std::deque<OnItsWay> wire_;
};

TEST_F(ClockKeeperTest, OneRoundTripIsEnough) {
  Make(3);
  Run(1);
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_EQ(Of(node).Now().status, Status::kSynchronised);
    ExpectTrue(node);
  }
}

TEST_F(ClockKeeperTest, OneAloneNeedsNobody) {
  Make(1);
  EXPECT_EQ(Of(1).Now().status, Status::kSynchronised);
  EXPECT_EQ(ClockKeeper::Reason(Of(1).Report(), ClockOf(1).ElapsedUs()), "");
}

TEST_F(ClockKeeperTest, AWrongClockIsOutvotedByAll) {
  Make(3);
  ClockOf(2).off_us = 3'600 * kSecond;
  Run(kSecond);
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_EQ(Of(node).Now().status, Status::kSynchronised);
    ExpectTrue(node);
    for (const ClockSource& source : Of(node).Report().sources) {
      EXPECT_EQ(source.is_false, source.node == NodeId(2)) << "node " << node;
    }
  }
}

TEST_F(ClockKeeperTest, SaysWhoseClockSaysWhat) {
  Make(3);
  ClockOf(2).off_us = 5 * kSecond;
  nodes_[NodeId(3)].linked = false;
  Run(kSecond);
  EXPECT_EQ(Of(1).Now().status, Status::kUnsynchronised);
  EXPECT_EQ(ClockKeeper::Reason(Of(1).Report(), ClockOf(1).ElapsedUs()),
            "heard 2 of 3 clocks, and no 2 of them agree (node 1 +0 ms, node 2 +5000 ms, node 3 "
            "not heard)");
}

TEST_F(ClockKeeperTest, WhoIsCutOffHoldsOver) {
  Make(3);
  Run(kSecond);
  nodes_[NodeId(1)].linked = false;
  Run(6 * kSecond);
  EXPECT_EQ(Of(1).Now().status, Status::kSynchronised) << "the samples are good for a while";
  Run(10 * kSecond);
  EXPECT_EQ(Of(1).Now().status, Status::kHoldover);
  ExpectTrue(1);
  EXPECT_EQ(Of(2).Now().status, Status::kSynchronised);
  nodes_[NodeId(1)].linked = true;
  Run(kSecond);
  EXPECT_EQ(Of(1).Now().status, Status::kSynchronised);
}

// Eight in a row on a new connection, then one an interval; also to a program that never answers.
TEST_F(ClockKeeperTest, AsksSeldom) {
  Make(2);
  nodes_[NodeId(2)].answers = false;
  for (uint64_t now_ms = 1'000; now_ms < 11'000; now_ms += 10) {
    Of(1).Step(now_ms);
    Deliver(0);
  }
  EXPECT_EQ(nodes_[NodeId(1)].sent, 8u + 9u);
  EXPECT_FALSE(Of(1).Report().sources[1].heard);
  EXPECT_GT(Of(1).Report().sources[1].refused, 0u);
  // Another connection.
  Of(1).LinkDown(NodeId(2));
  for (uint64_t now_ms = 11'000; now_ms < 12'000; now_ms += kBurstMs) Of(1).Step(now_ms);
  EXPECT_EQ(nodes_[NodeId(1)].sent, 8u + 9u + 8u);
}

TEST_F(ClockKeeperTest, AnAnswerToNoQuestionIsNone) {
  Make(2);
  Of(1).Step(1'000);
  ASSERT_EQ(wire_.size(), 1u);
  const uint64_t id = wire_.front().frame.clock_question().id();
  ClockAnswer answer;
  answer.set_id(id + 1);
  answer.set_claims(true);
  answer.set_received_us(kEpochUs);
  answer.set_answered_us(kEpochUs);
  Of(1).Answered(NodeId(2), answer);
  answer.set_id(id);
  Of(1).Answered(NodeId(7), answer);  // A stranger.
  EXPECT_EQ(Of(1).Report().sources[1].samples, 0u);
  Of(1).Answered(NodeId(2), answer);
  Of(1).Answered(NodeId(2), answer);  // Once more.
  EXPECT_EQ(Of(1).Report().sources[1].samples, 1u);
}

// Nothing that a peer says takes more than its own claim away.
TEST_F(ClockKeeperTest, HostileAnswers) {
  Make(3);
  Run(kSecond);
  uint64_t refused = 0;
  for (const int64_t time : {INT64_MIN, int64_t{-1}, int64_t{0}, int64_t{1}, INT64_MAX}) {
    for (const uint64_t error : {uint64_t{0}, uint64_t{60'000'001}, UINT64_MAX}) {
      ClockAnswer says;
      says.set_claims(true);
      says.set_received_us(time);
      says.set_answered_us(time);
      says.set_error_us(error);
      says.set_status(static_cast<ClockAnswer::Status>(77));
      nodes_[NodeId(3)].says = says;
      Run(2 * kSecond);
      EXPECT_EQ(Of(1).Now().status, Status::kSynchronised);
      ExpectTrue(1);
      const ClockSource third = Of(1).Report().sources.at(2);
      EXPECT_TRUE(third.refused > refused || third.is_false) << time << " " << error;
      refused = third.refused;
    }
  }
}

// A server that has answered is no agreement yet: it is not known who has to agree.
TEST_F(ClockKeeperTest, NobodyAgreesBeforeTheMembersAreKnown) {
  HeldClock clock(true_us_);
  ClockOptions options;
  options.ntp_servers = {"a:123"};
  ClockKeeper keeper(options, NodeId(1), clock, [](NodeId, PeerFrame) { return false; });
  const int64_t now_us = clock.ElapsedUs();
  const int64_t there_us = kEpochUs + true_us_ + 3'600 * kSecond;
  keeper.ServerSays(
      0, {clock::SampleOf({now_us - 2 * kMs, there_us, there_us, now_us}, 500), "", true});
  EXPECT_EQ(keeper.Now().status, Status::kUnsynchronised);
  keeper.SetVoters({NodeId(1), NodeId(2), NodeId(3)});
  EXPECT_EQ(keeper.Now().status, Status::kUnsynchronised);
}

TEST_F(ClockKeeperTest, KnowsWhichPeersKnowTheTime) {
  Make(3);
  Run(kSecond);
  const auto now_ms = static_cast<uint64_t>(true_us_ / kMs);
  EXPECT_TRUE(Of(1).IsSynchronised(now_ms, NodeId(2)));
  EXPECT_FALSE(Of(1).IsSynchronised(now_ms + 3'000, NodeId(2))) << "that was long ago";
  EXPECT_FALSE(Of(1).IsSynchronised(now_ms, NodeId(9)));
}

// --- Servers of time

class ServersTest : public ClockKeeperTest {
 protected:
  ServersTest() {
    options_.ntp_servers = {"a:123", "b:123", "c:123"};
    options_.own_error_ms = 0;
  }
  // As a server says whose clock is off by so much.
  void Says(uint64_t node, size_t server, int64_t off_us) {
    const int64_t now_us = ClockOf(node).ElapsedUs();
    const int64_t there_us = kEpochUs + true_us_ + off_us;
    Of(node).ServerSays(
        server, {clock::SampleOf({now_us - 2 * kMs, there_us - kMs, there_us - kMs, now_us}, 500),
                 "", true});
  }

  ClockOptions options_;
};

TEST_F(ServersTest, TheirMajorityIsTheNodesClaim) {
  Make(3, options_);
  for (uint64_t node = 1; node <= 3; ++node) ClockOf(node).off_us = -3'600 * kSecond;
  Run(kSecond);
  EXPECT_EQ(Of(1).Now().status, Status::kUnsynchronised) << "nobody keeps the machines' clocks";
  for (uint64_t node = 1; node <= 2; ++node) {
    Says(node, 0, 0);
    Says(node, 2, 100);
  }
  Run(2 * kSecond);
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_EQ(Of(node).Now().status, Status::kSynchronised) << "node " << node;
    EXPECT_LT(Of(node).Now().error_us(), 10 * kMs);
    ExpectTrue(node);
  }
}

TEST_F(ServersTest, OneOfThreeSaysNothing) {
  Make(1, options_);
  Says(1, 0, 0);
  EXPECT_EQ(Of(1).Now().status, Status::kUnsynchronised);
  Says(1, 1, 9 * kSecond);
  EXPECT_EQ(Of(1).Now().status, Status::kUnsynchronised) << "they contradict one another";
  Says(1, 2, 0);
  EXPECT_EQ(Of(1).Now().status, Status::kSynchronised);
  ExpectTrue(1);
  EXPECT_TRUE(Of(1).Report().sources[2].is_false);
}

// Where the servers do not agree the machine's clock counts, if somebody keeps it.
TEST_F(ServersTest, TheMachinesClockStandsIn) {
  options_.own_error_ms = 100;
  Make(1, options_);
  EXPECT_EQ(Of(1).Now().status, Status::kSynchronised);
  EXPECT_EQ(Of(1).Now().error_us(), 100 * kMs + 3);
  Says(1, 0, 0);
  Says(1, 1, 0);
  EXPECT_LT(Of(1).Now().error_us(), 5 * kMs);
}

TEST_F(ServersTest, AProblemIsTold) {
  Make(1, options_);
  Of(1).ServerSays(1, {std::nullopt, "no answer", false});
  Of(1).ServerSays(9, {std::nullopt, "there is none", false});
  EXPECT_EQ(Of(1).Report().sources[2].problem, "no answer");
  EXPECT_EQ(Of(1).Report().sources[2].refused, 1u);
  Says(1, 1, 0);
  EXPECT_EQ(Of(1).Report().sources[2].problem, "");
}

}  // namespace
}  // namespace holdfast::node
