// The log that the cluster has agreed on, put together from the logs of its nodes while these let
// go of their beginnings. Nodes that hold different entries at a place where both have applied are
// found out here. It is recorded, to be judged.
#pragma once

#include <string>
#include <vector>

#include "src/base/ids.h"
#include "tests/faults/recording.h"

namespace holdfast::faults {

class CollectedLog {
 public:
  // Records in `folder`, as Recording does.
  explicit CollectedLog(const std::string& folder) : recording_(folder, kLogFile) {}

  // Reads the log in `folder`, of a node that does not run or stands still and has applied
  // everything up to `applied`, and takes over what is new. Works on a copy in `scratch`, which it
  // removes. False: the log begins beyond last() + 1, as that of a node which has installed a
  // checkpoint; others reach back further. Throws sim::Violation when it differs from what was
  // collected before, and std::runtime_error when it cannot be read.
  bool Collect(const std::string& folder, const std::string& scratch, LogIndex applied);

  LogIndex last() const { return LogIndex(entries_.size()); }

 private:
  struct Entry {
    Term term;
    size_t hash = 0;  // Of the payload.
    bool operator==(const Entry&) const = default;
  };
  Recording recording_;
  std::vector<Entry> entries_;
};

}  // namespace holdfast::faults
