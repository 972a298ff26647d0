// Whether the disk that a node's data lies on has room for more. Below the reserve (*full*) a
// leader takes no more writes: reads go on, what is under way is finished, and when there is room
// again so do writes. Followers still take what leaders below the reserve let through, which is
// little, such as the first entry of a new one; below half of the reserve (*shut*) they take
// nothing. The reserve is for what may not fail: the rest of the log's file and checkpoints;
// compactions wait for room. A write that fails for want of it all the same stops the node.
#pragma once

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "src/base/error.h"
#include "src/base/file_system.h"

namespace holdfast::node {

class DiskSpace {
 public:
  // `reserve_bytes` 0: never full.
  DiskSpace(FileSystem& files, std::string folder, uint64_t reserve_bytes)
      : files_(files), folder_(std::move(folder)), reserve_bytes_(reserve_bytes) {}

  // --- One thread
  // Looks, if it is time to. True: full() is another than before.
  bool Look(uint64_t now_ms) {
    if (now_ms < next_look_ms_) return false;
    next_look_ms_ = now_ms + kLookMs;
    const auto exists = files_.Exists(folder_);
    gone_ = exists && !*exists;
    const auto free = files_.FreeBytes(folder_);
    if (!free || reserve_bytes_ == 0) return false;
    free_bytes_ = *free;
    shut_ = *free < (shut_ ? enough_bytes() : reserve_bytes_) / 2;
    const bool full_now = *free < (full() ? enough_bytes() : reserve_bytes_);
    return full_.exchange(full_now) != full_now;
  }
  bool shut() const { return shut_; }
  // The folder itself was not there at the last look.
  bool gone() const { return gone_; }
  std::string Describe(const std::string& whose) const {
    return "the disk of " + whose + " is full: " + std::to_string(free_bytes_ >> 20) +
           " MiB are left, " + std::to_string(reserve_bytes_ >> 20) +
           " MiB are kept free (store.disk_reserve_bytes)";
  }
  Error Refusal(const std::string& whose) const {
    return Error{ErrorCode::kResourceExhausted, Describe(whose), "",
                 "Nothing was done. Make room there; with " + std::to_string(enough_bytes() >> 20) +
                     " MiB free writes go on by themselves.",
                 kRetryAfterMs};
  }

  // Any thread.
  bool full() const { return full_.load(std::memory_order_relaxed); }

 private:
  static constexpr uint64_t kLookMs = 200;
  static constexpr uint64_t kMoreBytesMax = 64 << 20;
  static constexpr uint32_t kRetryAfterMs = 1'000;

  // Somewhat more than the reserve, or it would go to and fro around it.
  uint64_t enough_bytes() const {
    return reserve_bytes_ + std::min(reserve_bytes_ / 4, kMoreBytesMax);
  }

  FileSystem& files_;
  const std::string folder_;
  const uint64_t reserve_bytes_;
  uint64_t next_look_ms_ = 0;
  uint64_t free_bytes_ = 0;
  bool shut_ = false;
  bool gone_ = false;
  std::atomic<bool> full_{false};
};

}  // namespace holdfast::node
