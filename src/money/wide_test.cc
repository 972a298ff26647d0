// Numbers of all lengths: what is divided can be multiplied again, and digits come back as digits.
#include "src/money/wide.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace holdfast::money {
namespace {

class WideTest : public ::testing::Test {
 protected:
  std::string Digits(size_t count) {
    std::string digits(1, static_cast<char>('1' + random_() % 9));
    // Long rows of one digit now and then, whose bits are long rows, too.
    const bool row = random_() % 4 == 0;
    while (digits.size() < count) {
      digits += row ? digits.back() : static_cast<char>('0' + random_() % 10);
    }
    return digits;
  }
  size_t Length(size_t longest) { return 1 + random_() % longest; }

  std::mt19937_64 random_{3};
};

TEST_F(WideTest, DigitsComeBack) {
  for (size_t count = 1; count <= Wide::kExponentMax; ++count) {
    const std::string digits = Digits(count);
    EXPECT_EQ(Wide::Of(digits).Digits(), digits);
  }
  EXPECT_EQ(Wide().Digits(), "0");
  EXPECT_EQ(Wide::PowerOfTen(Wide::kExponentMax).Digits(),
            "1" + std::string(Wide::kExponentMax, '0'));
  EXPECT_EQ(Wide(~uint64_t{0}).Digits(), "18446744073709551615");
}

TEST_F(WideTest, WhatIsDividedCanBeMultipliedAgain) {
  for (int step = 0; step < 3'000; ++step) {
    const Wide value = Wide::Of(Digits(Length(Wide::kExponentMax)));
    const Wide divisor = Wide::Of(Digits(Length(step % 2 == 0 ? 20 : Wide::kExponentMax)));
    Wide rest;
    const Wide quotient = value.DividedBy(divisor, &rest);
    ASSERT_TRUE(rest < divisor);
    ASSERT_EQ((quotient * divisor + rest).Digits(), value.Digits());
    ASSERT_EQ((value - rest).DividedBy(divisor, &rest).Digits(), quotient.Digits());
    ASSERT_TRUE(rest.is_zero());
  }
  Wide rest;
  EXPECT_EQ(Wide(7).DividedBy(Wide(1), &rest), Wide(7));
  EXPECT_EQ(Wide(7).DividedBy(Wide(7), &rest), Wide(1));
  EXPECT_EQ(Wide(6).DividedBy(Wide(7), &rest), Wide());
  EXPECT_EQ(rest, Wide(6));
  EXPECT_EQ(Wide().DividedBy(Wide(7), &rest), Wide());
}

TEST_F(WideTest, SixtyThreeBitsAreANumberOfTheLedger) {
  EXPECT_EQ(Wide::Of("9223372036854775807").AsInt64(), INT64_MAX);
  EXPECT_EQ(Wide::Of("9223372036854775808").AsInt64(), std::nullopt);
  EXPECT_EQ(Wide::PowerOfTen(40).AsInt64(), std::nullopt);
  EXPECT_EQ(Wide().AsInt64(), 0);
}

}  // namespace
}  // namespace holdfast::money
