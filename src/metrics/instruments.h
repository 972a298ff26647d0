// What components count with: a counter, a gauge and a histogram that cost a relaxed atomic add or
// two, and know nothing of names, labels or HTTP. Whoever owns one tells a Sampler about it when
// somebody asks (registry.h).
//
// Thread-safe throughout. Numbers of one instrument may be a few events apart while others add.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace holdfast::metrics {

// Only grows, from 0 at the start of the process.
class Counter {
 public:
  void Add(uint64_t count = 1) { value_.fetch_add(count, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// The last value set.
class Gauge {
 public:
  void Set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Upper bounds of buckets, ascending; what is above the last goes into one more.
inline constexpr uint64_t kLatencyBucketsUs[] = {
    100,     200,     300,       500,       1'000,     2'000,     3'000,
    5'000,   10'000,  20'000,    30'000,    50'000,    100'000,   200'000,
    300'000, 500'000, 1'000'000, 2'000'000, 3'000'000, 5'000'000, 10'000'000};
inline constexpr uint64_t kSizeBuckets[] = {1,   2,   5,     10,    20,    50,    100,
                                            200, 500, 1'000, 2'000, 5'000, 10'000};
inline constexpr size_t kBucketsMax = 24;

// What a histogram held at one moment; `counts` has one element more than `bounds`.
struct Distribution {
  std::span<const uint64_t> bounds;
  std::array<uint64_t, kBucketsMax> counts{};
  uint64_t sum = 0;

  uint64_t count() const;
  // Adds another of the same bounds.
  Distribution& operator+=(const Distribution& other);
};

class Histogram {
 public:
  // `bounds` is a constant of the program with less than kBucketsMax elements.
  explicit Histogram(std::span<const uint64_t> bounds) : bounds_(bounds) {}

  void Observe(uint64_t value) {
    const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    counts_[static_cast<size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }
  Distribution Read() const;

 private:
  const std::span<const uint64_t> bounds_;
  std::array<std::atomic<uint64_t>, kBucketsMax> counts_{};
  std::atomic<uint64_t> sum_{0};
};

// The value below which the share `quantile` (0 to 1) lies, interpolated within its bucket; 0 when
// nothing was observed. Above the last bound nothing is known: then that bound.
double QuantileOf(std::span<const uint64_t> bounds, std::span<const uint64_t> counts,
                  double quantile);

}  // namespace holdfast::metrics
