#include "src/clock/stamps.h"

#include <algorithm>

namespace holdfast::clock {
namespace {

constexpr int64_t kStepUs = 1'000;
constexpr int64_t kFirstUs = 1;
// What two clocks drift, and how fast an estimate follows one (synchroniser.cc). If that were a
// correction, leases of an idle cluster would never end: each tick would come behind a mark.
uint64_t PacePpm(uint64_t drift_ppm) { return 2 * drift_ppm + 600; }

}  // namespace

void Stamps::Add(int64_t stamp_us, int64_t elapsed_us, std::optional<Seen>* last) {
  if (!IsTime(stamp_us)) return;  // Of a log that is damaged.
  if (*last && stamp_us <= (*last)->stamp_us) return;
  *last = Seen{stamp_us, elapsed_us};
}

void Stamps::Saw(int64_t stamp_us, int64_t elapsed_us) {
  Add(stamp_us, elapsed_us, &committed_);
  Add(stamp_us, elapsed_us, &last_);
}

void Stamps::Lead(std::optional<int64_t> end_us, int64_t elapsed_us) {
  last_ = committed_;
  if (end_us) Add(*end_us, elapsed_us, &last_);
}

int64_t Stamps::PassedUs(int64_t elapsed_us) const {
  return std::max<int64_t>(elapsed_us - last_->at_us, 0);
}

int64_t Stamps::Now(int64_t elapsed_us, const Estimate& estimate, int64_t wall_us) const {
  if (!last_) {
    if (estimate.agreed()) return estimate.now_us;
    // Out of all reason it would take the log to where no stamp follows; from the beginning of
    // time agreement puts it forward.
    return IsTime(wall_us) ? wall_us : kFirstUs;
  }
  const int64_t last_us = last_->stamp_us;
  const int64_t passed_us = PassedUs(elapsed_us);
  if (!estimate.agreed()) return last_us + passed_us;
  if (estimate.now_us > last_us) return estimate.now_us;
  // Ahead. As long as that is within the bounds it stays there.
  const int64_t ahead_us = last_us + passed_us / 2;
  const int64_t latest_us = estimate.bounds.latest_us;
  return last_us <= latest_us ? std::min(ahead_us, latest_us) : ahead_us;
}

bool Stamps::Steps(int64_t elapsed_us, const Estimate& estimate) const {
  if (!last_ || !estimate.agreed()) return false;
  const int64_t passed_us = PassedUs(elapsed_us);
  return estimate.now_us - last_->stamp_us >
         passed_us + DriftUs(passed_us, PacePpm(drift_ppm_)) + kStepUs;
}

int64_t Stamps::Next(int64_t elapsed_us, const Estimate& estimate, int64_t wall_us) {
  int64_t stamp_us = Now(elapsed_us, estimate, wall_us);
  if (last_) stamp_us = std::max(stamp_us, last_->stamp_us + 1);
  last_ = Seen{stamp_us, elapsed_us};
  return stamp_us;
}

}  // namespace holdfast::clock
