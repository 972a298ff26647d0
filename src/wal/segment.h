// One file of the log, and how the files in a folder are named.
//
// A segment is named by its sequence number rather than by the index of its first entry: after a
// truncation the next file may well begin below an earlier one, and a file is made ready before
// anyone knows what it will begin with.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/error.h"
#include "src/base/file_system.h"
#include "src/base/ids.h"

namespace holdfast::wal {

struct Segment {
  uint32_t sequence = 0;
  std::string path;
  std::shared_ptr<File> file;
  uint64_t bytes = 0;        // Length of the file, header included.
  uint64_t first_group = 0;  // Of its first record, or of the next to come.
  LogIndex highest;          // Of all entries in it, those since overwritten too; 0: none.
};

// "segment-0000000001.log"
std::string SegmentName(uint32_t sequence);
std::optional<uint32_t> ParseSegmentName(std::string_view name);

// The segment that is being filled with zeros; it gets its real name when it is complete.
inline constexpr const char* kUnfinishedSegmentName = "next-segment.tmp";

// Bytes that cannot be what the log wrote: the answer names the place and never guesses.
Error Damaged(const std::string& path, uint64_t offset, const std::string& why);

}  // namespace holdfast::wal
