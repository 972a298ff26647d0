// What a disk durably holds of the log.
#pragma once

#include <vector>

#include "src/base/file_system_faulty.h"
#include "src/wal/segment_log.h"

namespace holdfast::sim {

// Whether the disk under an open log would still have the entry after a power cut. What lies before
// the log is in a checkpoint.
inline bool HoldsDurably(const wal::SegmentLog& log, const FaultyFileSystem& disk, LogIndex index,
                         Term term) {
  if (index < log.first()) return true;
  if (index > log.last() || log.TermAt(index) != term) return false;
  const auto place = log.PlaceOf(index);
  return place && disk.IsDurable(place->path, place->offset, place->bytes);
}

// The same of a disk that no process has open any more.
class Holdings {
 public:
  Holdings(const wal::SegmentLog& log, const FaultyFileSystem& disk) : first_(log.first()) {
    for (LogIndex i = first_; i <= log.last(); i = i.Next()) {
      const Term term = log.TermAt(i);
      terms_.push_back(HoldsDurably(log, disk, i, term) ? term : Term(0));
    }
  }
  bool Holds(LogIndex index, Term term) const {
    if (index < first_) return true;
    const uint64_t offset = index.value - first_.value;
    return offset < terms_.size() && terms_[offset] == term;
  }

 private:
  LogIndex first_;
  std::vector<Term> terms_;  // From there on; 0: not durable.
};

}  // namespace holdfast::sim
