// From whom a linearizable read learns its index, and what it is told when nobody can say.
#include "src/node/read_router.h"

#include <gtest/gtest.h>

#include "src/node/testing/played_peers.h"

namespace holdfast::node {
namespace {

using testing::kOther, testing::kPeer, testing::kSelf;

constexpr uint64_t kTimeoutMs = 5'000;

class ReadRouterTest : public testing::PlayedPeers {
 protected:
  struct Asked {
    NodeId leader;
    uint64_t id;
  };

  ReadRouterTest() {
    read_index_.emplace(*replica_, kSelf,
                        [this](const raft::ReadIndex::Probe& probe) { probes_.push_back(probe); });
    router_.emplace(*replica_, *read_index_, kSelf, [this](NodeId leader, uint64_t id) {
      asked_.push_back({leader, id});
    });
  }

  // As the node's loop does after every event.
  void Step() {
    read_index_->Step(now_ms_);
    router_->Step(now_ms_);
  }
  void Pass(uint64_t ms) {
    now_ms_ += ms;
    Step();
  }
  void Add(const std::string& name) {
    router_->Add(now_ms_ + kTimeoutMs, [this, name](Result<LogIndex> index) {
      EXPECT_TRUE(answers_.emplace(name, std::move(index)).second) << name << " answered twice";
    });
    Step();
  }
  void Confirm() {
    ASSERT_FALSE(probes_.empty());
    read_index_->Answer(kPeer, probes_.back().term, probes_.back().sequence);
    Step();
  }
  // 0: not answered. An error is no index either.
  uint64_t IndexOf(const std::string& name) {
    const auto found = answers_.find(name);
    if (found == answers_.end()) return 0;
    return found->second ? found->second->value : UINT64_MAX;
  }
  void ExpectNoQuorum(const std::string& name) {
    ASSERT_TRUE(answers_.contains(name)) << name << " is not answered";
    ASSERT_FALSE(answers_.at(name));
    EXPECT_EQ(answers_.at(name).error().code, ErrorCode::kUnavailable);
    EXPECT_GT(answers_.at(name).error().retry_after_ms, 0u);
  }

  std::vector<raft::ReadIndex::Probe> probes_;
  std::vector<Asked> asked_;
  std::map<std::string, Result<LogIndex>> answers_;
  std::optional<raft::ReadIndex> read_index_;
  std::optional<ReadRouter> router_;
};

TEST_F(ReadRouterTest, TheLeaderAsksItsPeers) {
  Lead();
  Acknowledge();
  Add("a");
  EXPECT_EQ(IndexOf("a"), 0u) << "not before a majority has confirmed";
  Confirm();
  EXPECT_EQ(IndexOf("a"), replica_->committed().value);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(ReadRouterTest, WhatComesDuringARoundWaitsForTheNext) {
  Lead();
  Acknowledge();
  Add("a");
  Add("b");
  Confirm();
  EXPECT_NE(IndexOf("a"), 0u);
  EXPECT_EQ(IndexOf("b"), 0u) << "its round began before the read";
  Confirm();
  EXPECT_NE(IndexOf("b"), 0u);
}

TEST_F(ReadRouterTest, ASlowRoundIsARoundAllTheSame) {
  Lead();
  Acknowledge();
  Add("a");
  for (int i = 0; i < 10; ++i) Pass(100);
  Confirm();
  EXPECT_EQ(IndexOf("a"), replica_->committed().value);
}

TEST_F(ReadRouterTest, AFollowerAsksTheLeaderOnceForAll) {
  Add("a");
  Add("b");
  FollowAnother(kPeer, log_.last());
  Step();
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_EQ(asked_[0].leader, kPeer);
  Add("late");
  router_->Answered(asked_[0].id, LogIndex(7));
  EXPECT_EQ(IndexOf("a"), 7u);
  EXPECT_EQ(IndexOf("b"), 7u);
  EXPECT_EQ(IndexOf("late"), 0u) << "asked after the question was sent";
  Step();
  ASSERT_EQ(asked_.size(), 2u);
  router_->Answered(asked_[1].id, LogIndex(9));
  EXPECT_EQ(IndexOf("late"), 9u);
}

TEST_F(ReadRouterTest, ARefusalOrALostQuestionIsAskedAgain) {
  FollowAnother(kPeer, log_.last());
  Add("a");
  router_->Answered(asked_[0].id, LogIndex(0));
  Step();
  EXPECT_EQ(asked_.size(), 1u) << "not at once";
  Pass(100);
  ASSERT_EQ(asked_.size(), 2u);
  Pass(500);  // No answer to this one.
  ASSERT_EQ(asked_.size(), 3u);
  Add("b");
  router_->Answered(asked_[1].id, LogIndex(7));
  EXPECT_EQ(IndexOf("a"), 7u) << "a slow answer is an answer: it was found after the question";
  EXPECT_EQ(IndexOf("b"), 0u) << "asked after the question was sent";
  router_->Answered(asked_[2].id, LogIndex(7));
  EXPECT_EQ(IndexOf("b"), 0u) << "the second answer to the same question";
}

TEST_F(ReadRouterTest, AsksWhoeverLeadsNow) {
  FollowAnother(kPeer, log_.last());
  Add("a");
  FollowAnother(kOther, log_.last());
  Step();
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_EQ(asked_[1].leader, kOther);
  Lead();
  Acknowledge();
  Step();
  Confirm();
  EXPECT_EQ(IndexOf("a"), replica_->committed().value);
}

TEST_F(ReadRouterTest, ADeposedLeaderAsksTheNext) {
  Lead();
  Acknowledge();
  Add("a");
  FollowAnother(kPeer, log_.last());
  Step();
  Pass(100);
  ASSERT_EQ(asked_.size(), 1u);
  router_->Answered(asked_[0].id, LogIndex(7));
  EXPECT_EQ(IndexOf("a"), 7u);
}

TEST_F(ReadRouterTest, WithoutALeaderTheDeadlineEndsIt) {
  Add("a");
  Pass(kTimeoutMs - 1);
  EXPECT_FALSE(answers_.contains("a"));
  Pass(100);
  ExpectNoQuorum("a");
}

TEST_F(ReadRouterTest, ASilentLeaderToo) {
  FollowAnother(kPeer, log_.last());
  Add("a");
  Pass(kTimeoutMs);
  ExpectNoQuorum("a");
  router_->Answered(asked_.back().id, LogIndex(7));
}

// What went wrong: reads in a round of our own were nobody's to give up. They outlived their
// deadlines, and a node that stopped never answered them.
TEST_F(ReadRouterTest, ALeaderWithoutAQuorumToo) {
  Lead();
  Acknowledge();
  Add("a");
  Pass(kTimeoutMs);
  ExpectNoQuorum("a");
  Confirm();
}

TEST_F(ReadRouterTest, StoppingAnswersEveryone) {
  Lead();
  Acknowledge();
  Add("in a round");
  Add("for the next");
  router_->Stop();
  ExpectNoQuorum("in a round");
  ExpectNoQuorum("for the next");
}

// What went wrong: nobody steps the router of a node that was removed, and what came was never told
// that its time was up.
TEST_F(ReadRouterTest, WhoComesAfterTheStopIsAnswered) {
  Lead();
  Acknowledge();
  router_->Stop();
  router_->Add(now_ms_ + kTimeoutMs,
               [this](Result<LogIndex> index) { answers_.emplace("late", std::move(index)); });
  ExpectNoQuorum("late");
}

}  // namespace
}  // namespace holdfast::node
