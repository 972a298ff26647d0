// Where a write is at any moment, and what its caller may be told: one server under test, whose two
// peers are played by hand.
#include "src/node/write_router.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "src/raft/testing/memory_log.h"

namespace holdfast::node {
namespace {

using raft::AppendEntries;
using raft::AppendEntriesResult;
using raft::RequestVote;
using raft::RequestVoteResult;

constexpr NodeId kSelf{1}, kPeer{2}, kOther{3};
constexpr int64_t kNoTimer = INT64_MAX;
constexpr uint64_t kTimeoutMs = 5'000;

class FixedClock : public Clock {
 public:
  uint64_t MonotonicMs() const override { return 0; }
  int64_t WallUs() const override { return 1'000'000; }
};

class WriteRouterTest : public ::testing::Test {
 protected:
  struct Forwarded {
    NodeId to;
    uint64_t id;
    std::string body;
  };

  WriteRouterTest() {
    spdlog::set_level(spdlog::level::off);
    raft::Replica::FoundLog(log_, raft::Membership{{kSelf, kPeer, kOther}});
    log_.Write(log_.queued());
    replica_.emplace(raft::EngineOptions{kSelf}, log_, [this](NodeId to, raft::Message message) {
      if (to == kPeer) sent_.push_back(std::move(message));
    });
    router_.emplace(*replica_, kSelf, clock_,
                    [this](NodeId leader, uint64_t id, const Write& write, uint64_t) {
                      if (linked_) forwarded_.push_back({leader, id, write.request.body()});
                      return linked_;
                    });
    replica_->Start(now_ms_);
  }
  ~WriteRouterTest() override { spdlog::set_level(spdlog::level::info); }

  void Step() { router_->Step(now_ms_, kNoTimer); }
  void Persist() {
    while (log_.queued() > 0) replica_->Durable(now_ms_, log_.Write(log_.queued()));
  }

  // Elected with the peer's votes; the election's own entry is appended, not acknowledged.
  void Lead() {
    for (int round = 0; round < 10 && replica_->role() != raft::Role::kLeader; ++round) {
      sent_.clear();
      now_ms_ = std::max(now_ms_, replica_->timeout_ms());
      replica_->Tick(now_ms_);
      for (size_t i = 0; i < sent_.size(); ++i) {
        const auto* vote = std::get_if<RequestVote>(&sent_[i]);
        if (vote == nullptr) continue;
        const RequestVoteResult granted{vote->term, true, vote->pre_vote};
        replica_->Receive(now_ms_, kPeer, granted);
      }
    }
    ASSERT_EQ(replica_->role(), raft::Role::kLeader);
    Persist();
  }
  // The peer has all of our log.
  void Acknowledge() {
    Persist();
    replica_->Receive(now_ms_, kPeer,
                      AppendEntriesResult{replica_->term(), replica_->term(), LogIndex(0),
                                          log_.last()});
  }
  // `leader` leads a later term, and its log has only a barrier after `prev`.
  void FollowAnother(NodeId leader, LogIndex prev) {
    const Term term(replica_->term().value + 1);
    AppendEntries append{term, prev, log_.TermAt(prev), replica_->committed(), {}};
    append.entries.push_back(
        {term, wal::EntryType::kBarrier, std::make_shared<const std::string>()});
    replica_->Receive(now_ms_, leader, append);
    Persist();
    ASSERT_EQ(replica_->leader(), leader);
  }
  // That leader says that its barrier is committed.
  void HearOfCommit(NodeId leader) {
    const LogIndex last = log_.last();
    replica_->Receive(now_ms_, leader,
                      AppendEntries{replica_->term(), last, log_.TermAt(last), last, {}});
    ASSERT_EQ(replica_->committed(), last);
  }

  // The write's answer is noted under its body.
  void Add(const std::string& body, const std::string& key = "", bool for_a_peer = false) {
    auto write = std::make_unique<Write>();
    write->deadline_ms = now_ms_ + kTimeoutMs;
    write->forwarded_to_us = for_a_peer;
    write->request.set_body(body);
    write->request.set_idempotency_key(key);
    write->done = [this, body](Reply reply) {
      EXPECT_TRUE(answers_.emplace(body, std::move(reply)).second) << body << " answered twice";
    };
    router_->Add(std::move(write));
    Step();
  }
  ErrorCode AnswerTo(const std::string& body) {
    const auto found = answers_.find(body);
    EXPECT_NE(found, answers_.end()) << body << " is not answered";
    if (found == answers_.end() || found->second.body) return ErrorCode::kInternal;
    return found->second.body.error().code;
  }
  void LetTimeRunOut() {
    now_ms_ += kTimeoutMs;
    Step();
  }

  uint64_t now_ms_ = 1'000;
  FixedClock clock_;
  raft::sim::MemoryLog log_;
  std::vector<raft::Message> sent_;  // To the peer.
  std::vector<Forwarded> forwarded_;
  bool linked_ = true;
  std::map<std::string, Reply> answers_;
  std::optional<raft::Replica> replica_;
  std::optional<WriteRouter> router_;
};

TEST_F(WriteRouterTest, ProposesAndAnswersByIndexAndTerm) {
  Lead();
  Acknowledge();
  Add("a");
  Add("b");
  const LogIndex last = log_.last();
  EXPECT_EQ(router_->TakeWaiting(last.Previous(), replica_->term()).size(), 1u);
  EXPECT_EQ(router_->TakeWaiting(last, replica_->term()).size(), 1u);
  EXPECT_TRUE(answers_.empty()) << "that is the applier's";
}

// What went wrong: only the batch at the committed index was looked at, so a later one of the lost
// term stood in the way of the next proposal at its index, and stopped the node.
TEST_F(WriteRouterTest, LeadsAgainAfterATermWhoseProposalsWereLost) {
  Lead();
  Acknowledge();
  const LogIndex agreed = log_.last();
  Add("a");
  Add("b");
  Add("c");
  ASSERT_EQ(log_.last().value, agreed.value + 3);
  FollowAnother(kPeer, agreed);
  HearOfCommit(kPeer);
  EXPECT_TRUE(router_->TakeWaiting(agreed.Next(), replica_->term()).empty());
  EXPECT_EQ(router_->waiting(), 3u) << "certainly not done, all of them";
  Lead();
  Step();
  EXPECT_EQ(router_->waiting(), 0u);
  EXPECT_EQ(router_->TakeWaiting(log_.last(), replica_->term()).size(), 3u);
  EXPECT_TRUE(answers_.empty());
}

TEST_F(WriteRouterTest, ProposesBesideAnOpenProposalOfALostTerm) {
  Lead();
  Acknowledge();
  const LogIndex agreed = log_.last();
  Add("a");
  Add("b");
  FollowAnother(kPeer, agreed);
  Lead();  // Without knowing whether the other's barrier was committed.
  Add("c");
  ASSERT_EQ(log_.last().value, agreed.value + 3);
  EXPECT_EQ(router_->waiting(), 0u);
  // The barrier of the other term is agreed on, then ours: the first two were not done.
  EXPECT_TRUE(router_->TakeWaiting(agreed.Next(), log_.TermAt(agreed.Next())).empty());
  EXPECT_EQ(router_->waiting(), 2u);
  EXPECT_TRUE(answers_.empty());
}

TEST_F(WriteRouterTest, WithoutALeaderNothingWasDone) {
  Add("a");
  Add("b", "key");
  LetTimeRunOut();
  EXPECT_EQ(AnswerTo("a"), ErrorCode::kUnavailable);
  EXPECT_EQ(AnswerTo("b"), ErrorCode::kUnavailable);
}

TEST_F(WriteRouterTest, WhatIsProposedAndNotCommittedInTimeIsUnknown) {
  Lead();
  Add("a");
  LetTimeRunOut();
  EXPECT_EQ(AnswerTo("a"), ErrorCode::kOutcomeUnknown);
  const std::vector<Done> late = router_->TakeWaiting(log_.last(), replica_->term());
  ASSERT_EQ(late.size(), 1u);
  EXPECT_FALSE(late[0]) << "nobody waits any more";
}

TEST_F(WriteRouterTest, ForwardsAndTriesAgainWhatTheLeaderRefused) {
  FollowAnother(kPeer, log_.last());
  Add("a");
  ASSERT_EQ(forwarded_.size(), 1u);
  EXPECT_EQ(forwarded_[0].to, kPeer);
  router_->ForwardAnswered(forwarded_[0].id,
                           Reply{Fail(Error{ErrorCode::kUnavailable, "", "", "", 0}), {}, false},
                           now_ms_);
  Step();
  EXPECT_EQ(forwarded_.size(), 1u) << "not at once";
  now_ms_ += 100;
  Step();
  ASSERT_EQ(forwarded_.size(), 2u);
  router_->ForwardAnswered(forwarded_[1].id, Reply{"done", LogIndex(7), false}, now_ms_);
  ASSERT_TRUE(answers_.contains("a"));
  EXPECT_EQ(*answers_.at("a").body, "done");
  EXPECT_EQ(answers_.at("a").position, LogIndex(7));
}

TEST_F(WriteRouterTest, WhatNeverLeftWaits) {
  FollowAnother(kPeer, log_.last());
  linked_ = false;
  Add("a");
  Add("b");
  router_->LinkDown(kPeer, now_ms_);
  EXPECT_TRUE(answers_.empty());
  linked_ = true;
  now_ms_ += 100;
  Step();
  EXPECT_EQ(forwarded_.size(), 2u);
  linked_ = false;
  Add("c");
  LetTimeRunOut();
  EXPECT_EQ(AnswerTo("c"), ErrorCode::kUnavailable);
}

TEST_F(WriteRouterTest, ABrokenLinkIsUnknownOrRepeatedUnderItsKey) {
  FollowAnother(kPeer, log_.last());
  Add("a");
  Add("b", "key");
  router_->LinkDown(kPeer, now_ms_);
  EXPECT_EQ(AnswerTo("a"), ErrorCode::kOutcomeUnknown);
  EXPECT_FALSE(answers_.contains("b"));
  now_ms_ += 100;
  Step();
  ASSERT_EQ(forwarded_.size(), 3u);
  EXPECT_EQ(forwarded_[2].body, "b");
}

// What went wrong: the second time it was waiting again, and so "nothing was done".
TEST_F(WriteRouterTest, WhatWasSentOnceIsNeverCalledUndone) {
  FollowAnother(kPeer, log_.last());
  Add("a", "key-a");
  Add("b", "key-b");
  router_->LinkDown(kPeer, now_ms_);
  now_ms_ += 100;
  Step();
  ASSERT_EQ(forwarded_.size(), 4u);
  router_->ForwardAnswered(
      forwarded_[2].id, Reply{Fail(Error{ErrorCode::kResourceExhausted, "", "", "", 0}), {}, false},
      now_ms_);
  EXPECT_EQ(AnswerTo("a"), ErrorCode::kOutcomeUnknown);
  router_->LinkDown(kPeer, now_ms_);
  LetTimeRunOut();
  EXPECT_EQ(AnswerTo("b"), ErrorCode::kOutcomeUnknown);
}

TEST_F(WriteRouterTest, WhatHasAKeyFollowsTheLeader) {
  FollowAnother(kPeer, log_.last());
  Add("a");
  Add("b", "key");
  FollowAnother(kOther, log_.last());
  Step();
  ASSERT_EQ(forwarded_.size(), 3u);
  EXPECT_EQ(forwarded_[2].to, kOther);
  EXPECT_EQ(forwarded_[2].body, "b");
}

// What went wrong: it followed every new leader but this server itself, and waited for one that
// stood still.
TEST_F(WriteRouterTest, WhatHasAKeyIsProposedByWhoeverForwardedItAndLeadsNow) {
  FollowAnother(kPeer, log_.last());
  Add("a");
  Add("b", "key");
  Lead();
  const LogIndex before = log_.last();
  Step();
  EXPECT_EQ(log_.last(), before.Next());
  EXPECT_EQ(router_->TakeWaiting(log_.last(), replica_->term()).size(), 1u);
  LetTimeRunOut();
  EXPECT_EQ(AnswerTo("a"), ErrorCode::kOutcomeUnknown);
}

TEST_F(WriteRouterTest, APeersWriteIsNotPassedOn) {
  FollowAnother(kPeer, log_.last());
  Add("a", "key", /*for_a_peer=*/true);
  EXPECT_EQ(AnswerTo("a"), ErrorCode::kUnavailable);
  EXPECT_TRUE(forwarded_.empty());
}

}  // namespace
}  // namespace holdfast::node
