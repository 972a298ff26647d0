#include "src/wal/entry_index.h"

#include <utility>

#include "src/base/check.h"

namespace holdfast::wal {

const Slot& EntryIndex::at(LogIndex index) const {
  HOLDFAST_CHECK(Contains(index), "no entry " + index.ToString() + " in the log, which holds " +
                                      first_.ToString() + " to " + last().ToString());
  return slots_[index.value - first_.value];
}

Payload EntryIndex::payload(LogIndex index) const {
  if (!Contains(index) || index < tail_first()) return nullptr;
  return tail_[index.value - tail_first().value];
}

void EntryIndex::Push(Term term, EntryType type, Payload payload) {
  tail_bytes_ += payload->size();
  slots_.push_back(
      Slot{.term = term, .length = static_cast<uint32_t>(payload->size()), .type = type});
  tail_.push_back(std::move(payload));
}

void EntryIndex::PushPlaced(const Slot& slot) {
  HOLDFAST_CHECK(tail_.empty() && slot.placed(),
                 "entry " + last().Next().ToString() + " from disk comes after one in memory");
  slots_.push_back(slot);
}

void EntryIndex::Place(LogIndex index, uint32_t segment, uint32_t offset) {
  HOLDFAST_CHECK(Contains(index), "entry " + index.ToString() + " was written but is not here");
  Slot& slot = slots_[index.value - first_.value];
  HOLDFAST_CHECK(!slot.placed(), "entry " + index.ToString() + " was written twice");
  slot.segment = segment;
  slot.offset = offset;
}

void EntryIndex::Cut(LogIndex from) {
  HOLDFAST_CHECK(from >= first_,
                 "cut at entry " + from.ToString() + " below the first, " + first_.ToString());
  while (last() >= from) {
    slots_.pop_back();
    if (tail_.empty()) continue;
    tail_bytes_ -= tail_.back()->size();
    tail_.pop_back();
  }
}

void EntryIndex::Reset(LogIndex next, Term previous_term) {
  first_ = next;
  previous_term_ = previous_term;
  slots_.clear();
  tail_.clear();
  tail_bytes_ = 0;
}

void EntryIndex::DropSegmentsBelow(uint32_t segment) {
  while (!slots_.empty() && slots_.front().placed() && slots_.front().segment < segment) {
    if (tail_.size() == slots_.size()) PopTailFront();
    previous_term_ = Term(0);
    slots_.pop_front();
    first_ = first_.Next();
  }
}

void EntryIndex::EvictTail(size_t bytes_max) {
  while (tail_bytes_ > bytes_max && !tail_.empty() && at(tail_first()).placed()) PopTailFront();
}

void EntryIndex::PopTailFront() {
  tail_bytes_ -= tail_.front()->size();
  tail_.pop_front();
}

}  // namespace holdfast::wal
