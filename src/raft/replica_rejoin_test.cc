// One server that has lost its disk, between two others that are played by hand: what it does, and
// above all what it does not do, before it has its voice back.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "src/base/testing/stopped.h"
#include "src/raft/replica.h"
#include "src/raft/testing/memory_log.h"

namespace holdfast::raft {
namespace {

using sim::MemoryLog;

constexpr NodeId kSelf{1}, kLeader{2}, kOther{3};
const Membership kMembers{{kSelf, kLeader, kOther}};

class ReplicaRejoinTest : public ::testing::Test {
 protected:
  ReplicaRejoinTest() {
    spdlog::set_level(spdlog::level::off);
    Replica::FoundLog(log_, kMembers);
    log_.Write(1);
    Begin();
  }
  ~ReplicaRejoinTest() override { spdlog::set_level(spdlog::level::info); }

  void Begin() {
    sent_.clear();
    replica_.emplace(EngineOptions{kSelf}, kMembers, log_,
                     [this](NodeId to, LogIndex, Message message) {
                       sent_.emplace_back(to, std::move(message));
                     });
    replica_->Start(now_ms_, LogIndex(0), true);
  }
  template <class M>
  size_t Sent(NodeId to) const {
    return static_cast<size_t>(std::count_if(sent_.begin(), sent_.end(), [&](const auto& out) {
      return out.first == to && std::holds_alternative<M>(out.second);
    }));
  }
  void Receive(NodeId from, Message message) {
    sent_.clear();
    replica_->Receive(now_ms_, from, LogIndex(1), std::move(message));
  }
  void BothAnswer(uint64_t leader_term, uint64_t other_term) {
    Receive(kLeader, RejoinAnswer{Term(leader_term), true, LogIndex(3)});
    Receive(kOther, RejoinAnswer{Term(other_term), false, LogIndex(1)});
  }
  // The leader's entries 2 and 3, durable.
  void Store(uint64_t term) {
    AppendEntries append{Term(term), LogIndex(1), Term(1), LogIndex(1), {}};
    for (int i = 0; i < 2; ++i) {
      append.entries.push_back(
          {Term(term), wal::EntryType::kCommand, std::make_shared<const std::string>("x")});
    }
    Receive(kLeader, append);
    if (log_.queued() > 0) replica_->Durable(now_ms_, log_.Write(log_.queued()));
  }
  void Later(uint64_t ms) {
    now_ms_ += ms;
    sent_.clear();
    replica_->Tick(now_ms_);
  }

  testing::StopThrows stop_throws_;
  MemoryLog log_;
  std::optional<Replica> replica_;
  std::vector<std::pair<NodeId, Message>> sent_;
  uint64_t now_ms_ = 1'000;
};

TEST_F(ReplicaRejoinTest, TakesNoPartBeforeAllOthersHaveAnswered) {
  EXPECT_EQ(Sent<RejoinRequest>(kLeader), 1u);
  EXPECT_EQ(Sent<RejoinRequest>(kOther), 1u);
  Receive(kLeader, RejoinAnswer{Term(5), true, LogIndex(3)});
  EXPECT_FALSE(replica_->takes_part()) << "the other may hold a vote of ours in term 6";
  Store(5);
  Receive(kOther, RequestVote{Term(6), LogIndex(9), Term(5)});
  Receive(kLeader, TimeoutNow{Term(5), LogIndex(3), Term(5)});
  EXPECT_TRUE(sent_.empty());
  EXPECT_EQ(log_.last(), LogIndex(1));
  EXPECT_EQ(log_.hard_state(), (wal::HardState{Term(1), NodeId(0)}));
  Later(10'000);
  EXPECT_EQ(Sent<RejoinRequest>(kOther), 1u) << "asks again";
  EXPECT_EQ(Sent<RequestVote>(kOther), 0u);
}

TEST_F(ReplicaRejoinTest, AnotherThatLostItsDiskIsAnswered) {
  Receive(kOther, RejoinRequest{});
  ASSERT_EQ(Sent<RejoinAnswer>(kOther), 1u);
  EXPECT_EQ(std::get<RejoinAnswer>(sent_[0].second).term, Term(0));
}

TEST_F(ReplicaRejoinTest, EntersTheHighestTermWithItsVoteSpent) {
  BothAnswer(5, 7);
  EXPECT_TRUE(replica_->takes_part());
  EXPECT_EQ(log_.hard_state(), (wal::HardState{Term(7), kSelf}));
  // Term 5's leader may have been deposed by a vote of ours: it is not to commit through us.
  Store(5);
  EXPECT_EQ(log_.last(), LogIndex(1));
  ASSERT_EQ(Sent<AppendEntriesResult>(kLeader), 1u);
  EXPECT_EQ(std::get<AppendEntriesResult>(sent_[0].second).term, Term(7));
}

TEST_F(ReplicaRejoinTest, StoresAndAcknowledgesWithoutAVoice) {
  BothAnswer(5, 4);
  Store(5);
  EXPECT_EQ(log_.last(), LogIndex(3));
  ASSERT_EQ(Sent<AppendEntriesResult>(kLeader), 1u);
  EXPECT_EQ(std::get<AppendEntriesResult>(sent_.back().second).last_index, LogIndex(3));
  Receive(kOther, RequestVote{Term(6), LogIndex(9), Term(5), true});
  EXPECT_TRUE(sent_.empty());
  for (int i = 0; i < 20; ++i) Later(1'000);
  EXPECT_EQ(replica_->role(), Role::kFollower) << "it does not stand for election";
  EXPECT_EQ(replica_->term(), Term(5));
}

TEST_F(ReplicaRejoinTest, HasItsVoiceBackOnceItHoldsWhatTheLeaderHeld) {
  BothAnswer(5, 4);
  Receive(kOther, RejoinAnswer{Term(5), false, LogIndex(1)});
  EXPECT_FALSE(replica_->caught_up()) << "only the leader's word counts";
  AppendEntries heartbeat{Term(5), LogIndex(1), Term(1), LogIndex(1), {}};
  Receive(kLeader, heartbeat);
  Later(100);
  EXPECT_EQ(Sent<RejoinRequest>(kLeader), 1u);
  EXPECT_EQ(Sent<RejoinRequest>(kOther), 0u);
  Receive(kLeader, RejoinAnswer{Term(5), true, LogIndex(3)});
  EXPECT_FALSE(replica_->caught_up());
  Store(5);
  ASSERT_TRUE(replica_->caught_up());
  replica_->Rejoined();
  EXPECT_FALSE(replica_->rejoining());
  Receive(kOther, RequestVote{Term(6), LogIndex(9), Term(5), true});  // At the leader's own wish.
  ASSERT_EQ(Sent<RequestVoteResult>(kOther), 1u);
  EXPECT_TRUE(std::get<RequestVoteResult>(sent_.back().second).granted);
}

TEST_F(ReplicaRejoinTest, WhatIsOnlyOnItsWayToTheDiskDoesNotCount) {
  BothAnswer(5, 4);
  AppendEntries append{Term(5), LogIndex(1), Term(1), LogIndex(1), {}};
  append.entries.push_back(
      {Term(5), wal::EntryType::kCommand, std::make_shared<const std::string>("x")});
  Receive(kLeader, append);
  Receive(kLeader, RejoinAnswer{Term(5), true, LogIndex(2)});
  EXPECT_FALSE(replica_->caught_up());
  replica_->Durable(now_ms_, log_.Write(1));
  EXPECT_TRUE(replica_->caught_up());
}

TEST_F(ReplicaRejoinTest, ALifeCutShortBeginsAnewAndForgetsNothing) {
  BothAnswer(5, 4);
  Store(5);
  Begin();
  EXPECT_FALSE(replica_->takes_part());
  BothAnswer(5, 4);
  EXPECT_EQ(log_.hard_state(), (wal::HardState{Term(5), kSelf}));
  EXPECT_EQ(log_.last(), LogIndex(3));
}

}  // namespace
}  // namespace holdfast::raft
