#include "src/node/applier.h"

#include "src/base/check.h"

namespace holdfast::node {

namespace {
int64_t NextTimerUs(const state_machine::Machine& machine) {
  const auto next = machine.NextTimer();
  return next ? next->us : INT64_MAX;
}
}  // namespace

Applier::Applier(state_machine::Machine& machine, store::Store& store, Executor& apply,
                 Executor& background, std::function<void(LogIndex)> applied)
    : machine_(machine),
      store_(store),
      apply_(apply),
      background_(background),
      applied_(std::move(applied)),
      next_timer_us_(NextTimerUs(machine)) {}

void Applier::Apply(CommittedEntry entry) {
  apply_.Post([this, entry = std::move(entry)]() mutable { ApplyNow(entry); });
}

void Applier::ApplyNow(CommittedEntry& entry) {
  machine_.Apply(entry.index, *entry.payload, &outcomes_);
  next_timer_us_.store(NextTimerUs(machine_), std::memory_order_relaxed);
  HOLDFAST_CHECK(entry.waiting.empty() || entry.waiting.size() == outcomes_.size(),
                 "entry " + entry.index.ToString() + " has other requests than were proposed");
  for (size_t i = 0; i < entry.waiting.size(); ++i) {
    if (!entry.waiting[i]) continue;
    Reply reply;
    reply.body = std::move(outcomes_[i].reply);
    reply.position = entry.index;
    reply.replayed = outcomes_[i].replayed;
    entry.waiting[i](std::move(reply));
  }
  WakeReaders(entry.index);
  MaybeCheckpoint();
  applied_(entry.index);
}

bool Applier::WhenApplied(LogIndex index, absl::AnyInvocable<void()> ready) {
  {
    std::lock_guard lock(mutex_);
    // Looked at under the mutex: WakeReaders cannot pass between the look and the wait.
    if (machine_.applied() < index) {
      readers_.emplace(index, std::move(ready));
      return false;
    }
  }
  ready();
  return true;
}

void Applier::WakeReaders(LogIndex applied) {
  std::vector<absl::AnyInvocable<void()>> ready;
  {
    std::lock_guard lock(mutex_);
    while (!readers_.empty() && readers_.begin()->first <= applied) {
      ready.push_back(std::move(readers_.begin()->second));
      readers_.erase(readers_.begin());
    }
  }
  for (auto& wake : ready) wake();
}

void Applier::DropReaders() {
  std::multimap<LogIndex, absl::AnyInvocable<void()>> dropped;  // Destroyed after the lock.
  std::lock_guard lock(mutex_);
  dropped.swap(readers_);
}

void Applier::MaybeCheckpoint() {
  if (!store_.WantsCheckpoint()) return;
  std::function<void()> job;
  {
    absl::MutexLock lock(&store_.mutex());
    job = store_.BeginCheckpoint();
  }
  if (job) background_.Post(std::move(job));
}

}  // namespace holdfast::node
