#include "src/clock/stamps.h"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::clock {
namespace {

constexpr int64_t kMs = 1'000;
constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kMonth = int64_t{30} * 24 * 3'600 * kSecond;
constexpr int64_t kEpochUs = 1'700'000'000'000'000;
const Estimate kNothing;

Estimate Known(int64_t now_us, int64_t error_us = 100 * kMs) {
  return {Status::kSynchronised, now_us, {now_us - error_us, now_us + error_us}};
}

TEST(StampsTest, TheFirstIsTheAgreedTime) {
  Stamps stamps;
  EXPECT_EQ(stamps.Next(5, Known(kEpochUs), 0), kEpochUs);
}

TEST(StampsTest, WithoutAgreementTheFirstIsTheWallClocks) {
  Stamps stamps;
  EXPECT_FALSE(stamps.Steps(5, kNothing));
  EXPECT_EQ(stamps.Next(5, kNothing, kEpochUs), kEpochUs);
}

// Behind the last time that a stamp may have nothing would follow.
TEST(StampsTest, AWallClockOutOfAllReasonIsNoBeginning) {
  for (const int64_t wall_us : {int64_t{-5}, int64_t{0}, kTimeUsMax + 1, INT64_MAX}) {
    Stamps stamps;
    EXPECT_EQ(stamps.Next(5, kNothing, wall_us), 1);
    EXPECT_EQ(stamps.Next(5 + kSecond, Known(kEpochUs), wall_us), kEpochUs);
  }
}

TEST(StampsTest, TheyGrowThoughTimeStands) {
  Stamps stamps;
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(stamps.Next(5, Known(kEpochUs), 0), kEpochUs + i);
}

// Nobody agrees, and the wall clock is set by a year: log time goes on as time passes.
TEST(StampsTest, AJumpOfTheWallClockIsNotBelieved) {
  Stamps stamps;
  stamps.Next(0, kNothing, kEpochUs);
  EXPECT_EQ(stamps.Next(kSecond, kNothing, kEpochUs + 12 * kMonth), kEpochUs + kSecond);
  EXPECT_EQ(stamps.Next(2 * kSecond, kNothing, 0), kEpochUs + 2 * kSecond);
}

// A quartz of three thousandths, as the settings allow: what is declared is no correction.
TEST(StampsTest, DriftAsDeclaredIsNoStep) {
  Stamps stamps(3'000);
  stamps.Saw(kEpochUs, 0);
  EXPECT_FALSE(stamps.Steps(100 * kSecond, Known(kEpochUs + 100 * kSecond + 600 * kMs)));
  EXPECT_TRUE(stamps.Steps(100 * kSecond, Known(kEpochUs + 102 * kSecond)));
}

TEST(StampsTest, AStampOutOfAllReasonIsNotSeen) {
  Stamps stamps;
  stamps.Saw(INT64_MAX, 0);
  stamps.Saw(-1, 0);
  EXPECT_EQ(stamps.last_us(), std::nullopt);
}

// A new leader, whose clock is far from that of the one before, goes on from where that was.
TEST(StampsTest, GoesOnFromTheStampOfAnother) {
  Stamps stamps;
  stamps.Saw(kEpochUs, 10 * kSecond);
  EXPECT_EQ(stamps.Next(13 * kSecond, kNothing, kEpochUs + kMonth), kEpochUs + 3 * kSecond);
}

TEST(StampsTest, AnOlderStampOfTheLogSaysNothingNew) {
  Stamps stamps;
  stamps.Saw(kEpochUs, 10 * kSecond);
  stamps.Saw(kEpochUs, 20 * kSecond);
  stamps.Saw(kEpochUs - 1, 20 * kSecond);
  EXPECT_EQ(stamps.Now(20 * kSecond, kNothing, 0), kEpochUs + 10 * kSecond);
}

// It led, ahead of everybody, and what it wrote was lost with its leadership; others led meanwhile.
// It does not go on from where only it has been.
TEST(StampsTest, WhatWasLostIsForgotten) {
  Stamps stamps;
  stamps.Saw(kEpochUs, 0);
  EXPECT_EQ(stamps.Next(4 * kSecond, kNothing, 0), kEpochUs + 4 * kSecond);
  stamps.Saw(kEpochUs + kSecond, 5 * kSecond);
  stamps.Lead(std::nullopt, 6 * kSecond);
  EXPECT_EQ(stamps.last_us(), kEpochUs + kSecond);
  EXPECT_EQ(stamps.Next(6 * kSecond, kNothing, 0), kEpochUs + 2 * kSecond);
}

TEST(StampsTest, TheFirstOfALogThatWasLostIsForgotten) {
  Stamps stamps;
  EXPECT_EQ(stamps.Next(0, kNothing, kEpochUs + kMonth), kEpochUs + kMonth);
  stamps.Lead(std::nullopt, kSecond);
  EXPECT_EQ(stamps.last_us(), std::nullopt);
  EXPECT_EQ(stamps.Next(kSecond, Known(kEpochUs), 0), kEpochUs);
}

// What its log ends with will be committed if it leads; if not, it may be lost.
TEST(StampsTest, ALeaderGoesOnFromTheEndOfItsLog) {
  Stamps stamps;
  stamps.Saw(kEpochUs, 0);
  stamps.Lead(kEpochUs + 2 * kSecond, 3 * kSecond);
  EXPECT_EQ(stamps.Next(4 * kSecond, kNothing, 0), kEpochUs + 3 * kSecond);
  stamps.Lead(std::nullopt, 4 * kSecond);
  EXPECT_EQ(stamps.last_us(), kEpochUs);
}

// The cluster stood still for a month; a majority agrees that it did.
TEST(StampsTest, AMonthIsAdoptedByAgreement) {
  Stamps stamps;
  stamps.Saw(kEpochUs, 0);
  EXPECT_TRUE(stamps.Steps(kSecond, Known(kEpochUs + kMonth)));
  EXPECT_EQ(stamps.Next(kSecond, Known(kEpochUs + kMonth), 0), kEpochUs + kMonth);
  EXPECT_FALSE(stamps.Steps(2 * kSecond, Known(kEpochUs + kMonth + kSecond)));
}

TEST(StampsTest, WithoutAgreementAMonthIsNot) {
  Stamps stamps;
  stamps.Saw(kEpochUs, 0);
  EXPECT_FALSE(stamps.Steps(kSecond, kNothing));
  EXPECT_EQ(stamps.Next(kSecond, kNothing, kEpochUs + kMonth), kEpochUs + kSecond);
}

TEST(StampsTest, OnlyACorrectionIsAStep) {
  Stamps stamps;
  stamps.Saw(kEpochUs, 0);
  EXPECT_FALSE(stamps.Steps(kSecond, Known(kEpochUs + kSecond)));
  EXPECT_FALSE(stamps.Steps(kSecond, Known(kEpochUs + kSecond + 2 * kMs)));
  EXPECT_TRUE(stamps.Steps(kSecond, Known(kEpochUs + kSecond + 2 * kMs + 10)));
  EXPECT_FALSE(stamps.Steps(kSecond, Known(kEpochUs - kSecond))) << "nothing is put forward";
}

// Nobody writes for an hour, and this node's clock is slow all the while: that is no correction, or
// the leases of an idle cluster would never run out.
TEST(StampsTest, DriftOverALongTimeIsNoStep) {
  Stamps stamps;
  stamps.Saw(kEpochUs, 0);
  const int64_t hour_us = 3'600 * kSecond;
  EXPECT_FALSE(stamps.Steps(hour_us, Known(kEpochUs + hour_us + hour_us / 1'000)));
  EXPECT_TRUE(stamps.Steps(hour_us, Known(kEpochUs + hour_us + hour_us / 500)));
}

// The log is a minute ahead, by an earlier leader's clock: it neither goes back, nor stands still,
// nor moves on as fast as time.
TEST(StampsTest, AheadOfTheWorldItGoesAtHalfThePace) {
  Stamps stamps;
  const int64_t ahead_us = kEpochUs + 60 * kSecond;
  stamps.Saw(ahead_us, 0);
  EXPECT_EQ(stamps.Next(10 * kSecond, Known(kEpochUs + 10 * kSecond), 0), ahead_us + 5 * kSecond);
  EXPECT_EQ(stamps.Next(10 * kSecond, Known(kEpochUs + 10 * kSecond), 0),
            ahead_us + 5 * kSecond + 1);
  int64_t last_us = 0;
  for (int64_t s = 11; s <= 130; ++s) {
    const Estimate now = Known(kEpochUs + s * kSecond);
    last_us = stamps.Next(s * kSecond, now, 0);
    EXPECT_GE(last_us, now.now_us);
  }
  EXPECT_EQ(last_us, kEpochUs + 130 * kSecond) << "the world has caught up";
}

// A little ahead, and within the bounds: it stays there.
TEST(StampsTest, WithinTheBoundsItDoesNotLeaveThem) {
  Stamps stamps;
  stamps.Saw(kEpochUs + 90 * kMs, 0);
  // The bounds have moved back meanwhile.
  const Estimate now = Known(kEpochUs);
  EXPECT_EQ(stamps.Next(kSecond, now, 0), kEpochUs + 100 * kMs);
}

TEST(StampsTest, ALeaderThatLosesAgreementGoesOn) {
  Stamps stamps;
  stamps.Next(0, Known(kEpochUs), 0);
  EXPECT_EQ(stamps.Next(kSecond, kNothing, 77), kEpochUs + kSecond);
  EXPECT_FALSE(stamps.Steps(2 * kSecond, Known(kEpochUs + 2 * kSecond)));
  EXPECT_EQ(stamps.Next(2 * kSecond, Known(kEpochUs + 2 * kSecond), 77), kEpochUs + 2 * kSecond);
}

// Whatever estimates and wall clocks say: stamps grow; known times are kept to, but by a log that
// is ahead; unknown ones advance with the clock that nobody sets.
TEST(StampsTest, Rules) {
  std::mt19937 random(9);  // NOLINT: a fixed seed.
  const auto draw = [&random](int64_t from, int64_t to) {
    return std::uniform_int_distribution<int64_t>(from, to)(random);
  };
  Stamps stamps;
  int64_t elapsed_us = 0;
  int64_t last_us = stamps.Next(0, Known(kEpochUs), 0);
  int64_t last_at_us = 0;
  for (int step = 0; step < 100'000; ++step) {
    elapsed_us += draw(0, 3) == 0 ? draw(0, kSecond) : draw(0, 50);
    const int64_t off_us = draw(0, 20) == 0 ? draw(-60 * kSecond, 60 * kSecond) : draw(-kMs, kMs);
    const Estimate now =
        draw(0, 2) == 0 ? kNothing : Known(kEpochUs + elapsed_us + off_us, draw(0, 200 * kMs));
    const bool steps = stamps.Steps(elapsed_us, now);
    const int64_t stamp_us = stamps.Next(elapsed_us, now, draw(0, 3 * kEpochUs));
    ASSERT_GT(stamp_us, last_us) << "step " << step;
    const int64_t passed_us = elapsed_us - last_at_us;
    if (!steps) {
      ASSERT_LE(stamp_us, last_us + passed_us + passed_us / 1'000 + kMs + 1) << "step " << step;
    }
    if (now.agreed() && stamp_us > now.bounds.latest_us) {
      ASSERT_LE(stamp_us, std::max(last_us + passed_us / 2, last_us + 1)) << "step " << step;
      ASSERT_GE(last_us + 1, now.bounds.latest_us) << "was ahead already, step " << step;
    }
    if (now.agreed()) {
      ASSERT_GE(stamp_us, now.bounds.earliest_us) << "step " << step;
    }
    last_us = stamp_us;
    last_at_us = elapsed_us;
  }
}

}  // namespace
}  // namespace holdfast::clock
