// How long locks last: leases of their own and of sessions, delays, timers.
#include "services/locks/testing.h"

namespace holdfast::locks {
namespace {

using testing::kLocks;

class LeasesTest : public testing::LocksFixture {};

TEST_F(LeasesTest, ALeaseOfItsOwnEnds) {
  AcquireRequest request = Want("a", "x");
  request.set_ttl_ms(2'000);
  const AcquireReply held = Acquire(request);
  ExtendRequest extend;
  extend.set_name("a");
  extend.set_owner("x");
  PassMs(1'500);
  EXPECT_EQ(Write<ExtendReply>("locks.Extend", extend).outcome(), ExtendOutcome::extended);
  PassMs(1'500);
  EXPECT_EQ(Check("a", held.token()), CheckOutcome::valid);
  EXPECT_EQ(Try("a", "y", exclusive, 5'000), AcquireOutcome::waiting);
  PassMs(500);
  EXPECT_EQ(Check("a", held.token()), CheckOutcome::fenced_off);
  EXPECT_EQ(Await("a", "y").outcome(), AcquireOutcome::granted);
  EXPECT_EQ(Write<ExtendReply>("locks.Extend", extend).outcome(), ExtendOutcome::not_held);
}

TEST_F(LeasesTest, ExtendSaysWhyNot) {
  const uint64_t session = OpenSession();
  AcquireRequest request = Want("a", "x");
  request.set_session(session);
  const AcquireReply held = Acquire(request);
  ExtendRequest extend;
  extend.set_name("a");
  extend.set_owner("x");
  extend.set_token(held.token() + 1);
  EXPECT_EQ(Write<ExtendReply>("locks.Extend", extend).outcome(), ExtendOutcome::fenced_off);
  extend.set_token(held.token());
  EXPECT_EQ(Write<ExtendReply>("locks.Extend", extend).outcome(), ExtendOutcome::of_session);
}

TEST_F(LeasesTest, AFailoverShortensNoLease) {
  AcquireRequest request = Want("a", "x");
  request.set_ttl_ms(2'000);
  const AcquireReply held = Acquire(request);
  PassMs(1'000);
  NewLeader();
  PassMs(60'000);
  EXPECT_EQ(Check("a", held.token()), CheckOutcome::valid);
  PassMs(999);
  EXPECT_EQ(Check("a", held.token()), CheckOutcome::valid);
  PassMs(1);
  EXPECT_EQ(Check("a", held.token()), CheckOutcome::fenced_off);
}

TEST_F(LeasesTest, WhatIsASessionsGoesWithIt) {
  const uint64_t session = OpenSession(5'000);
  AcquireRequest hold = Want("ab", "x");
  hold.set_session(session);
  const AcquireReply held = Acquire(hold);
  ASSERT_EQ(held.locks_size(), 2);
  Acquire("c", "y");
  AcquireRequest wait = Want("c", "x", exclusive, 60'000);
  wait.set_session(session);
  EXPECT_EQ(Acquire(wait).outcome(), AcquireOutcome::waiting);
  EXPECT_EQ(Try("a", "z", exclusive, 60'000), AcquireOutcome::waiting);
  PassMs(5'000);
  EXPECT_EQ(Await("a", "z").outcome(), AcquireOutcome::granted);
  EXPECT_EQ(Try("b", "y"), AcquireOutcome::granted);
  Release("c", "y");
  EXPECT_EQ(Try("c", "z"), AcquireOutcome::granted) << "nobody waits for it any more";
  EXPECT_EQ(Acquire(hold).outcome(), AcquireOutcome::session_not_found);
}

TEST_F(LeasesTest, ALockDelayFollowsALeaseThatRanOutAndNoRelease) {
  AcquireRequest request = Want("a", "x");
  request.set_ttl_ms(1'000);
  request.set_lock_delay_ms(3'000);
  Acquire(request);
  Release("a", "x");
  EXPECT_EQ(Try("a", "y"), AcquireOutcome::granted);
  Release("a", "y");
  Acquire(request);
  EXPECT_EQ(Try("a", "y", exclusive, 10'000), AcquireOutcome::waiting);
  PassMs(1'000);
  EXPECT_EQ(Await("a", "y").outcome(), AcquireOutcome::waiting);
  PassMs(2'999);
  EXPECT_EQ(Await("a", "y").outcome(), AcquireOutcome::waiting);
  PassMs(1);
  EXPECT_EQ(Await("a", "y").outcome(), AcquireOutcome::granted);
}

// The process that died had the same token as the one that came after it, and took the lock with it
// when its session ended.
TEST_F(LeasesTest, AHoldThatIsTakenUnderAnotherSessionLivesWithThatOne) {
  const uint64_t dead = OpenSession(2'000);
  AcquireRequest request = Want("a", "x");
  request.set_session(dead);
  const AcquireReply before = Acquire(request);
  const uint64_t alive = OpenSession(60'000);
  request.set_session(alive);
  const AcquireReply after = Acquire(request);
  EXPECT_EQ(after.outcome(), AcquireOutcome::granted);
  EXPECT_GT(after.token(), before.token());
  EXPECT_EQ(after.locks(0).depth(), 1u) << "it begins anew";
  EXPECT_EQ(Check("a", before.token()), CheckOutcome::fenced_off);
  EXPECT_EQ(Release("a", "x", before.token()), ReleaseOutcome::fenced_off);
  PassMs(2'000);
  EXPECT_EQ(Check("a", after.token()), CheckOutcome::valid);
  // And to a lease of its own, and back.
  request.set_session(0);
  request.set_ttl_ms(1'000);
  const AcquireReply own = Acquire(request);
  EXPECT_GT(own.token(), after.token());
  CloseSession(alive);
  EXPECT_EQ(Check("a", own.token()), CheckOutcome::valid);
  request.set_session(OpenSession(60'000));
  request.set_ttl_ms(0);
  const AcquireReply back = Acquire(request);
  PassMs(5'000);
  EXPECT_EQ(Check("a", back.token()), CheckOutcome::valid) << "no timer of the lease that it had";
}

// The second ttl and the second delay were ignored.
TEST_F(LeasesTest, WhoTakesALockOnceMoreHasTheLongerLease) {
  AcquireRequest request = Want("a", "x");
  request.set_ttl_ms(2'000);
  const AcquireReply once = Acquire(request);
  request.set_ttl_ms(8'000);
  request.set_lock_delay_ms(3'000);
  const AcquireReply twice = Acquire(request);
  EXPECT_EQ(twice.token(), once.token());
  EXPECT_EQ(twice.locks(0).depth(), 2u);
  request.set_ttl_ms(1);
  request.set_lock_delay_ms(0);
  Acquire(request);
  PassMs(7'999);
  EXPECT_EQ(Check("a", once.token()), CheckOutcome::valid);
  PassMs(2);
  EXPECT_EQ(Check("a", once.token()), CheckOutcome::fenced_off);
  PassMs(2'990);
  EXPECT_EQ(Try("a", "y"), AcquireOutcome::lock_held);
  PassMs(10);
  EXPECT_EQ(Try("a", "y"), AcquireOutcome::granted);
}

// It came back to life under its old token when its owner asked before its timer fired.
TEST_F(LeasesTest, ALeaseThatIsOverIsNotRevivedInAnExpiryStorm) {
  ExpiryStorm(5'000);
  AcquireRequest request = Want("a", "x");
  request.set_ttl_ms(5'000);
  const AcquireReply before = Acquire(request);
  PassMs(5'000);
  ASSERT_TRUE(HolderOf("a")) << "its timer has not fired";
  const AcquireReply after = Acquire(request);
  EXPECT_GT(after.token(), before.token());
  EXPECT_EQ(after.locks(0).depth(), 1u);
  PassMs(1);
  EXPECT_EQ(Check("a", after.token()), CheckOutcome::valid);
}

// It was `released`, and the next one got it without the delay.
TEST_F(LeasesTest, AReleaseAfterTheLeaseIsTooLateInAnExpiryStorm) {
  ExpiryStorm(5'000);
  AcquireRequest request = Want("a", "x");
  request.set_ttl_ms(5'000);
  request.set_lock_delay_ms(3'000);
  Acquire(request);
  PassMs(5'000);
  ASSERT_TRUE(HolderOf("a")) << "its timer has not fired";
  EXPECT_EQ(Release("a", "x"), ReleaseOutcome::not_held);
  EXPECT_EQ(Try("a", "y"), AcquireOutcome::lock_held);
  PassMs(3'000);
  EXPECT_EQ(Try("a", "y"), AcquireOutcome::granted);
}

// A thousand timers were one entry, whatever hung on them.
TEST_F(LeasesTest, SessionsThatEndTogetherEndEachInOnePieceAndNotInOneEntry) {
  constexpr int kSessions = 5;
  for (int i = 0; i < kSessions; ++i) {
    const std::string owner(1, static_cast<char>('a' + i));
    Take(bounds::kLocksPerSessionMax, owner, owner, OpenSession(5'000));
  }
  const auto alive = [&] {
    int sessions = 0;
    for (int i = 0; i < kSessions; ++i) {
      const std::string owner(1, static_cast<char>('a' + i));
      const bool first = HolderOf(owner + "0").has_value();
      const auto last = owner + std::to_string(bounds::kLocksPerSessionMax - 1);
      EXPECT_EQ(HolderOf(last).has_value(), first) << "a session ends for all that hangs on it";
      sessions += first ? 1 : 0;
    }
    return sessions;
  };
  PassMs(5'000);
  const int left = alive();
  EXPECT_GT(left, 0) << "bounded";
  EXPECT_LT(left, kSessions) << "and goes on";
  ASSERT_TRUE(machine().NextTimer());
  EXPECT_LE(machine().NextTimer()->us, now_us()) << "the leader ticks at once";
  PassMs(1);
  EXPECT_EQ(alive(), 0);
  EXPECT_EQ(Broken(kLocks), "");
}

// A timer was left of each until its lease would have ended.
TEST_F(LeasesTest, NoTimerIsLeftOfWhatWasGivenUp) {
  AcquireRequest request = Want("a", "x");
  request.set_ttl_ms(86'400'000);
  Acquire(request);
  Try("a", "y", exclusive, 60'000);
  NewLeader();
  PassMs(10'000);  // Does not count: leases end later by the log's time.
  Extend("a", "x");
  Try("a", "z", exclusive, 60'000);
  Release("a", "y");
  Release("a", "z");
  Release("a", "x");
  Acquire("a", "x", shared);
  Acquire("a", "x");  // An upgrade: another token.
  request.set_session(OpenSession(60'000));
  request.set_ttl_ms(0);
  Acquire(request);  // Another lease.
  CloseSession(request.session());
  EXPECT_TRUE(Holders().empty());
  Checkpoint();
  Restart();  // Finds the earliest timer.
  EXPECT_FALSE(machine().NextTimer());
}

TEST_F(LeasesTest, AnUpgradeWaitsForALockDelay) {
  AcquireRequest paused = Want("a", "paused", shared);
  paused.set_ttl_ms(1'000);
  paused.set_lock_delay_ms(3'000);
  Acquire(paused);
  Acquire("a", "x", shared);
  PassMs(1'000);
  EXPECT_EQ(Try("a", "x", shared), AcquireOutcome::granted) << "it has that already";
  EXPECT_EQ(Try("a", "x"), AcquireOutcome::lock_held);
  EXPECT_EQ(Try("a", "x", exclusive, 5'000), AcquireOutcome::waiting);
  PassMs(2'999);
  EXPECT_EQ(Await("a", "x").outcome(), AcquireOutcome::waiting);
  PassMs(1);
  EXPECT_EQ(Await("a", "x").outcome(), AcquireOutcome::granted);
}

}  // namespace
}  // namespace holdfast::locks
