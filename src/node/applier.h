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
#include "src/node/apply_metrics.h"
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
  // executor after each entry, `checkpointed` on the background executor when everything up to an
  // entry is durable in the store. All must outlive the applier; stop both executors before it
  // goes.
  Applier(state_machine::Machine& machine, store::Store& store, Executor& apply,
          Executor& background, std::function<void(LogIndex)> applied,
          std::function<void(LogIndex)> checkpointed);

  // Entries must come in order of index. Thread-safe.
  void Apply(CommittedEntry entry);

  // Calls `waited`: with true as soon as entry `index` is applied here, at once or on the apply
  // executor; with false once the deadline has passed, from ExpireReaders. Destroys it instead when
  // the node stops. Thread-safe.
  using Waited = absl::AnyInvocable<void(bool applied)>;
  void WhenApplied(LogIndex index, uint64_t deadline_ms, Waited waited);
  // As precise as it is often called. Thread-safe.
  void ExpireReaders(uint64_t now_ms);

  // Begins a checkpoint of whatever has changed, though no bound calls for one. Thread-safe.
  void CheckpointSoon();
  // Everything up to here is durable in the store. Any thread.
  LogIndex checkpoint() const { return LogIndex(checkpoint_.load(std::memory_order_acquire)); }

  // Whether entries should be held back until a checkpoint is written. Any thread.
  bool overfull() const { return overfull_.load(std::memory_order_relaxed); }

  // The node stops: lets go of whoever waits in WhenApplied, now or later.
  void DropReaders();

  const ApplyMetrics& metrics() const { return metrics_; }  // Any thread.

  // Of the earliest timer that waits, in microseconds of log time; INT64_MAX when none does.
  int64_t next_timer_us() const { return next_timer_us_.load(std::memory_order_relaxed); }

 private:
  void ApplyNow(CommittedEntry& entry);
  void WakeReaders(LogIndex applied);
  void MaybeCheckpoint(bool wanted);

  state_machine::Machine& machine_;
  store::Store& store_;
  Executor& apply_;
  Executor& background_;
  std::function<void(LogIndex)> applied_;
  std::function<void(LogIndex)> checkpointed_;
  std::atomic<uint64_t> checkpoint_;
  std::atomic<int64_t> next_timer_us_;
  std::atomic<bool> overfull_{false};
  ApplyMetrics metrics_;
  std::vector<state_machine::Outcome> outcomes_;  // Reused from entry to entry.
  struct Reader {
    uint64_t deadline_ms = 0;
    Waited waited;
  };
  using Readers = std::multimap<LogIndex, Reader>;
  std::mutex mutex_;
  Readers readers_;                         // By the entry that they wait for.
  uint64_t next_deadline_ms_ = UINT64_MAX;  // Not later than the first of them.
  bool stopped_ = false;
};

}  // namespace holdfast::node
