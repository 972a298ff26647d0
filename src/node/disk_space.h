// Whether the disk that a node's data lies on has room for more. Below the reserve the node takes
// no more into its log: reads go on, what is under way is finished, and when there is room again so
// do writes. The reserve is for what may not fail: the rest of the log's file, checkpoints,
// compactions. A write that fails for want of room all the same stops the node.
#pragma once

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <utility>

#include "src/base/bounds.h"
#include "src/base/error.h"
#include "src/base/file_system.h"

namespace holdfast::node {

class DiskSpace {
 public:
  // `reserve_bytes` 0: never full.
  DiskSpace(FileSystem& files, std::string folder, uint64_t reserve_bytes)
      : files_(files), folder_(std::move(folder)), reserve_bytes_(reserve_bytes) {}

  // Looks, if it is time to. True: full() is another than before. One thread.
  bool Look(uint64_t now_ms) {
    if (now_ms < next_look_ms_) return false;
    next_look_ms_ = now_ms + kLookMs;
    const auto exists = files_.Exists(folder_);
    gone_ = exists && !*exists;
    const auto free = files_.FreeBytes(folder_);
    if (!free || reserve_bytes_ == 0) return false;
    free_bytes_.store(*free, std::memory_order_relaxed);
    // Not to and fro around the bound.
    const uint64_t more = full() ? std::min(reserve_bytes_ / 4, kMoreBytesMax) : 0;
    const uint64_t enough = reserve_bytes_ + more;
    return full_.exchange(*free < enough) != (*free < enough);
  }

  // The folder itself was not there at the last look.
  bool gone() const { return gone_; }

  // --- Any thread
  bool full() const { return full_.load(std::memory_order_relaxed); }
  Error Refusal() const {
    return Error{
        ErrorCode::kResourceExhausted,
        "the disk of the leader is full: " +
            std::to_string(free_bytes_.load(std::memory_order_relaxed) >> 20) + " MiB are left, " +
            std::to_string(reserve_bytes_ >> 20) + " MiB are kept free (store.disk_reserve_bytes)",
        "", "Nothing was done. Make room on that disk; writes go on by themselves.", kRetryAfterMs};
  }

 private:
  static constexpr uint64_t kLookMs = 200;
  static constexpr uint64_t kMoreBytesMax = 64 << 20;
  static constexpr uint32_t kRetryAfterMs = 1'000;

  FileSystem& files_;
  const std::string folder_;
  const uint64_t reserve_bytes_;
  uint64_t next_look_ms_ = 0;
  bool gone_ = false;
  std::atomic<uint64_t> free_bytes_{0};
  std::atomic<bool> full_{false};
};

}  // namespace holdfast::node
