// Reads this node's own files once more while it runs, at an even pace, and compares checksums:
// what rots on a disk is found while the other nodes still have it, and not years later by all at
// once. Damage stops the node with status 5, as it would not start with it either; holdfast repair
// brings it back from the others.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "src/base/error.h"
#include "src/base/file_system.h"
#include "src/metrics/instruments.h"
#include "src/store/rocksdb/rocksdb_base.h"
#include "src/wal/segment_log.h"

namespace holdfast {

struct ScrubMetrics {
  metrics::Counter bytes;   // Read and good.
  metrics::Counter rounds;  // Over all files.
};

// A thread of its own, from the constructor to the destructor.
class Scrub {
 public:
  // One round in `seconds`, but no faster than kScrubBytesPerSecondMax. All must outlive it.
  Scrub(FileSystem& files, std::string folder, const wal::SegmentLog& log,
        const store::RocksDbBase& base, uint64_t seconds, ScrubMetrics& metrics);
  ~Scrub();

 private:
  void Run();
  // Over all files; false: to stop.
  bool Round();
  bool ScrubLog();
  bool ScrubStore();
  // Lets so much time pass as reading `bytes` may take; false: to stop.
  bool Pace(uint64_t bytes);

  FileSystem& files_;
  const std::string folder_;
  const wal::SegmentLog& log_;
  const store::RocksDbBase& base_;
  const uint64_t seconds_;
  ScrubMetrics& metrics_;
  uint64_t bytes_per_second_ = 1;  // In this round.

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;  // Last: starts when all else is there.
};

}  // namespace holdfast
