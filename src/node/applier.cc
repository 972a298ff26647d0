#include "src/node/applier.h"

#include <algorithm>
#include <chrono>

#include "src/base/batch.h"
#include "src/base/check.h"
#include "src/clock/clock.h"

namespace holdfast::node {

namespace {
using SteadyClock = std::chrono::steady_clock;

uint64_t MicrosSince(SteadyClock::time_point began) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - began).count());
}

int64_t NextTimerUs(const state_machine::Machine& machine) {
  const auto next = machine.NextTimer();
  return next ? next->us : INT64_MAX;
}
}  // namespace

Applier::Applier(state_machine::Machine& machine, store::Store& store, Executor& apply,
                 Executor& background, std::function<void(LogIndex)> applied,
                 std::function<void(LogIndex)> checkpointed)
    : machine_(machine),
      store_(store),
      apply_(apply),
      background_(background),
      applied_(std::move(applied)),
      checkpointed_(std::move(checkpointed)),
      checkpoint_(machine.applied().value),
      next_timer_us_(NextTimerUs(machine)) {
  metrics_.checkpoint_index.Set(machine.applied().value);  // What the store was opened with.
}

void Applier::Apply(CommittedEntry entry) {
  apply_.Post([this, entry = std::move(entry)]() mutable { ApplyNow(entry); });
}

void Applier::ApplyNow(CommittedEntry& entry) {
  const auto began = SteadyClock::now();
  const bool told = !entry.waiting.empty();
  const size_t requests = machine_.Apply(entry.index, *entry.payload, told ? &outcomes_ : nullptr);
  next_timer_us_.store(NextTimerUs(machine_), std::memory_order_relaxed);
  if (requests > 0) metrics_.entry_requests.Observe(requests);  // Before anybody can ask.
  HOLDFAST_CHECK(!told || entry.waiting.size() == requests,
                 "entry " + entry.index.ToString() + " has other requests than were proposed");
  {
    Batch replies;
    for (size_t i = 0; i < entry.waiting.size(); ++i) {
      if (!entry.waiting[i]) continue;
      Reply reply;
      reply.body = std::move(outcomes_[i].reply);
      reply.position = entry.index;
      reply.replayed = outcomes_[i].replayed;
      entry.waiting[i](std::move(reply));
    }
  }
  WakeReaders(entry.index);
  metrics_.entry_us.Observe(MicrosSince(began));
  MaybeCheckpoint(false);
  applied_(entry.index);
}

void Applier::WhenApplied(LogIndex index, uint64_t deadline_ms, Waited waited) {
  {
    std::lock_guard lock(mutex_);
    // Looked at under the mutex: WakeReaders cannot pass between the look and the wait.
    if (machine_.applied() < index) {
      if (stopped_) return;
      readers_.emplace(index, Reader{deadline_ms, std::move(waited)});
      next_deadline_ms_ = std::min(next_deadline_ms_, deadline_ms);
      return;
    }
  }
  waited(true);
}

void Applier::ExpireReaders(uint64_t now_ms) {
  std::vector<Waited> expired;
  {
    std::lock_guard lock(mutex_);
    if (now_ms < next_deadline_ms_) return;
    next_deadline_ms_ = UINT64_MAX;
    for (auto it = readers_.begin(); it != readers_.end();) {
      Reader& reader = it->second;
      if (now_ms < reader.deadline_ms) {
        next_deadline_ms_ = std::min(next_deadline_ms_, reader.deadline_ms);
        ++it;
        continue;
      }
      expired.push_back(std::move(reader.waited));
      it = readers_.erase(it);
    }
  }
  Batch answers;
  for (Waited& waited : expired) waited(false);
}

void Applier::WakeReaders(LogIndex applied) {
  std::vector<Waited> ready;
  {
    std::lock_guard lock(mutex_);
    while (!readers_.empty() && readers_.begin()->first <= applied) {
      ready.push_back(std::move(readers_.begin()->second.waited));
      readers_.erase(readers_.begin());
    }
  }
  for (Waited& waited : ready) waited(true);
}

void Applier::DropReaders() {
  Readers dropped;  // Destroyed after the lock.
  std::lock_guard lock(mutex_);
  stopped_ = true;
  dropped.swap(readers_);
}

void Applier::CheckpointSoon() {
  apply_.Post([this] { MaybeCheckpoint(true); });
}

void Applier::MaybeCheckpoint(bool wanted) {
  const LogIndex index = machine_.applied();
  std::function<void()> job;
  size_t rows = 0;
  {
    absl::MutexLock lock(&store_.mutex());
    rows = store_.delta_rows();
    metrics_.delta_rows.Set(rows);
    metrics_.delta_bytes.Set(store_.delta_bytes());
    if (wanted || store_.WantsCheckpoint()) job = store_.BeginCheckpoint();
    overfull_.store(store_.Overfull(), std::memory_order_relaxed);
  }
  if (!job) return;
  background_.Post([this, rows, index, job = std::move(job)] {
    const auto began = SteadyClock::now();
    job();
    metrics_.checkpoint_us.Observe(MicrosSince(began));
    metrics_.checkpoint_rows.Add(rows);
    metrics_.checkpoint_index.Set(index.value);
    metrics_.checkpoint_ms.Set(SystemClock().MonotonicMs());
    overfull_.store(false, std::memory_order_relaxed);
    checkpoint_.store(index.value, std::memory_order_release);
    checkpointed_(index);
  });
}

}  // namespace holdfast::node
