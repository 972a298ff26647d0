// What a service is: tables, methods, timers. It is a plain deterministic object that knows no
// Raft, gRPC, HTTP or RocksDB.
//
// Determinism: a write sees its request, its context and the store, nothing else. No clock, no
// randomness, no threads, no iteration over unordered containers, no floating point. Every node
// runs the same writes in the same order and must end with the same bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"
#include "src/base/ids.h"
#include "src/state_machine/lease.h"
#include "src/state_machine/topic.h"
#include "src/store/store.h"

namespace holdfast::state_machine {

class Registry;
class Sessions;
class Timers;

// What a read knows: the state it sees is the one after entry `index`, stamped `now`.
struct ReadContext {
  LogIndex index;
  LogTime now;
  LeaseTime lease_now;
  const Sessions* sessions = nullptr;
  uint8_t service = 0;
  std::optional<Topic>* waits_for = nullptr;  // Null: nobody would wait.

  // The reply is only the best there is now: a caller who waits is answered anew once a write has
  // touched `topic` of this service, and with this when the time to wait is over (docs/waiting.md).
  void WaitFor(std::string_view topic) const {
    if (waits_for != nullptr) *waits_for = TopicOf(service, topic);
  }
};

// What all writes of an entry share; the machine's.
struct EntryScope {
  store::Store& store;
  Timers& timers;
  LeaseClock& leases;
  Sessions& sessions;
  const Registry& registry;
  std::vector<Touched>& touched;
  LogIndex index;
  LogTime now;
  uint32_t behaviour = 1;
};

// What a write knows. Valid during the call only.
class WriteContext {
 public:
  WriteContext(EntryScope& scope, uint8_t service) : scope_(&scope), service_(service) {}
  // The same for a write of another service that is part of this one.
  WriteContext For(uint8_t service) const { return WriteContext(*scope_, service); }

  LogIndex index() const { return scope_->index; }
  // The version of the behaviour that is in force, from 1: what a method did before a change it
  // goes on doing until the version that came with the change (base/behaviour.h).
  uint32_t behaviour() const { return scope_->behaviour; }
  // The entry's timestamp: strictly greater than the previous entry's.
  LogTime now() const { return scope_->now; }
  // What leases are measured by (lease.h).
  LeaseTime lease_now() const { return scope_->leases.At(scope_->now); }
  uint8_t service() const { return service_; }

  // For a write that drops part of its effects and keeps others (a transaction whose third leg
  // fails keeps only the burnt id). A handler that returns an Error needs none of this: everything
  // it did is dropped.
  store::Savepoint Mark() const { return scope_->store.Mark(); }
  void RollbackTo(store::Savepoint mark) { scope_->store.RollbackTo(mark); }

  // Calls the service's OnTimer with `key` in the first entry stamped at or after `due`. Setting
  // the same (due, key) twice is one timer. Correctness must not hang on the moment it fires:
  // compare with now() wherever an expiry matters, and use the timer to clean up and to release.
  void SetTimer(LogTime due, std::string_view key);
  void CancelTimer(LogTime due, std::string_view key);
  // The same for a lease. `timer_us`, kept with the lease, is when its timer fires, 0: it has none.
  // A timer that is set and early enough stays: then, and when time without a leader has made it
  // fire too early, it is set again as it fires.
  void SetLeaseTimer(LeaseTime due, std::string_view key, int64_t* timer_us) {
    const LogTime at = scope_->leases.LogTimeOf(due);
    if (*timer_us != 0 && *timer_us <= at.us) return;
    CancelLeaseTimer(key, timer_us);
    SetTimer(at, key);
    *timer_us = at.us;
  }
  // Of a lease that keeps no account of its timer: it is left to fire, and to find nothing.
  void SetLeaseTimer(LeaseTime due, std::string_view key) {
    SetTimer(scope_->leases.LogTimeOf(due), key);
  }
  void CancelLeaseTimer(std::string_view key, int64_t* timer_us) {
    if (*timer_us != 0) CancelTimer(LogTime{*timer_us}, key);
    *timer_us = 0;
  }

  // Sessions of clients. What a service keeps for one it ties to it, and is told when it ends.
  Sessions& sessions() { return scope_->sessions; }
  const Registry& registry() const { return scope_->registry; }
  // Of Sessions itself.
  void SetSessionTimer(LeaseTime due, uint64_t session, int64_t* timer_us);
  void CancelSessionTimer(uint64_t session, int64_t* timer_us);

  // Reads that wait for `topic` of this service look again: all of them, or as many as have reason
  // to. Not part of the state: who touches in vain, or is rolled back, only costs a look.
  void Touch(std::string_view topic, uint32_t waiters = kAllWaiters) {
    scope_->touched.push_back({TopicOf(service_, topic), waiters});
  }

 private:
  EntryScope* scope_;
  uint8_t service_;
};

class Service {
 public:
  virtual ~Service() = default;
  // A timer of this service is due. Never fails: what it finds undone it does, or leaves.
  virtual void OnTimer(WriteContext& /*context*/, std::string_view /*key*/) {}
  // A session has ended to which this service has tied something, because its client closed it, or
  // because its time was over. Never fails.
  virtual void OnSessionEnd(WriteContext& /*context*/, uint64_t /*session*/, bool /*closed*/) {}
  // What is wrong with the service's state, if anything. Called after every entry in debug builds
  // (so keep it affordable for small states) and by verification.
  virtual std::optional<std::string> CheckInvariants() const { return std::nullopt; }
};

}  // namespace holdfast::state_machine
