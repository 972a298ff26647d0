// Runs committed entries through the state machine on a thread of its own, answers the writes that
// are in them, and wakes the reads that waited for them.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "src/base/executor.h"
#include "src/base/ids.h"
#include "src/node/dispatcher.h"
#include "src/state_machine/machine.h"

namespace holdfast::node {

// A committed entry, with whoever waits for its outcomes on this node.
struct CommittedEntry {
  LogIndex index;
  std::shared_ptr<const std::string> payload;  // Empty for an entry of consensus itself.
  std::vector<Done> waiting;  // One per request, in order; null where nobody waits. Or empty.
};

class Applier {
 public:
  // Applies on `apply` and writes checkpoints on `background`. `applied` is called on the apply
  // executor after each entry. All must outlive the applier; stop both executors before it goes.
  Applier(state_machine::Machine& machine, store::Store& store, Executor& apply,
          Executor& background, std::function<void(LogIndex)> applied);

  // Entries must come in order of index. Thread-safe.
  void Apply(CommittedEntry entry);

  // Calls `ready` as soon as entry `index` is applied here: at once (then returns true), or on the
  // apply executor.
  // Thread-safe. A waiter whose time is up is the caller's to give up; `ready` still comes or, at
  // DropReaders, is destroyed.
  bool WhenApplied(LogIndex index, absl::AnyInvocable<void()> ready);

  // The node stops: lets go of whoever waits in WhenApplied.
  void DropReaders();

  // Of the earliest timer that waits, in microseconds of log time; INT64_MAX when none does.
  int64_t next_timer_us() const { return next_timer_us_.load(std::memory_order_relaxed); }

 private:
  void ApplyNow(CommittedEntry& entry);
  void WakeReaders(LogIndex applied);
  void MaybeCheckpoint();

  state_machine::Machine& machine_;
  store::Store& store_;
  Executor& apply_;
  Executor& background_;
  std::function<void(LogIndex)> applied_;
  std::atomic<int64_t> next_timer_us_;
  std::vector<state_machine::Outcome> outcomes_;  // Reused from entry to entry.
  std::mutex mutex_;
  std::multimap<LogIndex, absl::AnyInvocable<void()>> readers_;
};

}  // namespace holdfast::node
