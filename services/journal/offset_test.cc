// What is known of a clock, against clocks whose truth is known.
#include "services/journal/offset.h"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::journal {
namespace {

constexpr uint32_t kPpm = 500;
constexpr int64_t kMs = 1'000;
constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kHour = 3'600 * kSecond;
constexpr int64_t kNow = 1'700'000'000 * kSecond;

Facts Lower(int64_t at_us, int64_t offset_us) { return {Fact{at_us, offset_us}, std::nullopt}; }
Facts Upper(int64_t at_us, int64_t offset_us) { return {std::nullopt, Fact{at_us, offset_us}}; }
Facts Both(int64_t at_us, int64_t lower_us, int64_t upper_us) {
  return {Fact{at_us, lower_us}, Fact{at_us, upper_us}};
}

TEST(JournalOffsetTest, DriftIsRoundedUpAndTheSameBothWays) {
  EXPECT_EQ(Drift(0, 0, kPpm), 0);
  EXPECT_EQ(Drift(0, 1, kPpm), 1);
  EXPECT_EQ(Drift(1, 0, kPpm), 1);
  EXPECT_EQ(Drift(0, kSecond, kPpm), 501) << "of the true time, which is longer";
  EXPECT_EQ(Drift(kHour, 0, kPpm), 1'800'901);
  EXPECT_EQ(Drift(0, kSecond, 100'000), 111'112);
  // The whole of the times that there are, at the greatest drift.
  EXPECT_EQ(Drift(0, int64_t{253'402'300'799} * kSecond, 100'000), 28'155'811'199'888'889);
}

TEST(JournalOffsetTest, TheBetterFactOfAKindIsKept) {
  Facts known;
  EXPECT_FALSE(Learn(Lower(kNow, -5 * kMs), kPpm, &known));
  EXPECT_FALSE(Learn(Lower(kNow + kSecond, -9 * kMs), kPpm, &known));
  EXPECT_EQ(known.lower->offset_us, -5 * kMs) << "a second later it still says more";
  EXPECT_FALSE(Learn(Lower(kNow + 10 * kSecond, -9 * kMs), kPpm, &known));
  EXPECT_EQ(known.lower->offset_us, -9 * kMs) << "ten seconds later it has lost 5 ms";
  EXPECT_FALSE(Learn(Upper(kNow + 10 * kSecond, 3 * kMs), kPpm, &known));
  EXPECT_FALSE(Learn(Upper(kNow + 11 * kSecond, 4 * kMs), kPpm, &known));
  EXPECT_EQ(known.upper->offset_us, 3 * kMs);
  EXPECT_FALSE(Learn(Upper(kNow + 11 * kSecond, 2 * kMs), kPpm, &known));
  EXPECT_EQ(known.upper->offset_us, 2 * kMs);
  EXPECT_FALSE(Learn({}, kPpm, &known)) << "nothing told changes nothing";
  EXPECT_EQ(known.upper->offset_us, 2 * kMs);
}

TEST(JournalOffsetTest, AClockThatWasSetBeginsAnew) {
  // Forward by a second: what is sent next cannot have been sent so late.
  Facts known = Both(kNow, -2 * kMs, 2 * kMs);
  EXPECT_TRUE(Learn(Upper(kNow + 2 * kSecond, -997 * kMs), kPpm, &known));
  EXPECT_FALSE(known.lower.has_value());
  EXPECT_EQ(known.upper->offset_us, -997 * kMs);
  // Back by a second: what was received cannot have been received so early.
  known = Both(kNow, -2 * kMs, 2 * kMs);
  EXPECT_TRUE(Learn(Both(kNow, 997 * kMs, 1'002 * kMs), kPpm, &known));
  EXPECT_EQ(known.lower->offset_us, 997 * kMs);
  EXPECT_EQ(known.upper->offset_us, 1'002 * kMs);
  // Set between the two looks at it of one append: the later one counts.
  known = Both(kNow, -2 * kMs, 2 * kMs);
  Facts told{Fact{kNow + kMs, -1 * kMs}, Fact{kNow + kSecond, -900 * kMs}};
  EXPECT_TRUE(Learn(told, kPpm, &known));
  EXPECT_FALSE(known.lower.has_value());
  EXPECT_EQ(known.upper->offset_us, -900 * kMs);
  // Sent before the answer of which it tells.
  known = Both(kNow, -2 * kMs, 2 * kMs);
  told = {Fact{kNow + kSecond, -1 * kMs}, Fact{kNow + kMs, kSecond}};
  EXPECT_TRUE(Learn(told, kPpm, &known));
  EXPECT_FALSE(known.lower.has_value());
  // What went wrong: sent within the microsecond in which the answer came, as times are rounded.
  known = {};
  EXPECT_FALSE(Learn({Fact{kNow + 1, -kMs}, Fact{kNow, kMs}}, kPpm, &known));
  EXPECT_TRUE(known.lower.has_value());
  // A drift that was declared anew leaves no room for what was known.
  known = {Fact{kNow, 0}, Fact{kNow + 100 * kSecond, -30 * kMs}};
  EXPECT_FALSE(Learn({}, kPpm, &known));
  EXPECT_TRUE(Learn({}, 10, &known));
  EXPECT_FALSE(known.lower.has_value() || known.upper.has_value());
}

struct CorrectCase {
  const char* what;
  Facts facts;
  int64_t time_us;
  Correct how;
  int64_t at_us;
  std::optional<uint64_t> error_us;
};

TEST(JournalOffsetTest, TimesAreCorrectedByWhatIsCertain) {
  const int64_t kHourMax = kHour;
  const CorrectCase kCases[] = {
      {"nothing known", {}, kNow - kSecond, Correct::kNone, kNow - kSecond, {}},
      {"nothing known, ahead", {}, kNow + kSecond, Correct::kNone, kNow, {}},
      {"surely ahead by 3 s",
       Upper(kNow, -3 * kSecond),
       kNow,
       Correct::kOneSided,
       kNow - 3 * kSecond,
       {}},
      {"perhaps ahead, perhaps not",
       Upper(kNow, 3 * kSecond),
       kNow - 5 * kSecond,
       Correct::kOneSided,
       kNow - 5 * kSecond,
       {}},
      {"surely behind by 3 s",
       Lower(kNow - 5 * kSecond, 3 * kSecond),
       kNow - 5 * kSecond,
       Correct::kOneSided,
       kNow - 2 * kSecond,
       {}},
      {"perhaps behind",
       Lower(kNow - 5 * kSecond, -3 * kSecond),
       kNow - 5 * kSecond,
       Correct::kOneSided,
       kNow - 5 * kSecond,
       {}},
      {"between 2 and 5 ms behind", Both(kNow - kSecond, 2 * kMs, 5 * kMs), kNow - kSecond,
       Correct::kBounded, kNow - kSecond + 3'500, 1'500},
      {"an odd interval", Both(kNow - kSecond, 0, 5), kNow - kSecond, Correct::kBounded,
       kNow - kSecond + 2, 3},
      {"the same, ten seconds before", Both(kNow - kSecond, 2 * kMs, 5 * kMs), kNow - 11 * kSecond,
       Correct::kBounded, kNow - 11 * kSecond + 3'500, 1'500 + 5'003},
      {"not after its stamp", Both(kNow, -2 * kMs, 6 * kMs), kNow - kMs, Correct::kBounded, kNow,
       4 * kMs + 1},
      {"off by two hours",
       Both(kNow - 2 * kHour, 2 * kHour, 2 * kHour),
       kNow - 2 * kHour,
       Correct::kTooFar,
       kNow - 2 * kHour,
       {}},
      {"ahead by two hours",
       Both(kNow + 2 * kHour, -2 * kHour, -2 * kHour),
       kNow + 2 * kHour,
       Correct::kTooFar,
       kNow,
       {}},
      {"after its stamp by all that is known",
       Both(kNow, 0, 4 * kMs),
       kNow + kSecond,
       Correct::kContradicted,
       kNow,
       {}},
  };
  for (const CorrectCase& test : kCases) {
    SCOPED_TRACE(test.what);
    const Corrected got = CorrectTime(test.facts, test.time_us, kNow, kPpm, kHourMax);
    EXPECT_EQ(got.how, test.how);
    EXPECT_EQ(got.at_us, test.at_us);
    EXPECT_EQ(got.error_us, test.error_us);
  }
}

// A clock that drifts within what was declared, on a network that takes any time: the truth is
// always within the bounds, and never is a jump suspected.
TEST(JournalOffsetTest, TheTruthIsWithinTheBoundsAsLongAsTheClockKeepsToItsDrift) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const auto below = [&](int64_t limit) {
      return static_cast<int64_t>(random() % static_cast<uint64_t>(limit));
    };
    const int64_t ppm = below(2 * kPpm + 1) - kPpm;  // How much too fast the clock is.
    const int64_t ahead = below(20 * kSecond) - 10 * kSecond;
    const auto clock = [&](int64_t true_us) {  // Cut to microseconds, as clocks are.
      return true_us + ahead + (true_us - kNow) * ppm / 1'000'000;
    };
    Facts known;
    int64_t now = kNow;
    std::optional<std::pair<int64_t, int64_t>> previous;  // Stamp, received by the clock.
    for (int i = 0; i < 400; ++i) {
      now += 1 + below(i % 50 == 0 ? 600 * kSecond : kSecond);
      const int64_t event = now - below(3 * kSecond);
      const int64_t sent = now;
      const int64_t stamp = sent + below(50 * kMs);
      const int64_t received = stamp + below(50 * kMs);
      Facts told = Upper(clock(sent), stamp - clock(sent));
      if (previous) {
        told.lower = Fact{previous->second, previous->first - previous->second};
      }
      ASSERT_FALSE(Learn(told, kPpm, &known)) << "no jump";
      const Corrected got = CorrectTime(known, clock(event), stamp, kPpm, kHour);
      ASSERT_LE(got.at_us, stamp);
      if (got.error_us) {
        // One for what the clock cuts off.
        ASSERT_LE(std::abs(got.at_us - event), static_cast<int64_t>(*got.error_us) + 1) << i;
        ASSERT_EQ(got.how, Correct::kBounded);
      } else {
        ASSERT_EQ(i, 0) << "after one exchange there are both";
      }
      previous = {stamp, clock(received) + 1};
      now = received;
    }
  }
}

}  // namespace
}  // namespace holdfast::journal
