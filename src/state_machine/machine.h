// The state machine: log entries in, replies out.
//
// Apply takes an entry, fires the timers that are due, and runs each request in a transaction of
// its own: it looks up the idempotency key, calls the service, keeps the effects of a success and
// drops those of an error, and stores the definitive outcome under the key. The applied index is a
// row of the same store, so whatever a checkpoint holds, it holds together with the index, and no
// entry is ever applied twice or half.
//
// What entries mean has versions (base/behaviour.h); which is in force is a row, too, changed by
// entries that say so.
//
// Invariants: applied() grows by one per Apply; now() strictly increases; equal entries give equal
// replies and an equal digest on every node.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <google/protobuf/arena.h>

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/state_machine/registry.h"
#include "src/state_machine/reused_message.h"
#include "src/state_machine/service.h"
#include "src/state_machine/timers.h"

namespace holdfast {
class BehaviourStep;  // log.proto
class LogRequest;
}  // namespace holdfast

namespace holdfast::state_machine {

// How one request ended.
struct Outcome {
  Result<std::string> reply;  // The reply's bytes, or why it was refused.
  bool replayed = false;      // From an idempotency key: byte for byte what the first one got.
};

// Where the machine stands; equal for equal logs.
struct Position {
  LogIndex applied;
  LogTime now;
  uint64_t digest = 0;     // Chain over every change of every entry.
  uint32_t behaviour = 0;  // The version in force; 0: no entry has named one yet.
};

class Machine {
 public:
  // The registry must be complete (Finish) and outlive the machine. Continues from what the store
  // holds.
  Machine(store::Store& store, Registry& registry);
  ~Machine();

  // --- Apply thread
  // Applies entry `index` (applied + 1); `entry` is a serialised LogEntry, or empty for an entry of
  // consensus itself (barrier, configuration), which only advances the index. Returns how many
  // requests there were; `outcomes` gets one element for each, in order. Null: nobody is told, and
  // replies are made only as far as they are kept. Takes the store's lock. Bytes that do not parse
  // stop the node: they were agreed on, so every node would disagree with itself. So does an entry
  // that this program cannot carry out, with the release that can.
  size_t Apply(LogIndex index, std::string_view entry, std::vector<Outcome>* outcomes);
  // The earliest time for which a timer waits. The leader proposes a tick once it has passed.
  std::optional<LogTime> NextTimer() const;
  // What the last entry touched, in order.
  const std::vector<Touched>& touched() const { return touched_; }

  const Registry& registry() const { return registry_; }

  // --- Any thread
  // Runs a READ on the state between two entries and says which (takes the shared lock).
  // `waits_for`: unless null, gets what a caller who has time should wait for before asking again.
  Result<std::string> Read(const Method& method, const Message& request, Position* at,
                           std::optional<Topic>* waits_for = nullptr) const;
  // The reply that is kept under an idempotency key, if any. Within a Read only: the lock is held.
  std::optional<std::string> StoredReply(const Method& method, const std::string& principal,
                                         const std::string& key) const;
  // Whether there is one; takes the shared lock.
  bool HasStoredReply(const Method& method, const std::string& principal,
                      const std::string& key) const;
  Position position() const;  // Takes the shared lock.
  // What leases are measured by, after the last entry. Under the shared lock.
  LeaseTime lease_now() const;
  // Without a lock; may be behind position() by the entry being applied, never ahead.
  LogIndex applied() const { return LogIndex(applied_.load(std::memory_order_acquire)); }
  // The version of the behaviour that is in force, in the same way; 0: no entry has named one yet,
  // which means the first.
  uint32_t behaviour() const { return behaviour_.load(std::memory_order_acquire); }
  // Why a write of this method cannot be taken yet, if so: its behaviour is not in force.
  std::optional<Error> NotYet(const Method& method) const;
  // Whether this program can do what is in force; when not, the Error (unimplemented) says which
  // release can. `where`: "this node". Takes the shared lock.
  Result<void> Fits(const std::string& where) const;

 private:
  struct Tables;
  void TakeStep(const BehaviourStep& step, LogIndex index);
  EntryScope ScopeOf(LogIndex index);
  void FireTimers(LogIndex index, size_t entry_bytes);
  void Fire(const Timers::Timer& timer, LogIndex index);
  Outcome ApplyRequest(const LogRequest& request, LogIndex index, bool told);
  void CheckInvariants() const;

  store::Store& store_;
  Registry& registry_;
  std::unique_ptr<Tables> tables_;
  Position position_;
  // Of the apply thread, kept from one entry to the next: most requests then allocate nothing.
  ReusedMessage entry_;
  std::vector<Touched> touched_;
  absl::flat_hash_map<const Method*, ReusedMessage> bodies_;
  std::unique_ptr<char[]> arena_block_;
  google::protobuf::Arena arena_;  // Of the reply being made.
  std::atomic<uint64_t> applied_{0};
  std::atomic<uint32_t> behaviour_{0};
};

}  // namespace holdfast::state_machine
