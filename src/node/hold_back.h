// A follower that is behind on purpose: what it applies is what was committed some time ago. For
// tests and demonstrations of what a reader sees at a slow node; it ends by itself, and a leader is
// never held back, as everybody's answers wait for it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "src/base/ids.h"

namespace holdfast::node {

// One thread.
class HoldBack {
 public:
  // Replaces what was asked before, or goes on with it for longer; a delay of 0 ends it.
  void Begin(uint64_t now_ms, uint64_t delay_ms, uint64_t for_ms) {
    if (now_ms < until_ms_ && delay_ms == delay_ms_) {
      until_ms_ = now_ms + for_ms;
      return;
    }
    delay_ms_ = delay_ms;
    until_ms_ = delay_ms == 0 ? 0 : now_ms + for_ms;
    seen_.clear();
  }

  // How far may be applied of what is committed.
  LogIndex Limit(uint64_t now_ms, LogIndex committed, bool leads) {
    if (now_ms >= until_ms_ || leads) {
      until_ms_ = 0;
      seen_.clear();
      return committed;
    }
    if (seen_.empty()) due_ = committed;  // What was there when it began is not held back.
    if (seen_.empty() || seen_.back().committed < committed) seen_.push_back({now_ms, committed});
    while (!seen_.empty() && now_ms - seen_.front().at_ms >= delay_ms_) {
      due_ = std::max(due_, seen_.front().committed);
      if (seen_.size() == 1) break;  // Stays as what was seen last.
      seen_.pop_front();
    }
    return due_;
  }

 private:
  struct Seen {
    uint64_t at_ms = 0;
    LogIndex committed;
  };

  uint64_t delay_ms_ = 0;
  uint64_t until_ms_ = 0;
  LogIndex due_;
  std::deque<Seen> seen_;  // At most one a millisecond: the bounds of delay_ms bound it.
};

}  // namespace holdfast::node
