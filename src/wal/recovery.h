// Reads the segments of a folder back, and tells a write that the crash cut short from damage.
//
// Why that can be told: a group is written only after the one before it is durable. So a bad record
// of group G with any sign of a later group was durable once, and is damage: an Error that names
// file and offset. Without such a sign group G was the last write and never reported: it is cut, as
// a whole, and what it left is overwritten with zeros before anything else is written.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "src/wal/entry_index.h"
#include "src/wal/format.h"
#include "src/wal/segment.h"

namespace holdfast::wal {

struct Recovered {
  std::deque<Segment> segments;  // At least one; the last is to be written on.
  std::optional<Segment> next;   // Ready to follow it.
  uint64_t end = 0;              // Where in the last segment the next group goes.
  uint64_t durable_group = 0;
  EntryIndex entries;
};

// Everything in the answer is durable. Removes leftovers (segments below `state.lowest_segment`,
// unfinished files).
Result<Recovered> Recover(FileSystem& files, const std::string& folder, uint64_t salt,
                          const LogState& state);

// True when no segment in the folder holds anything: the folder of a log whose creation was cut
// short, or an empty one.
Result<bool> HoldsNoRecords(FileSystem& files, const std::string& folder);

}  // namespace holdfast::wal
