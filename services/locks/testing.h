// For the tests of the locks: the service in the machine that runs it, and short ways to call it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>

#include "holdfast/atomic.pb.h"
#include "services/locks/locks.h"
#include "services/sessions/sessions.pb.h"
#include "src/base/bounds.h"
#include "src/state_machine/atomic_service.h"
#include "src/state_machine/testing/service_fixture.h"

namespace holdfast::sessions {
void Register(state_machine::Registry& registry);
}

namespace holdfast::locks {

void Register(state_machine::Registry& registry);

namespace testing {

inline constexpr uint8_t kLocks = 4;

class LocksFixture : public state_machine::testing::ServiceFixture {
 protected:
  LocksFixture()
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

}  // namespace testing
}  // namespace holdfast::locks
