// Reads a file of the log once more while the log is in use, and compares what the next start
// would: bits that rot are found while the other nodes still have them.
#pragma once

#include <cstdint>
#include <functional>

#include "src/base/error.h"
#include "src/wal/segment.h"

namespace holdfast::wal {

// A file, and the last group that is durable in it, or before it if it has none.
struct ScrubTarget {
  Segment segment;
  uint64_t last_group = 0;
};

// Told after each piece how many bytes were read; false: to be broken off.
using ScrubPace = std::function<bool(uint64_t bytes)>;

// Any thread; the file may be written to behind what is durable. An Error names file and offset.
Result<void> ScrubSegment(const ScrubTarget& target, uint64_t salt, const ScrubPace& pace);

}  // namespace holdfast::wal
