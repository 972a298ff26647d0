// The stamps of a node's entries, by its clocks: clock::Stamps with the readings that it needs. One
// thread, the loop.
#pragma once

#include <functional>
#include <utility>

#include "src/clock/clock.h"
#include "src/clock/stamps.h"

namespace holdfast::node {

class EntryStamps {
 public:
  // `estimate`: what is known about the time of the world, at a moment of Clock::ElapsedUs.
  using EstimateAt = std::function<clock::Estimate(int64_t elapsed_us)>;

  EntryStamps(const Clock& clock, EstimateAt estimate,
              uint64_t drift_ppm = bounds::kClockDriftPpmDefault)
      : clock_(clock), estimate_(std::move(estimate)), stamps_(drift_ppm) {}

  // The node was just started: what it stamps first, all that follows goes on from. So it waits for
  // agreement on the time, which takes a few round trips, but not for ever.
  void Begin(uint64_t now_ms) { patience_ends_ms_ = now_ms + bounds::kClockFirstStampMsMax; }
  bool MayStamp(uint64_t now_ms) {
    has_begun_ =
        has_begun_ || now_ms >= patience_ends_ms_ || estimate_(clock_.ElapsedUs()).agreed();
    return has_begun_;
  }

  // See clock::Stamps.
  void Saw(int64_t stamp_us) { stamps_.Saw(stamp_us, clock_.ElapsedUs()); }
  void Lead(std::optional<int64_t> end_us) { stamps_.Lead(end_us, clock_.ElapsedUs()); }
  int64_t Now() const {
    const int64_t elapsed_us = clock_.ElapsedUs();
    return stamps_.Now(elapsed_us, estimate_(elapsed_us), clock_.WallUs());
  }
  // The next one is a correction: an entry without a command goes before it.
  bool Steps() const {
    const int64_t elapsed_us = clock_.ElapsedUs();
    return stamps_.Steps(elapsed_us, estimate_(elapsed_us));
  }
  int64_t Next() {
    const int64_t elapsed_us = clock_.ElapsedUs();
    return stamps_.Next(elapsed_us, estimate_(elapsed_us), clock_.WallUs());
  }
  std::optional<int64_t> last_us() const { return stamps_.last_us(); }

 private:
  const Clock& clock_;
  EstimateAt estimate_;
  clock::Stamps stamps_;
  uint64_t patience_ends_ms_ = 0;
  bool has_begun_ = false;
};

}  // namespace holdfast::node
