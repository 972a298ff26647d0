// The log as memory knows it: for each entry its term, type and place on disk, and for the newest
// ones the payload too.
//
// Invariants: entries are contiguous from first() to last(); those that have a place come before
// those that have none; an entry without a place has its payload in memory; payloads in memory are
// those of the last so many entries.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "src/base/ids.h"
#include "src/wal/log.h"

namespace holdfast::wal {

using Payload = std::shared_ptr<const std::string>;

struct Slot {
  Term term;
  uint32_t segment = 0;  // Sequence number; 0: no place yet.
  uint32_t offset = 0;   // Of the record's header in it.
  uint32_t length = 0;   // Of the payload.
  EntryType type = EntryType::kCommand;
  bool placed() const { return segment != 0; }
};

class EntryIndex {
 public:
  explicit EntryIndex(LogIndex first = LogIndex(1)) : first_(first) {}

  LogIndex first() const { return first_; }
  LogIndex last() const { return LogIndex(first_.value + slots_.size() - 1); }
  bool Contains(LogIndex index) const { return index >= first_ && index <= last(); }
  const Slot& at(LogIndex index) const;
  Payload payload(LogIndex index) const;  // Null when it is only on disk.
  size_t tail_bytes() const { return tail_bytes_; }

  // At last() + 1.
  void Push(Term term, EntryType type, Payload payload);
  void PushPlaced(const Slot& slot);
  void Place(LogIndex index, uint32_t segment, uint32_t offset);
  // Drops the entries from `from` on; no effect beyond the last.
  void Cut(LogIndex from);
  // The term of the entry before first(), if it is known; else 0.
  Term previous_term() const { return previous_term_; }
  void Reset(LogIndex next, Term previous_term = Term(0));
  // Drops the entries that lie in segments below.
  void DropSegmentsBelow(uint32_t segment);
  // Forgets the oldest payloads in memory while they are more than `bytes_max` and on disk.
  void EvictTail(size_t bytes_max);

 private:
  LogIndex tail_first() const { return LogIndex(last().value + 1 - tail_.size()); }
  void PopTailFront();

  LogIndex first_;
  Term previous_term_;
  std::deque<Slot> slots_;
  std::deque<Payload> tail_;
  size_t tail_bytes_ = 0;
};

}  // namespace holdfast::wal
