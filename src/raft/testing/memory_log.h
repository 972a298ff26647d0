// wal::Log in memory with a disk that is late: what is appended can be read at once and is durable
// only when the test says so. A crash loses the rest.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "src/wal/log.h"

namespace holdfast::raft::sim {

class MemoryLog final : public wal::Log {
 public:
  // Called before each SaveHardState and Append takes place; may throw, to die right there.
  void set_before_effect(std::function<void()> hook) { before_effect_ = std::move(hook); }

  wal::HardState hard_state() const override { return hard_state_; }
  void SaveHardState(const wal::HardState& state) override;
  LogIndex first() const override { return first_; }
  LogIndex last() const override { return LogIndex(first_.value + entries_.size() - 1); }
  Term TermAt(LogIndex index) const override;
  wal::EntryType TypeAt(LogIndex index) const override { return Read(index).type; }
  wal::Entry Read(LogIndex index) const override;
  LogIndex OldestWithin(uint64_t bytes) const override;
  wal::Ticket Append(LogIndex first, std::vector<wal::Entry> entries) override;
  wal::Ticket Reset(LogIndex next, Term previous_term) override;  // Durable at once.
  void TruncatePrefix(LogIndex index) override;

  // --- The disk
  size_t queued() const { return queue_.size(); }
  // Carries out the oldest `count` appends. The ticket of the last of them.
  wal::Ticket Write(size_t count);
  // The process dies when `whole` of the queued appends and `part` entries of the next had reached
  // the disk. The log is then what a restart finds.
  void Crash(size_t whole, size_t part);
  // What lies before the log is in a checkpoint.
  bool HoldsDurably(LogIndex index, Term term) const;
  LogIndex durable_last() const { return LogIndex(disk_first_.value + disk_.size() - 1); }
  // The disk is replaced by an empty one.
  void Lose();

 private:
  struct Queued {
    wal::Ticket ticket;
    LogIndex first;
    std::vector<wal::Entry> entries;
  };
  void WriteToDisk(const Queued& append, size_t count);

  std::function<void()> before_effect_;
  wal::HardState hard_state_;  // Durable at once.
  LogIndex first_{1};
  Term previous_term_;
  std::vector<wal::Entry> entries_;
  LogIndex disk_first_{1};
  std::vector<wal::Entry> disk_;
  std::deque<Queued> queue_;
  wal::Ticket ticket_ = 0;
};

}  // namespace holdfast::raft::sim
