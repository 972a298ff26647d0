#include "src/metrics/instruments.h"

#include <numeric>

#include "src/base/check.h"

namespace holdfast::metrics {

static_assert(std::size(kLatencyBucketsUs) < kBucketsMax && std::size(kSizeBuckets) < kBucketsMax);

uint64_t Distribution::count() const {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

Distribution& Distribution::operator+=(const Distribution& other) {
  HOLDFAST_CHECK(bounds.data() == other.bounds.data(), "distributions of different bounds");
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  sum += other.sum;
  return *this;
}

Distribution Histogram::Read() const {
  Distribution read;
  read.bounds = bounds_;
  for (size_t i = 0; i < counts_.size(); ++i) {
    read.counts[i] = counts_[i].load(std::memory_order_relaxed);
  }
  read.sum = sum_.load(std::memory_order_relaxed);
  return read;
}

double QuantileOf(std::span<const uint64_t> bounds, std::span<const uint64_t> counts,
                  double quantile) {
  const uint64_t total = std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  if (total == 0 || bounds.empty()) return 0;
  const double rank = quantile * static_cast<double>(total);
  double below = 0;
  for (size_t i = 0; i < bounds.size() && i < counts.size(); ++i) {
    const auto here = static_cast<double>(counts[i]);
    if (here > 0 && below + here >= rank) {
      const double low = i == 0 ? 0 : static_cast<double>(bounds[i - 1]);
      return low + (static_cast<double>(bounds[i]) - low) * (rank - below) / here;
    }
    below += here;
  }
  return static_cast<double>(bounds.back());
}

}  // namespace holdfast::metrics
