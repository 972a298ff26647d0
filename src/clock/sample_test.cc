#include "src/clock/sample.h"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::clock {
namespace {

constexpr int64_t kEpochUs = 1'700'000'000'000'000;
constexpr uint64_t kPpm = 200;

TEST(SampleTest, HalfOfTheDelayIsTheError) {
  // 10 ms there, 2 ms at the other's, 4 ms back; its clock is 1000 s ahead of ours.
  const auto sample = SampleOf({5'000'000, 1'005'010'000, 1'005'012'000, 5'016'000}, 300);
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->delay_us, 14'000);
  EXPECT_EQ(sample->offset_us, 1'000'003'000);  // Off by half of what the ways differ.
  const Claim claim = sample->At(5'016'000, 0);
  EXPECT_EQ(claim.error_us, 7'304);
  EXPECT_TRUE(claim.interval().Meets({1'000'000'000, 1'000'000'000}));
}

TEST(SampleTest, TheErrorGrowsWithItsAge) {
  const auto sample = SampleOf({1'000'000, kEpochUs, kEpochUs, 1'001'000}, 0);
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->At(1'000'000, kPpm).error_us, 504);
  EXPECT_EQ(sample->At(11'000'000, kPpm).error_us, 504 + 2'001);  // 200 millionths of 10 s.
  EXPECT_EQ(sample->At(1'000'001, kPpm).error_us, 505);           // Rounded up.
}

TEST(SampleTest, WhatCannotBeIsNone) {
  struct Case {
    const char* what;
    Exchange exchange;
    int64_t error_us;
    bool good;
  };
  const Case cases[] = {
      {"good", {1'000, kEpochUs, kEpochUs, 2'000}, 0, true},
      {"an answer before its question", {2'000, kEpochUs, kEpochUs, 1'999}, 0, false},
      {"an answer that took too long", {0, kEpochUs, kEpochUs, 5'000'001}, 0, false},
      {"the longest", {0, kEpochUs, kEpochUs, 5'000'000}, 0, true},
      {"answered there before it came", {1'000, kEpochUs, kEpochUs - 1, 2'000}, 0, false},
      {"a clock set back in between", {1'000, kEpochUs, kEpochUs + 3'000, 2'000}, 0, false},
      {"one that is a little faster", {1'000, kEpochUs, kEpochUs + 2'000, 2'000}, 0, true},
      {"before 1970", {1'000, -5, -4, 2'000}, 0, false},
      {"no time", {1'000, 0, 0, 2'000}, 0, false},
      {"after 2200", {1'000, kTimeUsMax, kTimeUsMax + 1, 2'000}, 0, false},
      {"the greatest number", {1'000, INT64_MAX, INT64_MAX, 2'000}, 0, false},
      {"a negative error", {1'000, kEpochUs, kEpochUs, 2'000}, -1, false},
      {"an error that claims nothing", {1'000, kEpochUs, kEpochUs, 2'000}, 60'000'001, false},
      {"the greatest error", {1'000, kEpochUs, kEpochUs, 2'000}, 60'000'000, true},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(SampleOf(one.exchange, one.error_us).has_value(), one.good) << one.what;
  }
}

// The truth lies within what a sample claims, however the delay was shared out and the clocks
// drifted within their bound.
TEST(SampleTest, HoldsTheTruthWhateverTheWays) {
  std::mt19937 random(7);  // NOLINT: a fixed seed.
  std::uniform_int_distribution<int64_t> way(0, 300'000);
  std::uniform_int_distribution<int64_t> age(0, 20'000'000);
  std::uniform_int_distribution<int64_t> pace(-199, 199);
  std::uniform_int_distribution<int64_t> off(-400, 400);
  for (int round = 0; round < 20'000; ++round) {
    const int64_t ppm = pace(random);
    const int64_t wrong_us = off(random);  // Of the other's clock.
    // True times since the question was sent at `kEpochUs`, and ours, which runs at another pace.
    const auto elapsed = [ppm](int64_t true_us) { return true_us + true_us * ppm / 1'000'000; };
    const int64_t there = way(random);
    const int64_t back = there + way(random) / 10;
    const int64_t here = back + way(random);
    const auto sample = SampleOf(
        {elapsed(0), kEpochUs + there + wrong_us, kEpochUs + back + wrong_us, elapsed(here)}, 400);
    ASSERT_TRUE(sample) << "round " << round;
    const int64_t now = here + age(random);
    const Claim claim = sample->At(elapsed(now), kPpm);
    const int64_t truth = kEpochUs + now - elapsed(now);
    ASSERT_TRUE(claim.interval().Meets({truth, truth}))
        << "round " << round << ": off by " << truth - claim.offset_us << " of " << claim.error_us;
  }
}

TEST(SampleWindowTest, TheOneWithTheLeastDelayCounts) {
  SampleWindow window;
  EXPECT_EQ(window.Best(0, 1'000'000, kPpm), nullptr);
  window.Add({1'000, 1, 900, 0});
  window.Add({2'000, 2, 300, 0});
  window.Add({3'000, 3, 700, 0});
  ASSERT_NE(window.Best(4'000, 1'000'000, kPpm), nullptr);
  EXPECT_EQ(window.Best(4'000, 1'000'000, kPpm)->offset_us, 2);
}

TEST(SampleWindowTest, OfEqualsTheNewer) {
  SampleWindow window;
  window.Add({1'000, 1, 300, 0});
  window.Add({1'000, 2, 300, 0});
  EXPECT_EQ(window.Best(4'000, 1'000'000, kPpm)->offset_us, 2);
}

TEST(SampleWindowTest, AnOldOneGivesWay) {
  SampleWindow window;
  window.Add({0, 1, 300, 0});
  window.Add({9'000'000, 2, 1'000, 0});
  // 200 millionths of 9 s are 1.8 ms.
  EXPECT_EQ(window.Best(9'000'000, 20'000'000, kPpm)->offset_us, 2);
  EXPECT_EQ(window.Best(9'000'000, 20'000'000, 0)->offset_us, 1);
  EXPECT_EQ(window.Best(9'000'000, 8'000'000, 0)->offset_us, 2) << "too old";
  EXPECT_EQ(window.Best(30'000'000, 8'000'000, 0), nullptr) << "both are";
}

TEST(SampleWindowTest, KeepsTheLastEight) {
  SampleWindow window;
  window.Add({0, 1, 1, 0});
  for (int64_t i = 0; i < 7; ++i) window.Add({i, 2, 100, 0});
  EXPECT_EQ(window.Best(10, 1'000, 0)->offset_us, 1);
  window.Add({8, 2, 100, 0});
  EXPECT_EQ(window.Best(10, 1'000, 0)->offset_us, 2) << "the ninth takes the place of the first";
  window.Clear();
  EXPECT_EQ(window.Best(10, 1'000, 0), nullptr);
}

}  // namespace
}  // namespace holdfast::clock
