// The log that the cluster has agreed on, put together from the logs of its nodes while these let
// go of their beginnings. Nodes that hold different entries at a place where both have applied are
// found out here.
#pragma once

#include <string>
#include <vector>

#include "src/base/ids.h"

namespace holdfast::faults {

class CollectedLog {
 public:
  // Reads the log in `folder`, of a node that does not run or stands still and has applied
  // everything up to `applied`, and takes over what is new. Works on a copy in `scratch`, which it
  // removes. False: the log begins beyond last() + 1, as that of a node which has installed a
  // checkpoint; others reach back further. Throws sim::Violation when it differs from what was
  // collected before, and std::runtime_error when it cannot be read.
  bool Collect(const std::string& folder, const std::string& scratch, LogIndex applied);

  LogIndex last() const { return LogIndex(entries_.size()); }
  // Empty: no requests. From index 1.
  const std::string& payload(LogIndex index) const { return entries_[index.value - 1].payload; }

 private:
  struct Entry {
    Term term;
    std::string payload;
  };
  std::vector<Entry> entries_;
};

}  // namespace holdfast::faults
