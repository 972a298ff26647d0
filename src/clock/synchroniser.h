// What a node knows about the time of the world: claims of several clocks in, an interval out that
// holds it. A plain value; `elapsed` is the node's own clock that nobody sets (Clock::ElapsedUs).
//
// While it says synchronised or holdover the interval holds the time of the world, provided that
//   - whenever it was updated with agreement, at least `needed` of the claims were true, and
//   - `elapsed` is off by at most `drift_ppm` for as long as it is gone by.
// docs/clock.md says it for people, and what follows from it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/clock/sample.h"

namespace holdfast::clock {

enum class Status : uint8_t {
  kUnsynchronised,  // Nothing is known about the time of the world.
  kHoldover,        // There is no agreement now; there was, and the clock has not drifted far.
  kSynchronised,
};
const char* ToString(Status status);

struct SynchroniserOptions {
  uint64_t drift_ppm = bounds::kClockDriftPpmDefault;
  int64_t error_us_max = int64_t{bounds::kClockErrorMsDefault} * 1'000;  // Unsynchronised past it.
};

// At one moment.
struct Estimate {
  Status status = Status::kUnsynchronised;
  // Of the world, since the epoch; without a meaning while unsynchronised.
  int64_t now_us = 0;
  Interval bounds;  // `now_us` is within.

  bool agreed() const { return status != Status::kUnsynchronised; }
  // How far `now_us` may be off.
  int64_t error_us() const {
    return std::max(now_us - bounds.earliest_us, bounds.latest_us - now_us);
  }
};

class Synchroniser {
 public:
  explicit Synchroniser(const SynchroniserOptions& options = {}) : options_(options) {}

  // `claims`: of every source, in an order of the caller's; none where nothing was heard.
  // `preferred_us`: the offset that this node's own clock has, where there is a choice.
  void Update(int64_t elapsed_us, const std::vector<std::optional<Claim>>& claims, size_t needed,
              int64_t preferred_us);

  Estimate At(int64_t elapsed_us) const;
  // Of the last update: whether the claim contradicts what was agreed on.
  bool IsFalse(size_t claim) const { return claim < false_.size() && false_[claim]; }
  size_t heard() const { return heard_; }
  size_t needed() const { return needed_; }
  // When there was agreement last, elapsed; none: never.
  std::optional<int64_t> agreed_us() const {
    return agreed_ ? std::optional(agreed_->at_us) : std::nullopt;
  }
  bool agrees_now() const { return agrees_now_; }
  // Why it is not synchronised, for people; empty when it is.
  std::string Reason(int64_t elapsed_us) const;

 private:
  struct Agreed {
    Interval offsets;
    int64_t at_us = 0;      // Elapsed.
    int64_t offset_us = 0;  // That which is gone by, within the interval.
  };
  Interval OffsetsAt(int64_t elapsed_us) const;

  SynchroniserOptions options_;
  std::optional<Agreed> agreed_;  // The last time there was agreement.
  bool agrees_now_ = false;
  size_t sources_ = 0;
  size_t heard_ = 0;
  size_t needed_ = 0;
  std::vector<bool> false_;
};

}  // namespace holdfast::clock
