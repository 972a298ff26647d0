#include "src/raft/testing/memory_log.h"

#include "src/base/check.h"

namespace holdfast::raft::sim {
namespace {

void Replace(std::vector<wal::Entry>& log, LogIndex log_first, LogIndex first,
             const std::vector<wal::Entry>& entries, size_t count) {
  HOLDFAST_CHECK(first >= log_first && first.value <= log_first.value + log.size(),
                 "an append leaves a gap");
  log.resize(first.value - log_first.value);
  log.insert(log.end(), entries.begin(), entries.begin() + static_cast<ptrdiff_t>(count));
}

}  // namespace

void MemoryLog::SaveHardState(const wal::HardState& state) {
  if (before_effect_) before_effect_();
  hard_state_ = state;
}

Term MemoryLog::TermAt(LogIndex index) const {
  if (index.Next() == first_) return previous_term_;
  return index >= first_ && index <= last() ? entries_[index.value - first_.value].term : Term(0);
}

wal::Entry MemoryLog::Read(LogIndex index) const {
  HOLDFAST_CHECK(index >= first_ && index <= last(), "no entry " + index.ToString());
  return entries_[index.value - first_.value];
}

LogIndex MemoryLog::OldestWithin(uint64_t bytes) const {
  LogIndex oldest = last().Next();
  for (uint64_t sum = 0; oldest > first_; oldest = oldest.Previous()) {
    sum += Read(oldest.Previous()).payload->size();
    if (sum > bytes) break;
  }
  return oldest;
}

wal::Ticket MemoryLog::Reset(LogIndex next, Term previous_term) {
  queue_.clear();
  first_ = disk_first_ = next;
  previous_term_ = previous_term;
  entries_.clear();
  disk_.clear();
  return ++ticket_;
}

void MemoryLog::TruncatePrefix(LogIndex index) {
  HOLDFAST_CHECK(index <= durable_last().Next(), "what is not durable is truncated");
  if (index <= first_) return;
  previous_term_ = Term(0);
  entries_.erase(entries_.begin(),
                 entries_.begin() + static_cast<ptrdiff_t>(index.value - first_.value));
  disk_.erase(disk_.begin(),
              disk_.begin() + static_cast<ptrdiff_t>(index.value - disk_first_.value));
  first_ = disk_first_ = index;
}

void MemoryLog::Lose() {
  Reset(LogIndex(1), Term(0));
  hard_state_ = {};
}

wal::Ticket MemoryLog::Append(LogIndex first, std::vector<wal::Entry> entries) {
  if (before_effect_) before_effect_();
  Replace(entries_, first_, first, entries, entries.size());
  queue_.push_back({++ticket_, first, std::move(entries)});
  return ticket_;
}

void MemoryLog::WriteToDisk(const Queued& append, size_t count) {
  Replace(disk_, disk_first_, append.first, append.entries, count);
}

wal::Ticket MemoryLog::Write(size_t count) {
  HOLDFAST_CHECK(count >= 1 && count <= queue_.size(), "nothing to write");
  wal::Ticket last = 0;
  for (size_t i = 0; i < count; ++i) {
    WriteToDisk(queue_.front(), queue_.front().entries.size());
    last = queue_.front().ticket;
    queue_.pop_front();
  }
  return last;
}

void MemoryLog::Crash(size_t whole, size_t part) {
  whole = std::min(whole, queue_.size());
  if (whole > 0) Write(whole);
  if (part > 0 && !queue_.empty()) {
    WriteToDisk(queue_.front(), std::min(part, queue_.front().entries.size()));
  }
  queue_.clear();
  entries_ = disk_;
}

bool MemoryLog::HoldsDurably(LogIndex index, Term term) const {
  if (index < disk_first_) return true;
  return index <= durable_last() && disk_[index.value - disk_first_.value].term == term;
}

}  // namespace holdfast::raft::sim
