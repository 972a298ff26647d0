// How one membership gives way to the next, as one server sees it. Whole groups that change their
// members in trouble: replica_sim_test.cc.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <optional>
#include <utility>
#include <vector>

#include "src/raft/replica.h"
#include "src/raft/testing/memory_log.h"

namespace holdfast::raft {
namespace {

constexpr NodeId kSelf{1}, kPeer{2}, kOther{3}, kNew{4};
const Membership kMembers{{kSelf, kPeer, kOther}};

class ReplicaMembershipTest : public ::testing::Test {
 protected:
  ReplicaMembershipTest() {
    spdlog::set_level(spdlog::level::off);
    Replica::FoundLog(log_, kMembers);
    Begin(kMembers);
  }
  ~ReplicaMembershipTest() override { spdlog::set_level(spdlog::level::info); }

  void Begin(const Membership& membership) {
    if (log_.queued() > 0) log_.Write(log_.queued());
    replica_.emplace(EngineOptions{kSelf}, membership, log_,
                     [this](NodeId to, LogIndex by, Message message) {
                       sent_.push_back({to, by, std::move(message)});
                     });
    replica_->Start(now_ms_, LogIndex(0));
  }
  void Persist() {
    while (log_.queued() > 0) replica_->Durable(now_ms_, log_.Write(log_.queued()));
  }
  bool Hears(NodeId from, LogIndex by, Message message) {
    return replica_->Receive(now_ms_, from, by, std::move(message));
  }
  LogIndex Present() const { return replica_->membership().index; }
  // Elected by the peer, as soon as that is possible.
  void Lead() {
    for (int round = 0; round < 10 && replica_->role() != Role::kLeader; ++round) {
      sent_.clear();
      now_ms_ = std::max(now_ms_, replica_->timeout_ms());
      replica_->Tick(now_ms_);
      for (size_t i = 0; i < sent_.size(); ++i) {
        const auto* vote = std::get_if<RequestVote>(&sent_[i].message);
        if (vote == nullptr || sent_[i].to != kPeer) continue;
        Hears(kPeer, Present(), RequestVoteResult{vote->term, true, vote->pre_vote});
      }
    }
    ASSERT_EQ(replica_->role(), Role::kLeader);
    Persist();
  }
  // `from` holds all of the log.
  void Acknowledge(NodeId from, bool rejoining = false) {
    Hears(from, Present(),
          AppendEntriesResult{replica_->term(), replica_->term(), LogIndex(0), log_.last(),
                              rejoining});
  }
  void LeadAndSettle() {
    Lead();
    Acknowledge(kPeer);
    ASSERT_TRUE(replica_->KnowsCommitted());
  }
  static Membership WithLearner() {
    Membership next = kMembers;
    next.learners = {kNew};
    return next;
  }

  struct Sent {
    NodeId to;
    LogIndex by;
    Message message;
  };
  uint64_t now_ms_ = 10'000;
  sim::MemoryLog log_;
  std::optional<Replica> replica_;
  std::vector<Sent> sent_;
};

TEST_F(ReplicaMembershipTest, OnlyALeaderWhoseTermHasCommittedSomethingProposes) {
  EXPECT_FALSE(replica_->ProposeMembership(now_ms_, WithLearner()));
  Lead();
  EXPECT_FALSE(replica_->ProposeMembership(now_ms_, WithLearner())) << "its barrier is on its way";
  Acknowledge(kPeer);
  EXPECT_TRUE(replica_->ProposeMembership(now_ms_, WithLearner()));
  EXPECT_FALSE(replica_->ProposeMembership(now_ms_, WithLearner())) << "one at a time";
}

TEST_F(ReplicaMembershipTest, ComesIntoForceWhenCommittedAndNothingIsProposedBehindIt) {
  LeadAndSettle();
  const auto position = replica_->ProposeMembership(now_ms_, WithLearner());
  ASSERT_TRUE(position);
  EXPECT_FALSE(replica_->Propose(now_ms_, "behind it"));
  Persist();
  EXPECT_FALSE(replica_->next_membership()) << "not committed";
  Acknowledge(kPeer);
  ASSERT_TRUE(replica_->next_membership());
  EXPECT_EQ(replica_->next_membership()->index, position->index);
  EXPECT_EQ(replica_->next_membership()->learners, std::vector{kNew});
  EXPECT_EQ(Present(), LogIndex(1));
  const Term term = replica_->term();
  const LogIndex committed = replica_->committed();
  replica_->Adopt(now_ms_);
  EXPECT_EQ(Present(), position->index);
  EXPECT_EQ(replica_->role(), Role::kFollower);
  EXPECT_EQ(replica_->term(), term);
  EXPECT_EQ(replica_->committed(), committed) << "what is committed stays so";
  EXPECT_LE(replica_->timeout_ms(), now_ms_) << "who led stands for election at once";
  Lead();
  EXPECT_TRUE(replica_->Propose(now_ms_, "goes on"));
}

TEST_F(ReplicaMembershipTest, MessagesOfAnotherMembershipAreNotHeard) {
  LeadAndSettle();
  const Term later(replica_->term().value + 5);
  EXPECT_FALSE(
      Hears(kPeer, LogIndex(9), AppendEntriesResult{later, later, LogIndex(1), LogIndex(1)}));
  EXPECT_FALSE(
      Hears(kPeer, LogIndex(0), AppendEntriesResult{later, later, LogIndex(1), LogIndex(1)}));
  EXPECT_EQ(replica_->role(), Role::kLeader);
  EXPECT_TRUE(
      Hears(kPeer, LogIndex(1), AppendEntriesResult{later, later, LogIndex(1), LogIndex(1)}));
  EXPECT_EQ(replica_->role(), Role::kFollower);
  for (const Sent& sent : sent_) EXPECT_EQ(sent.by, LogIndex(1));
}

TEST_F(ReplicaMembershipTest, WhatComesBeforeItIsAdoptedWaits) {
  Membership next = WithLearner();
  next.index = LogIndex(7);
  replica_->Learn(next);
  next.index = LogIndex(5);
  replica_->Learn(next);  // Older than what is known already.
  ASSERT_EQ(replica_->next_membership()->index, LogIndex(7));
  const RequestVote vote{Term(9), LogIndex(8), Term(8), true, false};
  EXPECT_TRUE(Hears(kPeer, LogIndex(7), vote));
  EXPECT_EQ(replica_->term(), Term(1));
  sent_.clear();
  replica_->Adopt(now_ms_);
  EXPECT_EQ(replica_->term(), Term(9));
  ASSERT_FALSE(sent_.empty());
  EXPECT_TRUE(std::get<RequestVoteResult>(sent_.back().message).granted);
  EXPECT_EQ(sent_.back().by, LogIndex(7));
}

TEST_F(ReplicaMembershipTest, AMembershipThatCouldElectNobodyIsRefused) {
  LeadAndSettle();
  Membership pair{{kSelf, kPeer}};
  Acknowledge(kPeer, /*rejoining=*/true);
  EXPECT_FALSE(replica_->ProposeMembership(now_ms_, pair)) << "the peer has no voice";
  Acknowledge(kPeer);
  now_ms_ += 10 * EngineOptions{kSelf}.election_timeout_ms;
  EXPECT_FALSE(replica_->ProposeMembership(now_ms_, pair)) << "the peer is silent";
  Acknowledge(kPeer);
  EXPECT_TRUE(replica_->ProposeMembership(now_ms_, pair));
}

TEST_F(ReplicaMembershipTest, ALearnersWordDoesNotCommit) {
  LeadAndSettle();
  ASSERT_TRUE(replica_->ProposeMembership(now_ms_, WithLearner()));
  Persist();
  Acknowledge(kPeer);
  replica_->Adopt(now_ms_);
  Lead();
  const LogIndex committed = replica_->committed();
  Acknowledge(kNew);
  EXPECT_EQ(replica_->committed(), committed);
  EXPECT_EQ(replica_->MatchOf(kNew), log_.last());
  Acknowledge(kPeer);
  EXPECT_EQ(replica_->committed(), log_.last());
}

TEST_F(ReplicaMembershipTest, AChangeOnDiskIsFoundAgain) {
  LeadAndSettle();
  ASSERT_TRUE(replica_->ProposeMembership(now_ms_, WithLearner()));
  Persist();
  Begin(kMembers);
  EXPECT_FALSE(replica_->next_membership());
  LeadAndSettle();
  ASSERT_TRUE(replica_->next_membership());
  EXPECT_EQ(replica_->next_membership()->learners, std::vector{kNew});
}

TEST_F(ReplicaMembershipTest, ASingleVoterBeginsEachLifeInANewTerm) {
  sim::MemoryLog log;
  const Membership alone{{kSelf}};
  Replica::FoundLog(log, alone);
  log.Write(1);
  for (uint64_t life = 1; life <= 3; ++life) {
    Replica replica(EngineOptions{kSelf}, alone, log, [](NodeId, LogIndex, Message) {});
    replica.Start(now_ms_, LogIndex(0));
    EXPECT_EQ(replica.role(), Role::kLeader);
    EXPECT_EQ(replica.term(), Term(1 + life));
    while (log.queued() > 0) replica.Durable(now_ms_, log.Write(log.queued()));
  }
}

// What went wrong: a server whose disk was lost asked a leader that was alone and wrote nothing,
// and waited for its next write.
TEST_F(ReplicaMembershipTest, ASingleVotersMembershipIsSettledAtOnce) {
  Membership alone{{kSelf}, {kPeer}};
  alone.index = LogIndex(7);
  Begin(alone);
  sent_.clear();
  EXPECT_TRUE(Hears(kPeer, LogIndex(7), RejoinRequest{}));
  ASSERT_FALSE(sent_.empty());
  EXPECT_TRUE(std::get<RejoinAnswer>(sent_.front().message).settled);
}

// What went wrong: after a restart nobody knew any more that the membership was settled, and a
// leader that was elected with everything committed wrote nothing by which it could know.
TEST_F(ReplicaMembershipTest, ALeaderThatHasNothingToWriteDoesSoForWhoAsks) {
  Membership later = kMembers;
  later.index = LogIndex(7);
  if (log_.queued() > 0) log_.Write(log_.queued());
  replica_.emplace(EngineOptions{kSelf}, later, log_,
                   [this](NodeId to, LogIndex by, Message message) {
                     sent_.push_back({to, by, std::move(message)});
                   });
  replica_->Start(now_ms_, LogIndex(1));
  Lead();
  ASSERT_EQ(log_.last(), LogIndex(1)) << "everything is committed";
  EXPECT_TRUE(Hears(kPeer, LogIndex(7), RejoinRequest{}));
  EXPECT_EQ(log_.last(), LogIndex(2));
  Persist();
  Acknowledge(kOther);
  sent_.clear();
  EXPECT_TRUE(Hears(kPeer, LogIndex(7), RejoinRequest{}));
  ASSERT_FALSE(sent_.empty());
  EXPECT_TRUE(std::get<RejoinAnswer>(sent_.front().message).settled);
}

// What went wrong: elected with everything committed it wrote its first command with nothing before
// it, so nobody could see in the log that another had led, and leases ended by the difference of
// their clocks too early.
TEST_F(ReplicaMembershipTest, ALeadersFirstCommandComesBehindABarrier) {
  if (log_.queued() > 0) log_.Write(log_.queued());
  replica_.emplace(EngineOptions{kSelf}, kMembers, log_,
                   [this](NodeId to, LogIndex by, Message message) {
                     sent_.push_back({to, by, std::move(message)});
                   });
  replica_->Start(now_ms_, LogIndex(1));
  Lead();
  ASSERT_EQ(log_.last(), LogIndex(1)) << "everything is committed";
  const auto first = replica_->Propose(now_ms_, "first");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->index, LogIndex(3));
  EXPECT_EQ(log_.TypeAt(LogIndex(2)), wal::EntryType::kBarrier);
  EXPECT_EQ(log_.TypeAt(LogIndex(3)), wal::EntryType::kCommand);
  EXPECT_EQ(replica_->Propose(now_ms_, "second")->index, LogIndex(4));
}

TEST(MembershipTest, OneStepIsOneServer) {
  const Membership three = kMembers;
  const auto step = [&](std::vector<NodeId> voters, std::vector<NodeId> learners) {
    return Membership{std::move(voters), std::move(learners)}.IsOneStepFrom(three);
  };
  EXPECT_TRUE(step({kSelf, kPeer, kOther}, {}));
  EXPECT_TRUE(step({kSelf, kPeer, kOther}, {kNew}));
  EXPECT_TRUE(step({kSelf, kPeer, kOther, kNew}, {}));
  EXPECT_TRUE(step({kSelf, kPeer}, {}));
  EXPECT_TRUE(step({kSelf, kPeer}, {kOther}));
  EXPECT_FALSE(step({kSelf}, {}));
  EXPECT_FALSE(step({kSelf, kPeer, kNew}, {})) << "one goes and another comes";
  EXPECT_FALSE(step({kSelf, kPeer}, {kNew}));
  EXPECT_FALSE(step({kSelf, kPeer, kOther}, {kNew, NodeId(5)}));
}

}  // namespace
}  // namespace holdfast::raft
