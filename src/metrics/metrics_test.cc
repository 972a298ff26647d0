#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "src/metrics/process.h"
#include "src/metrics/registry.h"

namespace holdfast::metrics {
namespace {

TEST(HistogramTest, AValueOnABoundBelongsToItsBucket) {
  Histogram histogram(kLatencyBucketsUs);
  histogram.Observe(0);
  histogram.Observe(100);
  histogram.Observe(101);
  histogram.Observe(10'000'000);
  histogram.Observe(10'000'001);
  const Distribution read = histogram.Read();
  EXPECT_EQ(read.counts[0], 2U);
  EXPECT_EQ(read.counts[1], 1U);
  EXPECT_EQ(read.counts[std::size(kLatencyBucketsUs) - 1], 1U);
  EXPECT_EQ(read.counts[std::size(kLatencyBucketsUs)], 1U) << "above the last bound";
  EXPECT_EQ(read.count(), 5U);
  EXPECT_EQ(read.sum, 20'000'202U);
}

TEST(HistogramTest, AddsUpFromManyThreads) {
  Histogram histogram(kSizeBuckets);
  Counter counter;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (uint64_t n = 0; n < 10'000; ++n) {
        histogram.Observe(n % 7);
        counter.Add(2);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(histogram.Read().count(), 40'000U);
  EXPECT_EQ(counter.value(), 80'000U);
}

TEST(HistogramTest, QuantilesAreInterpolated) {
  const uint64_t bounds[] = {10, 20, 40};
  const uint64_t counts[] = {0, 100, 100, 0};
  EXPECT_DOUBLE_EQ(QuantileOf(bounds, counts, 0.25), 15);
  EXPECT_DOUBLE_EQ(QuantileOf(bounds, counts, 0.5), 20);
  EXPECT_DOUBLE_EQ(QuantileOf(bounds, counts, 0.99), 39.6);
  const uint64_t beyond[] = {0, 0, 0, 7};
  EXPECT_DOUBLE_EQ(QuantileOf(bounds, beyond, 0.5), 40) << "all that is known";
  const uint64_t none[] = {0, 0, 0, 0};
  EXPECT_DOUBLE_EQ(QuantileOf(bounds, none, 0.5), 0);
}

TEST(RegistryTest, WritesTheExpositionFormat) {
  Registry registry;
  Counter writes;
  Histogram sync(kLatencyBucketsUs);
  writes.Add(3);
  sync.Observe(150);
  registry.Add([&](Sampler& out) {
    out.Counter("t_writes_total", "Writes", static_cast<double>(writes.value()),
                {{"door", "http"}});
    out.Latency("t_sync_seconds", "Syncs", sync.Read());
  });
  registry.Add([](Sampler& out) {
    out.Counter("t_writes_total", "Writes", 4, {{"door", "a\"b\\"}});
    out.Gauge("t_is_leader", "Leads", 1);
  });
  const std::string text = registry.Text();
  EXPECT_EQ(text.find("# HELP t_is_leader Leads\n# TYPE t_is_leader gauge\nt_is_leader 1\n"), 0U)
      << text;
  for (const char* line :
       {"# TYPE t_writes_total counter\nt_writes_total{door=\"http\"} 3\n"
        "t_writes_total{door=\"a\\\"b\\\\\"} 4\n",
        "t_sync_seconds_count 1\n", "t_sync_seconds_sum 0.00015",
        "t_sync_seconds_bucket{le=\"0.0001\"} 0\nt_sync_seconds_bucket{le=\"0.0002\"} 1\n",
        "t_sync_seconds_bucket{le=\"+Inf\"} 1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(ProcessTest, KnowsItself) {
  const ProcessFigures figures = ReadProcess();
  EXPECT_GT(figures.resident_bytes, 1'000'000U);
  EXPECT_GE(figures.virtual_bytes, figures.resident_bytes);
  EXPECT_GE(figures.open_fds, 3U);
  EXPECT_GE(figures.fds_max, figures.open_fds);
  EXPECT_GE(figures.threads, 1U);
  EXPECT_EQ(FolderBytes("/nonexistent"), 0U);
  EXPECT_EQ(DiskFreeBytes("/nonexistent"), 0U);
  EXPECT_GT(DiskFreeBytes("/"), 0U);
}

}  // namespace
}  // namespace holdfast::metrics
