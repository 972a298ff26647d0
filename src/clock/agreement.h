// What several clocks that contradict one another still agree on: Marzullo's algorithm, in the form
// that tolerates so many of them being wrong (Marzullo & Owicki 1983, RFC 5905 section 11.2.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace holdfast::clock {

// From `earliest` to `latest`, both included.
struct Interval {
  int64_t earliest_us = 0;
  int64_t latest_us = 0;

  bool Meets(const Interval& other) const {
    return earliest_us <= other.latest_us && other.earliest_us <= latest_us;
  }
  // How far its middle may be off.
  int64_t error_us() const { return (latest_us - earliest_us + 1) / 2; }
  int64_t middle_us() const { return earliest_us + (latest_us - earliest_us) / 2; }
  bool operator==(const Interval&) const = default;
};

// The smallest interval that holds every point that at least `needed` of the claims hold; none when
// there is no such point.
//
// If `needed` of the claims are true, the truth is such a point, so it lies within, whatever the
// others say. It is not the overlap of the most claims: a lie that meets the truths in part would
// draw that away from the truth.
std::optional<Interval> Agree(const std::vector<Interval>& claims, size_t needed);

}  // namespace holdfast::clock
