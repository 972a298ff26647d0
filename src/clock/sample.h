// What one question to another clock tells, and for how long it is worth something. Plain values;
// `elapsed` is the asker's own clock that nobody sets (Clock::ElapsedUs).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "src/base/bounds.h"
#include "src/clock/agreement.h"

namespace holdfast::clock {

// Times since the epoch that anybody may claim: 1970 to 2200. It keeps sums from overflowing, too.
inline constexpr int64_t kTimeUsMax = 7'258'118'400'000'000;

// Whether anybody may claim it.
constexpr bool IsTime(int64_t us) { return us > 0 && us <= kTimeUsMax; }

// How far the time of the world and a clock that is off by so many millionths of it may have moved
// apart while that clock went on by `elapsed_us`; rounded up.
constexpr int64_t DriftUs(int64_t elapsed_us, uint64_t drift_ppm) {
  const auto ppm = static_cast<int64_t>(drift_ppm);
  const int64_t pace = 1'000'000 - ppm;
  return (elapsed_us * ppm + pace - 1) / pace;
}

// One question and its answer: two times of the asker, two of whom it asked.
struct Exchange {
  int64_t sent_us = 0;            // Elapsed.
  int64_t received_there_us = 0;  // The other's idea of the time of the world.
  int64_t answered_there_us = 0;
  int64_t received_us = 0;  // Elapsed.
};

// "The time of the world is `elapsed` plus the offset, give or take the error."
struct Claim {
  int64_t offset_us = 0;
  int64_t error_us = 0;
  Interval interval() const { return {offset_us - error_us, offset_us + error_us}; }
  bool operator==(const Claim&) const = default;
};

struct Sample {
  int64_t since_us = 0;   // Elapsed, when the question was sent.
  int64_t offset_us = 0;  // Of the other's time to `elapsed`.
  int64_t delay_us = 0;   // On the way, there and back.
  int64_t error_us = 0;   // That the other gives for its own time.

  // What it claims now. The answer was under way for `delay`, and nobody knows on which way for how
  // long: that is half of it in either direction. Since then the own clock may have drifted.
  Claim At(int64_t elapsed_us, uint64_t drift_ppm) const {
    return {offset_us, error_us + (delay_us + 1) / 2 + DriftUs(elapsed_us - since_us, drift_ppm)};
  }
};

// Nothing when the times cannot be: an answer before its question, a clock that was set in between,
// a time out of all reason, an error that claims nothing.
std::optional<Sample> SampleOf(const Exchange& exchange, int64_t error_us);

// The last samples of one source.
class SampleWindow {
 public:
  void Add(const Sample& sample);
  void Clear() { size_ = 0; }
  // The one that says most now: little delay, and not too old. Null: there is none that is younger
  // than `age_us_max`.
  const Sample* Best(int64_t elapsed_us, int64_t age_us_max, uint64_t drift_ppm) const;

 private:
  std::array<Sample, bounds::kClockSamplesKept> samples_{};  // A ring.
  size_t size_ = 0;
  size_t next_ = 0;
};

}  // namespace holdfast::clock
