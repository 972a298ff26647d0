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

  // The log has this stamp.
  void Saw(int64_t stamp_us) { stamps_.Saw(stamp_us, clock_.ElapsedUs()); }
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
};

}  // namespace holdfast::node
