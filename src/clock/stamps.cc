#include "src/clock/stamps.h"

#include <algorithm>

namespace holdfast::clock {
namespace {

constexpr int64_t kStepUs = 1'000;
// What two clocks drift, and how fast an estimate follows one (synchroniser.cc). If that were a
// correction, leases of an idle cluster would never end: each tick would come behind a mark.
uint64_t PacePpm(uint64_t drift_ppm) { return 2 * drift_ppm + 600; }

}  // namespace

int64_t Stamps::PassedUs(int64_t elapsed_us) const {
  return std::max<int64_t>(elapsed_us - seen_us_, 0);
}

void Stamps::Saw(int64_t stamp_us, int64_t elapsed_us) {
  if (stamp_us <= 0 || stamp_us > kTimeUsMax) return;  // Of a log that is damaged.
  if (last_us_ && stamp_us <= *last_us_) return;
  last_us_ = stamp_us;
  seen_us_ = elapsed_us;
}

int64_t Stamps::Now(int64_t elapsed_us, const Estimate& estimate, int64_t wall_us) const {
  if (!last_us_) return estimate.agreed() ? estimate.now_us : wall_us;
  const int64_t passed_us = PassedUs(elapsed_us);
  if (!estimate.agreed()) return *last_us_ + passed_us;
  if (estimate.now_us > *last_us_) return estimate.now_us;
  // Ahead. As long as that is within the bounds it stays there.
  const int64_t ahead_us = *last_us_ + passed_us / 2;
  const int64_t latest_us = estimate.bounds.latest_us;
  return *last_us_ <= latest_us ? std::min(ahead_us, latest_us) : ahead_us;
}

bool Stamps::Steps(int64_t elapsed_us, const Estimate& estimate) const {
  if (!last_us_ || !estimate.agreed()) return false;
  const int64_t passed_us = PassedUs(elapsed_us);
  return estimate.now_us - *last_us_ >
         passed_us + DriftUs(passed_us, PacePpm(drift_ppm_)) + kStepUs;
}

int64_t Stamps::Next(int64_t elapsed_us, const Estimate& estimate, int64_t wall_us) {
  int64_t stamp_us = Now(elapsed_us, estimate, wall_us);
  if (last_us_) stamp_us = std::max(stamp_us, *last_us_ + 1);
  last_us_ = stamp_us;
  seen_us_ = elapsed_us;
  return stamp_us;
}

}  // namespace holdfast::clock
