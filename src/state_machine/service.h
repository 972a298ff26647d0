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
#include "src/state_machine/topic.h"
#include "src/store/store.h"

namespace holdfast::state_machine {

class Timers;

// What a read knows: the state it sees is the one after entry `index`, stamped `now`.
struct ReadContext {
  LogIndex index;
  LogTime now;
  uint8_t service = 0;
  std::optional<Topic>* waits_for = nullptr;  // Null: nobody would wait.

  // The reply is only the best there is now: a caller who waits is answered anew once a write has
  // touched `topic` of this service, and with this when the time to wait is over (docs/waiting.md).
  void WaitFor(std::string_view topic) const {
    if (waits_for != nullptr) *waits_for = TopicOf(service, topic);
  }
};

// What a write knows. Valid during the call only.
class WriteContext {
 public:
  WriteContext(store::Store& store, Timers& timers, std::vector<Touched>& touched, uint8_t service,
               LogIndex index, LogTime now, uint32_t behaviour)
      : store_(store),
        timers_(timers),
        touched_(touched),
        service_(service),
        behaviour_(behaviour),
        index_(index),
        now_(now) {}
  // The same for a write of another service that is part of this one.
  WriteContext For(uint8_t service) const {
    return WriteContext(store_, timers_, touched_, service, index_, now_, behaviour_);
  }

  LogIndex index() const { return index_; }
  // The version of the behaviour that is in force, from 1: what a method did before a change it
  // goes on doing until the version that came with the change (base/behaviour.h).
  uint32_t behaviour() const { return behaviour_; }
  // The entry's timestamp: strictly greater than the previous entry's.
  LogTime now() const { return now_; }

  // For a write that drops part of its effects and keeps others (a transaction whose third leg
  // fails keeps only the burnt id). A handler that returns an Error needs none of this: everything
  // it did is dropped.
  store::Savepoint Mark() const { return store_.Mark(); }
  void RollbackTo(store::Savepoint mark) { store_.RollbackTo(mark); }

  // Calls the service's OnTimer with `key` in the first entry stamped at or after `due`. Setting
  // the same (due, key) twice is one timer. Correctness must not hang on the moment it fires:
  // compare with now() wherever an expiry matters, and use the timer to clean up and to release.
  void SetTimer(LogTime due, std::string_view key);
  void CancelTimer(LogTime due, std::string_view key);

  // Reads that wait for `topic` of this service look again: all of them, or as many as have reason
  // to. Not part of the state: who touches in vain, or is rolled back, only costs a look.
  void Touch(std::string_view topic, uint32_t waiters = kAllWaiters) {
    touched_.push_back({TopicOf(service_, topic), waiters});
  }

 private:
  store::Store& store_;
  Timers& timers_;
  std::vector<Touched>& touched_;
  uint8_t service_;
  uint32_t behaviour_;
  LogIndex index_;
  LogTime now_;
};

class Service {
 public:
  virtual ~Service() = default;
  // A timer of this service is due. Never fails: what it finds undone it does, or leaves.
  virtual void OnTimer(WriteContext& /*context*/, std::string_view /*key*/) {}
  // What is wrong with the service's state, if anything. Called after every entry in debug builds
  // (so keep it affordable for small states) and by verification.
  virtual std::optional<std::string> CheckInvariants() const { return std::nullopt; }
};

}  // namespace holdfast::state_machine
