#include "src/raft/testing/memory_log.h"

#include "src/base/check.h"

namespace holdfast::raft::sim {
namespace {

void Replace(std::vector<wal::Entry>& log, LogIndex first, const std::vector<wal::Entry>& entries,
             size_t count) {
  HOLDFAST_CHECK(first.value >= 1 && first.value <= log.size() + 1, "an append leaves a gap");
  log.resize(first.value - 1);
  log.insert(log.end(), entries.begin(), entries.begin() + static_cast<ptrdiff_t>(count));
}

}  // namespace

void MemoryLog::SaveHardState(const wal::HardState& state) {
  if (before_effect_) before_effect_();
  hard_state_ = state;
}

Term MemoryLog::TermAt(LogIndex index) const {
  return index.value >= 1 && index <= last() ? entries_[index.value - 1].term : Term(0);
}

wal::Entry MemoryLog::Read(LogIndex index) const {
  HOLDFAST_CHECK(index.value >= 1 && index <= last(), "no entry " + index.ToString());
  return entries_[index.value - 1];
}

wal::Ticket MemoryLog::Append(LogIndex first, std::vector<wal::Entry> entries) {
  if (before_effect_) before_effect_();
  Replace(entries_, first, entries, entries.size());
  queue_.push_back({++ticket_, first, std::move(entries)});
  return ticket_;
}

void MemoryLog::WriteToDisk(const Queued& append, size_t count) {
  Replace(disk_, append.first, append.entries, count);
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
  return index.value >= 1 && index.value <= disk_.size() && disk_[index.value - 1].term == term;
}

}  // namespace holdfast::raft::sim
