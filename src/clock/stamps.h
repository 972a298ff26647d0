// The timestamps that a leader gives to the entries of the log. They are hybrid: the time of the
// world as far as the node knows it, and else the time that has passed since the last stamp.
//
//   - They grow, by a microsecond at least, whatever clocks do.
//   - While the node knows the time (synchronised or holdover) they lie within its bounds; unless
//     the log is ahead of them already. Then log time goes on at half the pace until the world has
//     caught up: it neither goes back nor stands still, and nobody can pull it further ahead.
//   - While it does not, they advance as the node's clock that nobody sets does, from the last one
//     that it has seen, whoever gave it. What its wall clock says is not believed.
//   - Before the first stamp of a log there is nothing to go on from: without agreement it is the
//     wall clock's word, if that lies within 1970 and 2200.
//
// A plain value. `elapsed` is Clock::ElapsedUs.
#pragma once

#include <cstdint>
#include <optional>

#include "src/clock/synchroniser.h"

namespace holdfast::clock {

class Stamps {
 public:
  explicit Stamps(uint64_t drift_ppm = bounds::kClockDriftPpmDefault) : drift_ppm_(drift_ppm) {}

  // The log has this stamp for good, seen now: a committed entry of any leader.
  void Saw(int64_t stamp_us, int64_t elapsed_us);
  // This node leads from now on, and its log ends with this stamp; none: with committed entries.
  // What was given or seen of entries that did not come to be committed is forgotten: they may be
  // gone, and nobody is to go on from a time that the log does not have.
  void Lead(std::optional<int64_t> end_us, int64_t elapsed_us);

  // What time the log would have now.
  int64_t Now(int64_t elapsed_us, const Estimate& estimate, int64_t wall_us) const;
  // Whether the next stamp puts log time forward by more than has passed: a correction, which
  // leases must not count (docs/decisions/0020-leases.md).
  bool Steps(int64_t elapsed_us, const Estimate& estimate) const;
  // The stamp of the next entry.
  int64_t Next(int64_t elapsed_us, const Estimate& estimate, int64_t wall_us);

  // The last one; none: the log has none.
  std::optional<int64_t> last_us() const {
    return last_ ? std::optional(last_->stamp_us) : std::nullopt;
  }

 private:
  struct Seen {
    int64_t stamp_us = 0;
    int64_t at_us = 0;  // Elapsed, when it was given or seen.
  };
  static void Add(int64_t stamp_us, int64_t elapsed_us, std::optional<Seen>* last);
  int64_t PassedUs(int64_t elapsed_us) const;

  uint64_t drift_ppm_;
  std::optional<Seen> committed_;
  std::optional<Seen> last_;  // Not before it.
};

}  // namespace holdfast::clock
