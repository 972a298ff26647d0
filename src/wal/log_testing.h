// What the log's tests share.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/base/file_system_faulty.h"
#include "src/base/testing/stopped.h"
#include "src/wal/segment_log.h"

namespace holdfast::wal {

using holdfast::testing::Stopped;
using holdfast::testing::StopThrows;

inline constexpr const char* kFolder = "/log";

// Small files and a small tail, so that few entries reach every path.
inline SegmentLogOptions SmallOptions() {
  return {.segment_bytes = 4 * kPageBytes, .tail_bytes_max = 2'000, .threaded = false, .salt = 7};
}

inline Entry MakeEntry(uint64_t term, std::string payload) {
  return {Term(term), EntryType::kCommand, std::make_shared<const std::string>(std::move(payload))};
}

inline Result<std::unique_ptr<SegmentLog>> TryOpen(FileSystem& files, Ticket* durable,
                                                   SegmentLogOptions options = SmallOptions()) {
  *durable = 0;
  return SegmentLog::Open(files, kFolder, options, [durable](Ticket ticket) {
    EXPECT_GE(ticket, *durable);
    *durable = ticket;
  });
}

// "term:payload" of each entry, in order.
inline std::vector<std::string> EntriesOf(const Log& log) {
  std::vector<std::string> entries;
  for (LogIndex index = log.first(); index <= log.last(); index = index.Next()) {
    const Entry entry = log.Read(index);
    EXPECT_EQ(entry.term, log.TermAt(index));
    EXPECT_EQ(entry.type, log.TypeAt(index));
    entries.push_back(entry.term.ToString() + ":" + *entry.payload);
  }
  return entries;
}

}  // namespace holdfast::wal
