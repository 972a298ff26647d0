#include "src/clock/sample.h"

#include <algorithm>

namespace holdfast::clock {
namespace {

// The other's clock may be a little faster than ours while it has our question.
constexpr int64_t kNegativeDelayUsMax = 1'000;
// Four readings, each cut to a whole microsecond.
constexpr int64_t kReadingUs = 4;

}  // namespace

std::optional<Sample> SampleOf(const Exchange& exchange, int64_t error_us) {
  const int64_t under_way_us = exchange.received_us - exchange.sent_us;
  if (under_way_us < 0 || under_way_us > int64_t{bounds::kClockAnswerMsMax} * 1'000 ||
      !IsTime(exchange.received_there_us) || !IsTime(exchange.answered_there_us) ||
      exchange.answered_there_us < exchange.received_there_us || error_us < 0 ||
      error_us > int64_t{bounds::kClockOwnErrorMsMax} * 1'000) {
    return std::nullopt;
  }
  // The offset lies between `low` and `high`, whatever each way took.
  const int64_t high = exchange.received_there_us - exchange.sent_us;
  const int64_t low = exchange.answered_there_us - exchange.received_us;
  const int64_t delay_us = high - low;
  if (delay_us < -kNegativeDelayUsMax) return std::nullopt;
  return Sample{exchange.sent_us, low + delay_us / 2, std::max<int64_t>(delay_us, 0),
                error_us + kReadingUs};
}

void SampleWindow::Add(const Sample& sample) {
  samples_[next_] = sample;
  next_ = (next_ + 1) % samples_.size();
  size_ = std::min(size_ + 1, samples_.size());
}

const Sample* SampleWindow::Best(int64_t elapsed_us, int64_t age_us_max, uint64_t drift_ppm) const {
  const Sample* best = nullptr;
  for (size_t i = 0; i < size_; ++i) {
    // From the newest to the oldest: of equals the newer one.
    const Sample& sample = samples_[(next_ + samples_.size() - 1 - i) % samples_.size()];
    if (elapsed_us - sample.since_us > age_us_max) continue;
    if (best == nullptr ||
        sample.At(elapsed_us, drift_ppm).error_us < best->At(elapsed_us, drift_ppm).error_us) {
      best = &sample;
    }
  }
  return best;
}

}  // namespace holdfast::clock
