// Locks through the machine that runs them: outcomes in their order, lines, tokens, deadlocks. How
// long they last: leases_test.cc. Random requests against a model: model_test.cc.
#include "services/locks/testing.h"

namespace holdfast::locks {
namespace {

using testing::kLocks;

class LocksTest : public testing::LocksFixture {};

TEST_F(LocksTest, AnExclusiveLockHasOneHolder) {
  const AcquireReply first = Acquire("a", "x");
  EXPECT_EQ(first.outcome(), AcquireOutcome::granted);
  const AcquireReply second = Acquire("a", "y");
  EXPECT_EQ(second.outcome(), AcquireOutcome::lock_held);
  EXPECT_EQ(second.blocked_by(), "x");
  EXPECT_EQ(Try("a", "y", shared), AcquireOutcome::lock_held);
  EXPECT_EQ(Release("a", "y"), ReleaseOutcome::not_held);
  EXPECT_EQ(Release("a", "x", first.token() + 1), ReleaseOutcome::fenced_off);
  EXPECT_EQ(Release("a", "x", first.token()), ReleaseOutcome::released);
  EXPECT_GT(Acquire("a", "y").token(), first.token());
}

TEST_F(LocksTest, SharedHoldersKeepExclusiveOnesOut) {
  EXPECT_EQ(Try("a", "x", shared), AcquireOutcome::granted);
  EXPECT_EQ(Try("a", "y", shared), AcquireOutcome::granted);
  EXPECT_EQ(Try("a", "z"), AcquireOutcome::lock_held);
  Release("a", "x");
  EXPECT_EQ(Try("a", "z"), AcquireOutcome::lock_held);
  Release("a", "y");
  EXPECT_EQ(Try("a", "z"), AcquireOutcome::granted);
}

TEST_F(LocksTest, AnOwnerTakesALockOnceMore) {
  const AcquireReply once = Acquire("a", "x");
  const AcquireReply twice = Acquire("a", "x", shared);
  EXPECT_EQ(twice.locks(0).depth(), 2u);
  EXPECT_EQ(twice.token(), once.token());
  EXPECT_EQ(Release("a", "x"), ReleaseOutcome::still_held);
  EXPECT_EQ(Try("a", "y"), AcquireOutcome::lock_held);
  EXPECT_EQ(Release("a", "x"), ReleaseOutcome::released);
  for (uint32_t i = 0; i < bounds::kLockDepthMax; ++i) {
    EXPECT_EQ(Try("b", "x"), AcquireOutcome::granted);
  }
  EXPECT_EQ(Try("b", "x"), AcquireOutcome::too_deep);
}

TEST_F(LocksTest, TheLineIsFair) {
  Acquire("a", "x", shared);
  EXPECT_EQ(Try("a", "writer", exclusive, 5'000), AcquireOutcome::waiting);
  EXPECT_EQ(Try("a", "reader", shared), AcquireOutcome::lock_held) << "writers do not starve";
  EXPECT_EQ(Try("a", "reader", shared, 5'000), AcquireOutcome::waiting);
  EXPECT_EQ(Try("a", "reader2", shared, 5'000), AcquireOutcome::waiting);
  Release("a", "x");
  EXPECT_EQ(Await("a", "writer").outcome(), AcquireOutcome::granted);
  EXPECT_EQ(Await("a", "reader", shared).outcome(), AcquireOutcome::waiting);
  Release("a", "writer");
  EXPECT_EQ(Await("a", "reader", shared).outcome(), AcquireOutcome::granted);
  EXPECT_EQ(Await("a", "reader2", shared).outcome(), AcquireOutcome::granted);
}

TEST_F(LocksTest, WhoWaitsIsToldWhenItIsOver) {
  Acquire("a", "x");
  EXPECT_EQ(Try("a", "y", exclusive, 3'000), AcquireOutcome::waiting);
  std::optional<state_machine::Topic> topic;
  Read<AcquireReply>("locks.AwaitAcquire", Want("a", "y"), &topic);
  ASSERT_TRUE(topic);
  PassMs(2'999);
  EXPECT_EQ(Await("a", "y").outcome(), AcquireOutcome::waiting);
  PassMs(1);
  EXPECT_TRUE(std::any_of(touched().begin(), touched().end(),
                          [&](const auto& t) { return t.topic == *topic; }));
  EXPECT_EQ(Await("a", "y").outcome(), AcquireOutcome::lock_held);
  Release("a", "x");
  EXPECT_EQ(Try("a", "z"), AcquireOutcome::granted) << "who has gone gets nothing";
}

TEST_F(LocksTest, AskingAgainKeepsThePlaceInLine) {
  Acquire("a", "x");
  EXPECT_EQ(Try("a", "y", exclusive, 3'000), AcquireOutcome::waiting);
  EXPECT_EQ(Try("a", "y", exclusive, 3'000), AcquireOutcome::waiting);
  EXPECT_EQ(Try("b", "y"), AcquireOutcome::owner_is_waiting);
  GetRequest get;
  get.set_name("a");
  EXPECT_EQ(Read<Lock>("locks.Get", get)->waiters_size(), 1);
  EXPECT_EQ(Release("a", "y"), ReleaseOutcome::left_line);
  EXPECT_EQ(Release("a", "y"), ReleaseOutcome::not_held);
  EXPECT_EQ(Try("b", "y"), AcquireOutcome::granted);
}

TEST_F(LocksTest, SeveralLocksAreTakenTogetherOrNotAtAll) {
  Acquire("b", "x");
  EXPECT_EQ(Try("abc", "y"), AcquireOutcome::lock_held);
  EXPECT_EQ(Try("a", "z"), AcquireOutcome::granted) << "none of them was taken";
  EXPECT_EQ(Try("abc", "y", exclusive, 5'000), AcquireOutcome::waiting);
  EXPECT_EQ(Try("c", "w"), AcquireOutcome::lock_held) << "y came first";
  Release("a", "z");
  EXPECT_EQ(Await("abc", "y").outcome(), AcquireOutcome::waiting);
  Release("b", "x");
  const AcquireReply got = Await("abc", "y");
  EXPECT_EQ(got.outcome(), AcquireOutcome::granted);
  ASSERT_EQ(got.locks_size(), 3);
  EXPECT_EQ(got.locks(2).name(), "c");
}

TEST_F(LocksTest, AnUpgradeWaitsForTheOtherReadersOnly) {
  Acquire("a", "x", shared);
  Acquire("a", "y", shared);
  EXPECT_EQ(Try("a", "writer", exclusive, 5'000), AcquireOutcome::waiting);
  EXPECT_EQ(Try("a", "x", exclusive, 5'000), AcquireOutcome::waiting);
  const AcquireReply second = Acquire("a", "y", exclusive, 5'000);
  EXPECT_EQ(second.outcome(), AcquireOutcome::deadlock) << "each waits for the other to let go";
  EXPECT_EQ(std::vector<std::string>(second.cycle().begin(), second.cycle().end()),
            (std::vector<std::string>{"y", "x", "y"}));
  Release("a", "y");
  const AcquireReply upgraded = Await("a", "x");
  EXPECT_EQ(upgraded.outcome(), AcquireOutcome::granted);
  EXPECT_EQ(Await("a", "writer").outcome(), AcquireOutcome::waiting) << "upgrades come first";
  Release("a", "x");
  Release("a", "x");
  EXPECT_EQ(Await("a", "writer").outcome(), AcquireOutcome::granted);
}

TEST_F(LocksTest, WhoWouldCloseACycleIsToldSo) {
  Acquire("a", "x");
  Acquire("b", "y");
  Acquire("c", "z");
  EXPECT_EQ(Try("b", "x", exclusive, 5'000), AcquireOutcome::waiting);
  EXPECT_EQ(Try("c", "y", exclusive, 5'000), AcquireOutcome::waiting);
  const AcquireReply closing = Acquire("a", "z", exclusive, 5'000);
  EXPECT_EQ(closing.outcome(), AcquireOutcome::deadlock);
  EXPECT_EQ(std::vector<std::string>(closing.cycle().begin(), closing.cycle().end()),
            (std::vector<std::string>{"z", "x", "y", "z"}));
  EXPECT_EQ(Try("a", "z"), AcquireOutcome::lock_held) << "without waiting there is no cycle";
  Release("c", "z");
  EXPECT_EQ(Await("c", "y").outcome(), AcquireOutcome::granted);
}

TEST_F(LocksTest, LinesAndSessionsAreBounded) {
  Acquire("a", "x");
  for (uint32_t i = 0; i < bounds::kLockWaitersMax; ++i) {
    Write<AcquireReply>("locks.Acquire", Want("a", std::to_string(i), exclusive, 60'000));
  }
  EXPECT_EQ(Try("a", "one more", exclusive, 60'000), AcquireOutcome::too_many_waiters);
  const uint64_t session = OpenSession(60'000);
  for (uint32_t i = 0; i < bounds::kLocksPerSessionMax; ++i) {
    AcquireRequest request;
    request.set_name("n" + std::to_string(i));
    request.set_owner("y");
    request.set_session(session);
    Write<AcquireReply>("locks.Acquire", request);
  }
  AcquireRequest request = Want("b", "y");
  request.set_session(session);
  EXPECT_EQ(Acquire(request).outcome(), AcquireOutcome::too_many_locks);
}

TEST_F(LocksTest, MalformedRequestsNameTheField) {
  const auto field_of = [&](void (*spoil)(AcquireRequest*)) {
    AcquireRequest request = Want("a", "x");
    spoil(&request);
    return FieldOf("locks.Acquire", request);
  };
  EXPECT_EQ(field_of([](AcquireRequest*) {}), "fine");
  EXPECT_EQ(field_of([](AcquireRequest* r) { r->clear_name(); }), "name");
  EXPECT_EQ(field_of([](AcquireRequest* r) { r->add_names("b"); }), "names");
  EXPECT_EQ(field_of([](AcquireRequest* r) {
              r->clear_name();
              r->add_names("b");
              r->add_names("");
            }),
            "names[1]");
  EXPECT_EQ(field_of([](AcquireRequest* r) {
              r->clear_name();
              for (int i = 0; i < 17; ++i) r->add_names(std::to_string(i));
            }),
            "names");
  EXPECT_EQ(field_of([](AcquireRequest* r) { r->set_name(std::string(129, 'x')); }), "name");
  EXPECT_EQ(field_of([](AcquireRequest* r) { r->clear_owner(); }), "owner");
  EXPECT_EQ(field_of([](AcquireRequest* r) { r->set_owner(std::string(129, 'x')); }), "owner");
  EXPECT_EQ(field_of([](AcquireRequest* r) { r->set_wait_ms(60'001); }), "wait_ms");
  EXPECT_EQ(field_of([](AcquireRequest* r) { r->set_ttl_ms(86'400'001); }), "ttl_ms");
  EXPECT_EQ(field_of([](AcquireRequest* r) { r->set_lock_delay_ms(60'001); }), "lock_delay_ms");
  EXPECT_EQ(field_of([](AcquireRequest* r) {
              r->set_session(1);
              r->set_ttl_ms(1);
            }),
            "ttl_ms");
  EXPECT_EQ(field_of([](AcquireRequest* r) { r->set_mode(static_cast<Mode>(3)); }), "mode");
  EXPECT_EQ(field_of([](AcquireRequest* r) { r->set_name("a\n"); }), "name");
  EXPECT_EQ(field_of([](AcquireRequest* r) { r->set_owner("\x7f"); }), "owner");
  EXPECT_EQ(field_of([](AcquireRequest* r) {
              r->clear_name();
              r->add_names("\xc2\x85");
            }),
            "names[0]");
  EXPECT_EQ(field_of([](AcquireRequest* r) { r->set_name("\xc3\xa4 \xe2\x82\xac"); }), "fine");
  ReleaseRequest release;
  release.set_name("a");
  release.set_owner("x\t");
  EXPECT_EQ(FieldOf("locks.Release", release), "owner");
  EXPECT_EQ(FieldOf("locks.Check", CheckRequest()), "name");
  EXPECT_EQ(FieldOf("locks.Release", ReleaseRequest()), "name");
  EXPECT_EQ(FieldOf("locks.Extend", ExtendRequest()), "name");
}

TEST_F(LocksTest, PagesAreInOrderAndComplete) {
  for (const char* name : {"c", "a", "b"}) Acquire(name, "x");
  Acquire("d", "x", shared);
  Acquire("d", "y", shared);
  ListRequest request;
  request.set_limit(4);
  const auto first = *Read<ListReply>("locks.List", request);
  ASSERT_EQ(first.holders_size(), 4);
  EXPECT_TRUE(first.more());
  request.set_after_name(first.holders(3).name());
  request.set_after_owner(first.holders(3).owner());
  const auto last = *Read<ListReply>("locks.List", request);
  ASSERT_EQ(last.holders_size(), 1);
  EXPECT_EQ(last.holders(0).owner(), "y");
  EXPECT_FALSE(last.more());
}

// It was told so: whoever holds a lock shared and waits for it shared once more, together with
// another, waits for the other alone.
TEST_F(LocksTest, AnUpgradeIsNoDeadlockWithAReaderWhoWaitsForAnotherLock) {
  ASSERT_EQ(Try("a", "reader", shared), AcquireOutcome::granted);
  ASSERT_EQ(Try("a", "upgrader", shared), AcquireOutcome::granted);
  ASSERT_EQ(Try("b", "other"), AcquireOutcome::granted);
  ASSERT_EQ(Try("ab", "reader", shared, 60'000), AcquireOutcome::waiting);
  EXPECT_EQ(Try("a", "upgrader", exclusive, 60'000), AcquireOutcome::waiting);
  ASSERT_EQ(Release("b", "other"), ReleaseOutcome::released);
  EXPECT_EQ(Await("ab", "reader", shared).outcome(), AcquireOutcome::granted);
}

// It stood in line, and the effect was kept as if the lock were held.
TEST_F(LocksTest, AListOfWritesIsRefusedWhereALockIsNotFree) {
  ASSERT_EQ(Try("a", "holder"), AcquireOutcome::granted);
  atomic::ExecuteRequest list;
  list.add_writes()->set_method("locks.Acquire");
  list.mutable_writes(0)->set_request(Want("a", "waiter", exclusive, 60'000).SerializeAsString());
  const auto reply = Write<atomic::ExecuteReply>("atomic.Execute", list);
  EXPECT_EQ(reply.outcome(), atomic::ExecuteOutcome::rejected);
  EXPECT_EQ(reply.results(0).outcome(), "lock_held");
  EXPECT_EQ(Release("a", "waiter"), ReleaseOutcome::not_held);
}

TEST_F(LocksTest, AFullLineIsToldBeforeADeadlock) {
  Acquire("b", "z");
  Acquire("a", "x");
  ASSERT_EQ(Try("b", "x", exclusive, 60'000), AcquireOutcome::waiting);
  EXPECT_EQ(Try("a", "z", exclusive, 60'000), AcquireOutcome::deadlock);
  for (uint32_t i = 0; i < bounds::kLockWaitersMax; ++i) {
    Write<AcquireReply>("locks.Acquire", Want("a", std::to_string(i), exclusive, 60'000));
  }
  EXPECT_EQ(Try("a", "z", exclusive, 60'000), AcquireOutcome::too_many_waiters);
}

// Each of those in a line was searched for all before it: half a million rows for one Acquire.
TEST_F(LocksTest, ACycleThroughTheEndOfALongLineIsSeen) {
  Acquire("b", "z");
  Acquire("a", "x");
  constexpr int kLong = 990;
  for (int i = 0; i < kLong; ++i) {
    Write<AcquireReply>("locks.Acquire", Want("a", std::to_string(i), exclusive, 60'000));
  }
  ASSERT_EQ(Try("ab", "last", exclusive, 60'000), AcquireOutcome::waiting);
  const AcquireReply closing = Acquire("a", "z", exclusive, 60'000);
  EXPECT_EQ(closing.outcome(), AcquireOutcome::deadlock);
  EXPECT_EQ(std::vector<std::string>(closing.cycle().begin(), closing.cycle().end()),
            (std::vector<std::string>{"z", "last", "z"}));
}

TEST_F(LocksTest, ReadersOfOneLockAreBounded) {
  for (uint32_t i = 0; i < bounds::kLockHoldersMax; ++i) {
    Write<AcquireReply>("locks.Acquire", Want("a", std::to_string(i), shared));
  }
  EXPECT_EQ(Try("a", "one more", shared), AcquireOutcome::too_many_locks);
  EXPECT_EQ(Try("a", "7", shared), AcquireOutcome::granted) << "it holds it already";
  EXPECT_EQ(Try("a", "writer", exclusive, 5'000), AcquireOutcome::waiting);
  EXPECT_EQ(Try("a", "one more", shared, 5'000), AcquireOutcome::too_many_locks)
      << "else all in line became readers";
}

TEST_F(LocksTest, WhatIsHeldAlreadyNeedsNoRoom) {
  const uint64_t session = OpenSession(60'000);
  const int most = static_cast<int>(bounds::kLocksPerSessionMax);
  Take(most, "n", "x", session);
  Take(16, "n", "x", session);  // Once more.
  AcquireRequest one_more = Want("a", "y");
  one_more.set_session(session);
  EXPECT_EQ(Acquire(one_more).outcome(), AcquireOutcome::too_many_locks);
  ASSERT_EQ(Release("n0", "x"), ReleaseOutcome::still_held);
  ASSERT_EQ(Release("n0", "x"), ReleaseOutcome::released);
  EXPECT_EQ(Acquire(one_more).outcome(), AcquireOutcome::granted);
}

// A wait for sixteen locks counted as one.
TEST_F(LocksTest, AWaitCountsForEachLockThatItNames) {
  const uint64_t session = OpenSession(60'000);
  ASSERT_EQ(Try("q", "other"), AcquireOutcome::granted);
  Take(static_cast<int>(bounds::kLocksPerSessionMax) - 8, "n", "x", session);
  AcquireRequest wait = Want("abcdefgq", "y", exclusive, 60'000);
  wait.set_session(session);
  EXPECT_EQ(Acquire(wait).outcome(), AcquireOutcome::waiting);
  AcquireRequest one_more = Want("z", "w");
  one_more.set_session(session);
  EXPECT_EQ(Acquire(one_more).outcome(), AcquireOutcome::too_many_locks);
  one_more.set_name("q");
  one_more.set_wait_ms(1'000);
  EXPECT_EQ(Acquire(one_more).outcome(), AcquireOutcome::too_many_locks) << "nor a place in line";
  Release("q", "other");
  EXPECT_EQ(HolderOf("a")->owner(), "y") << "who stood in line had its room";
}

// The first wait's end ended it.
TEST_F(LocksTest, AskingAgainProlongsTheWait) {
  Acquire("a", "x");
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Try("a", "y", exclusive, 6'000), AcquireOutcome::waiting);
    PassMs(5'000);
  }
  EXPECT_EQ(Try("a", "y", exclusive, 1), AcquireOutcome::waiting) << "nor is it shortened";
  PassMs(998);
  EXPECT_EQ(Await("a", "y").outcome(), AcquireOutcome::waiting);
  PassMs(2);
  EXPECT_EQ(Await("a", "y").outcome(), AcquireOutcome::lock_held);
}

// The new process stood in line, and was put out of it by what the old one had still to say.
TEST_F(LocksTest, ALateReleaseDoesNotEndTheNextWait) {
  AcquireRequest request = Want("a", "x");
  request.set_ttl_ms(1'000);
  const uint64_t token = Acquire(request).token();
  PassMs(1'000);
  Acquire("a", "y");
  ASSERT_EQ(Try("a", "x", exclusive, 5'000), AcquireOutcome::waiting);
  EXPECT_EQ(Release("a", "x", token), ReleaseOutcome::not_held);
  EXPECT_EQ(Await("a", "x").outcome(), AcquireOutcome::waiting);
  EXPECT_EQ(Release("a", "x"), ReleaseOutcome::left_line);
}

// Its upgrade stayed the first in line, though it held nothing any more, and nobody had looked
// whether the others whom it waits for from then on wait for it.
TEST_F(LocksTest, AWaitEndsWithTheHoldThatItStandsOn) {
  AcquireRequest hold = Want("a", "x", shared);
  hold.set_ttl_ms(1'000);
  Acquire(hold);
  Acquire("a", "reader", shared);
  Acquire("c", "x");
  ASSERT_EQ(Try("a", "x", exclusive, 60'000), AcquireOutcome::waiting);
  ASSERT_EQ(Try("ac", "writer", exclusive, 60'000), AcquireOutcome::waiting);
  PassMs(1'000);
  const AcquireReply over = Await("a", "x");
  EXPECT_EQ(over.outcome(), AcquireOutcome::lock_held);
  EXPECT_EQ(over.blocked_by(), "reader");
  EXPECT_EQ(Try("a", "x", exclusive, 60'000), AcquireOutcome::deadlock) << "behind the writer";
  Release("c", "x");
  Release("a", "reader");
  EXPECT_EQ(Await("ac", "writer").outcome(), AcquireOutcome::granted);
}

TEST_F(LocksTest, AListOfWritesHoldsWhatItAcquires) {
  atomic::ExecuteRequest list;
  for (const char* name : {"a", "b"}) {
    auto* write = list.add_writes();
    write->set_method("locks.Acquire");
    write->set_request(Want(name, "x").SerializeAsString());
  }
  ASSERT_EQ(Try("b", "y"), AcquireOutcome::granted);
  EXPECT_EQ(Write<atomic::ExecuteReply>("atomic.Execute", list).failed(), 1u);
  EXPECT_FALSE(HolderOf("a")) << "nothing of it was done";
  EXPECT_EQ(Broken(kLocks), "");
  // Who stands in line already does not have it either.
  ASSERT_EQ(Try("b", "x", exclusive, 60'000), AcquireOutcome::waiting);
  list.mutable_writes()->DeleteSubrange(0, 1);
  const auto in_line = Write<atomic::ExecuteReply>("atomic.Execute", list);
  EXPECT_EQ(in_line.outcome(), atomic::ExecuteOutcome::rejected);
  EXPECT_EQ(in_line.results(0).outcome(), "waiting");
  Release("b", "y");
  EXPECT_EQ(Write<atomic::ExecuteReply>("atomic.Execute", list).outcome(),
            atomic::ExecuteOutcome::done);
  EXPECT_EQ(HolderOf("b")->depth(), 2u);
}

}  // namespace
}  // namespace holdfast::locks
