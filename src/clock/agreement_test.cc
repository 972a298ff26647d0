#include "src/clock/agreement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace holdfast::clock {
namespace {

using Claims = std::vector<Interval>;

TEST(AgreementTest, Table) {
  struct Case {
    const char* what;
    Claims claims;
    size_t needed;
    std::optional<Interval> agreed;
  };
  const Case cases[] = {
      {"nobody", {}, 1, std::nullopt},
      {"nobody is needed", {{1, 2}}, 0, std::nullopt},
      {"one alone", {{-5, 5}}, 1, Interval{-5, 5}},
      {"one of two that are needed", {{-5, 5}}, 2, std::nullopt},
      {"two that overlap", {{0, 10}, {8, 20}}, 2, Interval{8, 10}},
      {"two that touch", {{0, 10}, {10, 20}}, 2, Interval{10, 10}},
      {"two that are apart", {{0, 10}, {11, 20}}, 2, std::nullopt},
      {"the same twice", {{3, 4}, {3, 4}}, 2, Interval{3, 4}},
      {"a moment", {{7, 7}, {0, 10}}, 2, Interval{7, 7}},
      {"RFC 5905's picture", {{0, 12}, {10, 14}, {11, 13}, {20, 22}}, 3, Interval{11, 12}},
      // All three meet between 8 and 10; any two of them may be the true ones.
      {"two of three", {{0, 10}, {0, 10}, {8, 12}}, 2, Interval{0, 10}},
      {"in two places", {{0, 4}, {2, 6}, {10, 14}, {12, 16}}, 2, Interval{2, 14}},
  };
  for (const Case& one : cases) EXPECT_EQ(Agree(one.claims, one.needed), one.agreed) << one.what;
}

// A claim that overlaps the truth in part draws the place where most claims meet away from the
// truth, and must not take the answer with it.
TEST(AgreementTest, ALieThatMeetsTheTruthsInPartDoesNotHideTheTruth) {
  const int64_t truth = 1;
  const auto agreed = Agree({{0, 10}, {0, 10}, {9, 30}}, 2);
  ASSERT_TRUE(agreed);
  EXPECT_TRUE(agreed->Meets({truth, truth}));
}

std::optional<Interval> BruteForce(const Claims& claims, size_t needed) {
  std::optional<Interval> agreed;
  for (int64_t at = -60; at <= 60; ++at) {
    const auto holds = [at](const Interval& claim) { return claim.Meets({at, at}); };
    if (static_cast<size_t>(std::count_if(claims.begin(), claims.end(), holds)) < needed) continue;
    if (!agreed) agreed = Interval{at, at};
    agreed->latest_us = at;
  }
  return agreed;
}

TEST(AgreementTest, AsPointByPoint) {
  std::mt19937 random(5);  // NOLINT: a fixed seed.
  std::uniform_int_distribution<int64_t> place(-50, 50);
  std::uniform_int_distribution<size_t> count(1, 9);
  size_t agreed = 0;
  for (int round = 0; round < 20'000; ++round) {
    Claims claims;
    for (size_t i = count(random); i > 0; --i) {
      const int64_t a = place(random);
      const int64_t b = place(random);
      claims.push_back({std::min(a, b), std::max(a, b)});
    }
    const size_t needed = claims.size() / 2 + 1;
    agreed += Agree(claims, needed) ? 1 : 0;
    ASSERT_EQ(Agree(claims, needed), BruteForce(claims, needed)) << "round " << round;
  }
  EXPECT_GT(agreed, 5'000u);
  EXPECT_LT(agreed, 19'000u);
}

// The theorem: when a majority of the claims is true, the answer holds the truth, wherever the
// others put themselves.
TEST(AgreementTest, HoldsTheTruthWhenAMajorityTellsIt) {
  std::mt19937 random(6);  // NOLINT: a fixed seed.
  std::uniform_int_distribution<int64_t> error(0, 100);
  std::uniform_int_distribution<int64_t> lie(-400, 400);
  for (int round = 0; round < 20'000; ++round) {
    const size_t sources = 1 + static_cast<size_t>(round) % 9;
    const size_t needed = sources / 2 + 1;
    Claims claims;
    for (size_t i = 0; i < sources; ++i) {
      const int64_t half = error(random);
      const int64_t off = i < needed ? lie(random) % (half + 1) : lie(random);
      claims.push_back({off - half, off + half});
    }
    std::shuffle(claims.begin(), claims.end(), random);
    const auto agreed = Agree(claims, needed);
    ASSERT_TRUE(agreed) << "round " << round;
    ASSERT_TRUE(agreed->Meets({0, 0})) << "round " << round;
  }
}

}  // namespace
}  // namespace holdfast::clock
