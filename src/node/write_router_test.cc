// Where a write is at any moment, and what its caller may be told: one server under test, whose two
// peers are played by hand.
#include "src/node/write_router.h"

#include <gtest/gtest.h>

#include "src/node/testing/played_peers.h"
#include "src/node/wire.h"
#include "src/state_machine/repeated_key.h"

namespace holdfast::node {
namespace {

using testing::kOther, testing::kPeer, testing::kSelf;

constexpr int64_t kNoTimer = INT64_MAX;
constexpr int64_t kWallUs = 1'000'000;
constexpr uint64_t kTimeoutMs = 5'000;

class HeldClock : public Clock {
 public:
  uint64_t MonotonicMs() const override { return 0; }
  int64_t ElapsedUs() const override { return elapsed_us; }
  int64_t WallUs() const override { return wall_us; }

  int64_t elapsed_us = 0;
  int64_t wall_us = kWallUs;
};

class WriteRouterTest : public testing::PlayedPeers {
 protected:
  struct Forwarded {
    NodeId to;
    uint64_t id;
    std::string body;
  };

  WriteRouterTest() { Live(0); }

  // A life of the process: the router of the one before is forgotten.
  void Live(uint64_t first_id, size_t entry_requests = bounds::kEntryRequestsMax) {
    const auto forward = [this](NodeId leader, uint64_t id, const Write& write, uint64_t) {
      if (linked_) forwarded_.push_back({leader, id, write.request.body()});
      return linked_;
    };
    router_.emplace(*replica_, kSelf, stamps_, forward, first_id, entry_requests);
  }

  void Step() { router_->Step(now_ms_, kNoTimer); }

  // The write's answer is noted under its body.
  void Add(const std::string& body, const std::string& key = "", bool for_a_peer = false) {
    Queue(body, key, for_a_peer);
    Step();
  }
  void Queue(const std::string& body, const std::string& key = "", bool for_a_peer = false) {
    auto write = std::make_unique<Write>();
    write->deadline_ms = now_ms_ + kTimeoutMs;
    write->forwarded_to_us = for_a_peer;
    write->request.set_body(body);
    write->request.set_idempotency_key(key);
    write->done = [this, body](Reply reply) {
      EXPECT_TRUE(answers_.emplace(body, std::move(reply)).second) << body << " answered twice";
    };
    router_->Add(std::move(write));
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

  // What is in an entry of our log.
  LogEntry EntryAt(LogIndex index) {
    LogEntry entry;
    EXPECT_EQ(log_.TypeAt(index), wal::EntryType::kCommand);
    EXPECT_TRUE(entry.ParseFromString(*log_.Read(index).payload));
    EXPECT_LE(log_.Read(index).payload->size(), bounds::kEntryBytesMax);
    return entry;
  }
  // Everything waiting is proposed, acknowledged and handed on: the entries that it took.
  std::vector<LogEntry> ProposeAll() {
    std::vector<LogEntry> entries;
    while (router_->waiting() > 0) {
      const LogIndex before = log_.last();
      Step();
      EXPECT_GT(log_.last(), before);
      if (log_.last() == before) break;
      Acknowledge();
      for (LogIndex at = before.Next(); at <= log_.last(); at = at.Next()) {
        entries.push_back(EntryAt(at));
        EXPECT_EQ(router_->TakeWaiting(at, replica_->term()).size(),
                  static_cast<size_t>(entries.back().requests_size()));
      }
    }
    return entries;
  }

  HeldClock clock_;
  clock::Estimate known_;  // About the time of the world: nothing.
  EntryStamps stamps_{clock_, [this](int64_t) { return known_; }};
  std::vector<Forwarded> forwarded_;
  bool linked_ = true;
  std::map<std::string, Reply> answers_;
  std::optional<WriteRouter> router_;
};

TEST_F(WriteRouterTest, NothingIsProposedWhileLeadershipIsHandedOver) {
  Lead();
  Acknowledge();
  const LogIndex last = log_.last();
  router_->Pause(true);
  Add("a");
  EXPECT_EQ(log_.last(), last);
  EXPECT_EQ(router_->waiting(), 1U);
  EXPECT_TRUE(answers_.empty()) << "it waits for who leads next";
  router_->Pause(false);
  Step();
  EXPECT_GT(log_.last(), last);
}

TEST_F(WriteRouterTest, ALeaderThatMayNotWriteRefusesWhatWaits) {
  Lead();
  Acknowledge();
  const LogIndex last = log_.last();
  router_->Refuse(Error{ErrorCode::kResourceExhausted, "no room", "", "", 0});
  Add("a");
  EXPECT_EQ(log_.last(), last);
  ASSERT_TRUE(answers_.contains("a"));
  EXPECT_EQ(answers_.at("a").body.error().message, "no room");
  router_->Refuse(std::nullopt);
  Add("b");
  EXPECT_GT(log_.last(), last);
  EXPECT_FALSE(answers_.contains("b"));
}

TEST_F(WriteRouterTest, ProposesAndAnswersByIndexAndTerm) {
  Lead();
  Acknowledge();
  Add("a");
  Persist();
  Add("b");
  const LogIndex last = log_.last();
  EXPECT_EQ(router_->TakeWaiting(last.Previous(), replica_->term()).size(), 1u);
  EXPECT_EQ(router_->TakeWaiting(last, replica_->term()).size(), 1u);
  EXPECT_TRUE(answers_.empty()) << "that is the applier's";
}

TEST_F(WriteRouterTest, WhileTheDiskIsBusyTheNextEntryGrows) {
  Lead();
  Acknowledge();
  const LogIndex before = log_.last();
  for (const char* account : {"a", "b", "c"}) Add(account);
  EXPECT_EQ(log_.last(), before.Next()) << "the first went at once";
  EXPECT_EQ(router_->waiting(), 2u);
  Persist();
  Step();
  EXPECT_EQ(log_.last(), before.Next().Next());
  EXPECT_EQ(router_->waiting(), 0u);
  EXPECT_EQ(router_->TakeWaiting(log_.last(), replica_->term()).size(), 2u);
}

TEST_F(WriteRouterTest, WhatIsAFullEntryWaitsForNoDisk) {
  Lead();
  Acknowledge();
  const LogIndex before = log_.last();
  Add("a");
  for (int i = 0; i < 255; ++i) Add("b");
  EXPECT_EQ(log_.last(), before.Next());
  Add("c");
  EXPECT_EQ(log_.last(), before.Next().Next());
  EXPECT_EQ(router_->waiting(), 0u);
}

TEST_F(WriteRouterTest, AnEntryTakesAsManyRequestsAsItMay) {
  Lead();
  Acknowledge();
  Live(0, 2);
  const LogIndex before = log_.last();
  for (const char* account : {"a", "b", "c", "d", "e"}) Queue(account);
  Step();
  ASSERT_EQ(log_.last().value, before.value + 2) << "two full ones wait for no disk, the rest does";
  EXPECT_EQ(EntryAt(before.Next()).requests_size(), 2);
  EXPECT_EQ(EntryAt(log_.last()).requests_size(), 2);
  EXPECT_EQ(router_->waiting(), 1u);
  Persist();
  Step();
  ASSERT_EQ(log_.last().value, before.value + 3);
  EXPECT_EQ(EntryAt(log_.last()).requests_size(), 1);
}

bool Tells(const std::vector<raft::Message>& messages, LogIndex committed) {
  return std::any_of(messages.begin(), messages.end(), [&](const raft::Message& message) {
    const auto* append = std::get_if<raft::AppendEntries>(&message);
    return append != nullptr && append->leader_commit >= committed;
  });
}

// Reads at followers wait for it.
TEST_F(WriteRouterTest, FollowersHearOfTheLastCommitAMomentLater) {
  Lead();
  Acknowledge();
  Add("a");
  Acknowledge();
  ASSERT_EQ(replica_->committed(), log_.last());
  EXPECT_FALSE(Tells(sent_, log_.last())) << "the next entry may say it";
  ASSERT_LE(replica_->timeout_ms(), now_ms_ + 1);
  now_ms_ = replica_->timeout_ms();
  replica_->Tick(now_ms_);
  EXPECT_TRUE(Tells(sent_, log_.last()));
}

TEST_F(WriteRouterTest, TheNextEntrySaysWhatIsCommitted) {
  Lead();
  Acknowledge();
  Add("a");
  Acknowledge();
  const LogIndex committed = replica_->committed();
  Add("b");
  EXPECT_TRUE(Tells(sent_, committed));
  EXPECT_GT(replica_->timeout_ms(), now_ms_ + 1) << "no message of its own";
}

// What went wrong: only the batch at the committed index was looked at, so a later one of the lost
// term stood in the way of the next proposal at its index, and stopped the node.
TEST_F(WriteRouterTest, LeadsAgainAfterATermWhoseProposalsWereLost) {
  Lead();
  Acknowledge();
  const LogIndex agreed = log_.last();
  for (const char* account : {"a", "b", "c"}) {
    Add(account);
    Persist();
  }
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
  Persist();
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

// What went wrong: ids began anew with the process, and a client was told of another's payment.
TEST_F(WriteRouterTest, AnAnswerToAFormerLifeIsNotTakenForOneToANewWrite) {
  FollowAnother(kPeer, log_.last());
  Live(1'000);
  Add("old");
  Live(77'000);
  Add("new");
  ASSERT_EQ(forwarded_.size(), 2u);
  router_->ForwardAnswered(forwarded_[0].id, Reply{"old is done", LogIndex(7), false}, now_ms_);
  EXPECT_FALSE(answers_.contains("new"));
  router_->ForwardAnswered(forwarded_[1].id, Reply{"new is done", LogIndex(8), false}, now_ms_);
  EXPECT_TRUE(answers_.contains("new"));
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

TEST_F(WriteRouterTest, WhatAPeerForwardedGoesBackWhenLeadershipIsLost) {
  Lead();
  Acknowledge();
  const LogIndex agreed = log_.last();
  Add("a", "key", /*for_a_peer=*/true);
  ASSERT_EQ(router_->waiting(), 0u);
  FollowAnother(kPeer, agreed);
  Step();
  EXPECT_FALSE(answers_.contains("a")) << "it may yet be in the log";
  HearOfCommit(kPeer);
  router_->TakeWaiting(agreed.Next(), replica_->term());
  Step();
  EXPECT_EQ(AnswerTo("a"), ErrorCode::kUnavailable) << "certainly not done: its node tries again";
  EXPECT_TRUE(forwarded_.empty());
}

TEST_F(WriteRouterTest, WhatIsForwardedAndNotAnsweredInTimeIsUnknown) {
  FollowAnother(kPeer, log_.last());
  Add("a");
  Add("b", "key");
  LetTimeRunOut();
  EXPECT_EQ(AnswerTo("a"), ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(AnswerTo("b"), ErrorCode::kOutcomeUnknown);
  router_->ForwardAnswered(forwarded_[0].id, Reply{"late", LogIndex(7), false}, now_ms_);
  EXPECT_EQ(AnswerTo("a"), ErrorCode::kOutcomeUnknown) << "answered once";
}

TEST_F(WriteRouterTest, WhatTheLeaderRefusedUntilTheEndWasNotDone) {
  FollowAnother(kPeer, log_.last());
  Add("a");
  router_->ForwardAnswered(forwarded_[0].id,
                           Reply{Fail(Error{ErrorCode::kUnavailable, "", "", "", 0}), {}, false},
                           now_ms_);
  LetTimeRunOut();
  EXPECT_EQ(AnswerTo("a"), ErrorCode::kUnavailable);
}

TEST_F(WriteRouterTest, AnErrorOfTheLeaderIsTheAnswer) {
  FollowAnother(kPeer, log_.last());
  Add("a", "key");
  router_->ForwardAnswered(forwarded_[0].id,
                           Reply{Fail(InvalidArgument("name", "is required")), LogIndex(7), false},
                           now_ms_);
  EXPECT_EQ(AnswerTo("a"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(answers_.at("a").position, LogIndex(7));
}

TEST_F(WriteRouterTest, StoppingAnswersEveryone) {
  Add("waiting");
  Lead();
  Step();
  Add("proposed");
  FollowAnother(kPeer, log_.last());
  Add("forwarded");
  linked_ = false;
  Add("unsent");
  router_->Stop();
  EXPECT_EQ(AnswerTo("waiting"), ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(AnswerTo("proposed"), ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(AnswerTo("forwarded"), ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(AnswerTo("unsent"), ErrorCode::kUnavailable);
}

// --- Entries and their bounds

TEST_F(WriteRouterTest, WhatWaitsTogetherIsOneEntryInOrder) {
  for (const char* body : {"a", "b", "c"}) Queue(body, std::string("key-") + body);
  Lead();
  Acknowledge();
  const std::vector<LogEntry> entries = ProposeAll();
  ASSERT_EQ(entries.size(), 1u);
  ASSERT_EQ(entries[0].requests_size(), 3);
  EXPECT_EQ(entries[0].requests(0).body(), "a");
  EXPECT_EQ(entries[0].requests(2).body(), "c");
  EXPECT_EQ(entries[0].requests(2).idempotency_key(), "key-c");
  EXPECT_EQ(entries[0].time_us(), kWallUs);
}

TEST_F(WriteRouterTest, StampsGrowThoughTheClockStands) {
  Lead();
  Acknowledge();
  for (const char* body : {"a", "b", "c"}) {
    Add(body);
    Persist();
  }
  const LogIndex last = log_.last();
  EXPECT_EQ(EntryAt(LogIndex(last.value - 2)).time_us(), kWallUs);
  EXPECT_EQ(EntryAt(LogIndex(last.value - 1)).time_us(), kWallUs + 1);
  EXPECT_EQ(EntryAt(last).time_us(), kWallUs + 2);
}

// The wall clock of a leader is set by a minute; nobody agrees with it.
TEST_F(WriteRouterTest, AJumpOfTheWallClockMovesNoStamp) {
  Lead();
  Acknowledge();
  const auto done = [this](const char* body) {
    Add(body);
    Acknowledge();
    EXPECT_EQ(router_->TakeWaiting(log_.last(), replica_->term()).size(), 1u);
    return EntryAt(log_.last()).time_us();
  };
  EXPECT_EQ(done("a"), kWallUs);
  clock_.wall_us += 60'000'000;
  clock_.elapsed_us += 5'000;
  EXPECT_EQ(done("b"), kWallUs + 5'000);
  // Nor does it make timers fire.
  const LogIndex last = log_.last();
  router_->Step(now_ms_, kWallUs + 6'000);
  EXPECT_EQ(log_.last(), last) << "not due";
  clock_.elapsed_us += 1'000;
  router_->Step(now_ms_, kWallUs + 6'000);
  EXPECT_EQ(log_.last(), last.Next());
}

// The others know better than the log: its time is put forward, and leases do not count that.
TEST_F(WriteRouterTest, ACorrectionComesBehindABarrier) {
  Lead();
  Acknowledge();
  Add("a");
  Acknowledge();
  const LogIndex before = log_.last();
  const int64_t now_us = kWallUs + 60'000'000;
  known_ = {clock::Status::kSynchronised, now_us, {now_us - 100, now_us + 100}};
  Add("b");
  ASSERT_EQ(log_.last(), LogIndex(before.value + 2));
  EXPECT_EQ(log_.TypeAt(before.Next()), wal::EntryType::kBarrier);
  EXPECT_EQ(EntryAt(log_.last()).time_us(), now_us);
  Acknowledge();
  Add("c");
  EXPECT_EQ(log_.last(), LogIndex(before.value + 3)) << "once";
}

// What a leader before has stamped: a new one goes on from there, whatever its own clock says.
TEST_F(WriteRouterTest, GoesOnFromTheStampsOfTheLog) {
  Lead();
  Acknowledge();
  stamps_.Saw(50'000'000);
  clock_.elapsed_us += 250;
  Add("a");
  EXPECT_EQ(EntryAt(log_.last()).time_us(), 50'000'250);
}

TEST_F(WriteRouterTest, FewEntriesAreInFlightSoThatBatchesGrow) {
  Lead();
  Acknowledge();
  const LogIndex before = log_.last();
  for (int i = 0; i < 20; ++i) {
    Add(std::to_string(i));
    Persist();
  }
  const uint64_t in_flight = log_.last().value - before.value;
  EXPECT_GT(in_flight, 1u);
  EXPECT_LT(in_flight, 20u);
  EXPECT_EQ(router_->waiting(), 20 - in_flight);
  Acknowledge();
  for (uint64_t i = 1; i <= in_flight; ++i) {
    router_->TakeWaiting(LogIndex(before.value + i), replica_->term());
  }
  Step();
  EXPECT_EQ(static_cast<uint64_t>(EntryAt(log_.last()).requests_size()), 20 - in_flight);
  EXPECT_EQ(router_->waiting(), 0u);
}

TEST_F(WriteRouterTest, AnEntryHasABoundedNumberOfRequests) {
  constexpr size_t kCount = 2 * bounds::kEntryRequestsMax + 1;
  for (size_t i = 0; i < kCount; ++i) Queue(std::to_string(i));
  Lead();
  Acknowledge();
  const std::vector<LogEntry> entries = ProposeAll();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].requests_size(), static_cast<int>(bounds::kEntryRequestsMax));
  EXPECT_EQ(entries[2].requests_size(), 1);
  EXPECT_EQ(entries[2].requests(0).body(), std::to_string(kCount - 1));
}

// What went wrong: what a request takes beside its own bytes was not counted. Thousands of small
// ones made an entry that the log refuses, and that stopped the leader.
TEST_F(WriteRouterTest, AnEntryNeverOutgrowsItsBound) {
  for (const size_t bytes : {size_t{100}, size_t{125}, size_t{127}, size_t{133}, size_t{140},
                             size_t{1'000}, size_t{20'000}}) {
    const size_t count = std::min(bounds::kEntryRequestsMax + 10, (4 << 20) / bytes);
    for (size_t i = 0; i < count; ++i) {
      std::string body = std::to_string(bytes) + " " + std::to_string(i) + " ";
      body.resize(bytes, 'x');
      Queue(body);
    }
    Lead();
    Acknowledge();
    size_t proposed = 0;
    size_t largest = 0;
    for (const LogEntry& entry : ProposeAll()) {
      proposed += static_cast<size_t>(entry.requests_size());
      largest = std::max(largest, entry.ByteSizeLong());
    }
    EXPECT_EQ(proposed, count);
    EXPECT_LE(largest, bounds::kEntryBytesMax) << bytes;
    if (bytes > 140) {
      EXPECT_GT(largest, bounds::kEntryBytesMax * 95 / 100) << "room is left unused";
    }
  }
}

TEST_F(WriteRouterTest, TheGreatestRequestFitsAnEntryOfItsOwn) {
  Lead();
  Acknowledge();
  auto write = std::make_unique<Write>();
  write->deadline_ms = now_ms_ + kTimeoutMs;
  write->request.set_service(255);
  write->request.set_method(255);
  write->request.set_idempotency_key(std::string(bounds::kIdempotencyKeyBytesMax, 'k'));
  write->request.set_principal(std::string(bounds::kPrincipalBytesMax, 'p'));
  write->request.set_body(std::string(bounds::kRequestBytesMax, 'x'));
  const std::string request = write->request.SerializeAsString();
  Queue("before");
  router_->Add(std::move(write));
  Queue("after");
  const std::vector<LogEntry> entries = ProposeAll();
  size_t found = 0;
  for (const LogEntry& entry : entries) {
    for (const LogRequest& each : entry.requests()) found += each.SerializeAsString() == request;
  }
  EXPECT_EQ(found, 1u);
}

TEST_F(WriteRouterTest, WhatFitsNoEntryIsTooLarge) {
  Lead();
  Acknowledge();
  const LogIndex before = log_.last();
  const std::string body(bounds::kRequestBytesMax + 1, 'x');
  Add(body);
  EXPECT_EQ(AnswerTo(body), ErrorCode::kTooLarge);
  Add("a", std::string(state_machine::kRepeatedKeyBytesMax + 1, 'k'));
  EXPECT_EQ(AnswerTo("a"), ErrorCode::kTooLarge);
  EXPECT_EQ(log_.last(), before);
}

TEST_F(WriteRouterTest, ATimerThatIsDueMakesATick) {
  Lead();
  Acknowledge();
  const LogIndex before = log_.last();
  router_->Step(now_ms_, kWallUs + 1);
  EXPECT_EQ(log_.last(), before) << "not due";
  router_->Step(now_ms_, kWallUs);
  ASSERT_EQ(log_.last(), before.Next());
  EXPECT_EQ(EntryAt(log_.last()).requests_size(), 0);
  EXPECT_GE(EntryAt(log_.last()).time_us(), kWallUs);
  router_->Step(now_ms_, kWallUs);
  EXPECT_EQ(log_.last(), before.Next()) << "one is under way";
  EXPECT_TRUE(router_->TakeWaiting(log_.last(), replica_->term()).empty());
  FollowAnother(kPeer, log_.last());
  const LogIndex followed = log_.last();
  router_->Step(now_ms_, kWallUs);
  EXPECT_EQ(log_.last(), followed) << "the leader's to do";
}

// --- The queue and its bounds

TEST_F(WriteRouterTest, AFullQueueRefusesByCount) {
  for (size_t i = 0; i < bounds::kWaitingRequestsMax; ++i) Queue(std::to_string(i));
  EXPECT_TRUE(answers_.empty());
  Queue("one too many");
  EXPECT_EQ(AnswerTo("one too many"), ErrorCode::kResourceExhausted);
  EXPECT_GT(answers_.at("one too many").body.error().retry_after_ms, 0u);
  EXPECT_EQ(router_->waiting(), bounds::kWaitingRequestsMax);
  // What is forwarded still takes a place.
  FollowAnother(kPeer, log_.last());
  Step();
  EXPECT_EQ(forwarded_.size(), bounds::kWaitingRequestsMax);
  Queue("still too many");
  EXPECT_EQ(AnswerTo("still too many"), ErrorCode::kResourceExhausted);
  router_->ForwardAnswered(forwarded_[0].id, Reply{"done", LogIndex(7), false}, now_ms_);
  Queue("fits again");
  EXPECT_FALSE(answers_.contains("fits again"));
}

TEST_F(WriteRouterTest, AFullQueueRefusesByBytes) {
  constexpr size_t kFits = bounds::kWaitingBytesMax / bounds::kRequestBytesMax;
  const auto body = [](size_t i) {
    std::string bytes = std::to_string(i) + " ";
    bytes.resize(bounds::kRequestBytesMax, 'x');
    return bytes;
  };
  for (size_t i = 0; i < kFits; ++i) Queue(body(i));
  EXPECT_TRUE(answers_.empty());
  Queue(body(kFits));
  EXPECT_EQ(AnswerTo(body(kFits)), ErrorCode::kResourceExhausted);
  // Given up, all of them: their place is free again.
  LetTimeRunOut();
  EXPECT_EQ(answers_.size(), kFits + 1);
  EXPECT_EQ(router_->waiting(), 0u);
  for (size_t i = 0; i < kFits; ++i) Queue(body(kFits + 1 + i));
  EXPECT_EQ(router_->waiting(), kFits);
  Queue(body(2 * kFits + 1));
  EXPECT_EQ(AnswerTo(body(2 * kFits + 1)), ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace holdfast::node
