// Locks through the machine that runs them: outcomes in their order, leases, lines, tokens,
// deadlocks. Random requests against a model: model_test.cc.
#include "services/locks/locks.h"

#include <gtest/gtest.h>

#include "holdfast/atomic.pb.h"
#include "services/sessions/sessions.pb.h"
#include "src/base/bounds.h"
#include "src/state_machine/atomic_service.h"
#include "src/state_machine/testing/service_fixture.h"

namespace holdfast::sessions {
void Register(state_machine::Registry& registry);
}

namespace holdfast::locks {

void Register(state_machine::Registry& registry);

namespace {

constexpr uint8_t kLocks = 4;

class LocksTest : public state_machine::testing::ServiceFixture {
 protected:
  LocksTest()
      : ServiceFixture(
            {&sessions::Register, &locks::Register, &state_machine::RegisterAtomicService}) {}

  static AcquireRequest Want(const std::string& names, const std::string& owner,
                             Mode mode = exclusive, uint32_t wait_ms = 0) {
    AcquireRequest request;
    if (names.size() == 1) request.set_name(names);
    for (size_t i = 0; names.size() > 1 && i < names.size(); ++i) {
      request.add_names(names.substr(i, 1));  // Each letter a lock.
    }
    request.set_owner(owner);
    request.set_mode(mode);
    request.set_wait_ms(wait_ms);
    return request;
  }
  AcquireReply Acquire(const AcquireRequest& request) {
    const auto reply = Write<AcquireReply>("locks.Acquire", request);
    EXPECT_EQ(Broken(kLocks), "");
    return reply;
  }
  AcquireReply Acquire(const std::string& names, const std::string& owner, Mode mode = exclusive,
                       uint32_t wait_ms = 0) {
    return Acquire(Want(names, owner, mode, wait_ms));
  }
  AcquireOutcome::Code Try(const std::string& names, const std::string& owner,
                           Mode mode = exclusive, uint32_t wait_ms = 0) {
    return Acquire(names, owner, mode, wait_ms).outcome();
  }
  // Whether the one in line is still there, or got it.
  AcquireReply Await(const std::string& names, const std::string& owner, Mode mode = exclusive) {
    return *Read<AcquireReply>("locks.AwaitAcquire", Want(names, owner, mode));
  }
  ReleaseOutcome::Code Release(const std::string& name, const std::string& owner,
                               uint64_t token = 0) {
    ReleaseRequest request;
    request.set_name(name);
    request.set_owner(owner);
    request.set_token(token);
    const auto outcome = Write<ReleaseReply>("locks.Release", request).outcome();
    EXPECT_EQ(Broken(kLocks), "");
    return outcome;
  }
  CheckOutcome::Code Check(const std::string& name, uint64_t token) {
    CheckRequest request;
    request.set_name(name);
    request.set_token(token);
    return Write<CheckReply>("locks.Check", request).outcome();
  }
  ExtendReply Extend(const std::string& name, const std::string& owner, uint32_t ttl_ms = 0) {
    ExtendRequest request;
    request.set_name(name);
    request.set_owner(owner);
    request.set_ttl_ms(ttl_ms);
    return Write<ExtendReply>("locks.Extend", request);
  }
  void CloseSession(uint64_t session) {
    sessions::CloseRequest request;
    request.set_id(session);
    Write<sessions::SessionReply>("sessions.Close", request);
  }
  // So many locks are taken, "n0" first; 0: no session.
  void Take(int count, const std::string& prefix, const std::string& owner, uint64_t session,
            uint32_t ttl_ms = 0, Mode mode = exclusive) {
    for (int i = 0; i < count;) {
      AcquireRequest request;
      for (int end = std::min(count, i + 16); i < end; ++i) {
        request.add_names(prefix + std::to_string(i));
      }
      request.set_owner(owner);
      request.set_mode(mode);
      request.set_session(session);
      request.set_ttl_ms(ttl_ms);
      ASSERT_EQ(Write<AcquireReply>("locks.Acquire", request).outcome(), AcquireOutcome::granted);
    }
  }
  // More leases run out at once than timers fire with two entries.
  void ExpiryStorm(uint32_t ttl_ms) {
    Take(static_cast<int>(2 * bounds::kTimersPerEntryMax) + 16, "n", "storm", 0, ttl_ms);
  }
  std::optional<Holder> HolderOf(const std::string& name) {
    GetRequest get;
    get.set_name(name);
    const auto lock = *Read<Lock>("locks.Get", get);
    if (lock.holders().empty()) return std::nullopt;
    return lock.holders(0);
  }
  std::vector<Holder> Holders() {
    ListRequest request;
    request.set_limit(1'000);
    const auto list = Read<ListReply>("locks.List", request);
    return {list->holders().begin(), list->holders().end()};
  }
  uint64_t OpenSession(uint32_t ttl_ms = 10'000) {
    sessions::OpenRequest request;
    request.set_ttl_ms(ttl_ms);
    return Write<sessions::SessionReply>("sessions.Open", request).id();
  }
};

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

TEST_F(LocksTest, ALeaseOfItsOwnEnds) {
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

TEST_F(LocksTest, ExtendSaysWhyNot) {
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

TEST_F(LocksTest, AFailoverShortensNoLease) {
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

TEST_F(LocksTest, WhatIsASessionsGoesWithIt) {
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

TEST_F(LocksTest, ALockDelayFollowsALeaseThatRanOutAndNoRelease) {
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

// The process that died had the same token as the one that came after it, and took the lock with it
// when its session ended.
TEST_F(LocksTest, AHoldThatIsTakenUnderAnotherSessionLivesWithThatOne) {
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
TEST_F(LocksTest, WhoTakesALockOnceMoreHasTheLongerLease) {
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
TEST_F(LocksTest, ALeaseThatIsOverIsNotRevivedInAnExpiryStorm) {
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
TEST_F(LocksTest, AReleaseAfterTheLeaseIsTooLateInAnExpiryStorm) {
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
TEST_F(LocksTest, SessionsThatEndTogetherEndEachInOnePieceAndNotInOneEntry) {
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

// A timer was left of each until its lease would have ended.
TEST_F(LocksTest, NoTimerIsLeftOfWhatWasGivenUp) {
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

TEST_F(LocksTest, AnUpgradeWaitsForALockDelay) {
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
