// Decimals as people write them, and the rounding of what is left of a conversion.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/money.pb.h"
#include "src/money/wide.h"

namespace holdfast::money {

// digits / 10^scale; "-12.50" is 1250, 2, negative.
struct Decimal {
  Wide digits;
  uint32_t scale = 0;
  bool negative = false;
};

// As JSON writes a number, without an exponent: a sign for negative ones, no leading zeros, digits
// on both sides of a point; at most kDecimalDigitsMax digits. Else why not, for who wrote it.
std::optional<std::string> ParseDecimal(std::string_view text, Decimal* out);

// What a request asks for, which may leave it to us.
inline Rounding::Code OrHalfEven(Rounding::Code asked) {
  return asked == Rounding::unspecified ? Rounding::half_even : asked;
}

// numerator / denominator as a whole number, rounded; the sign matters to ceiling and floor.
struct Rounded {
  Wide value;
  bool exact = false;
};
Rounded Divide(const Wide& numerator, const Wide& denominator, bool negative, Rounding::Code mode);

// 123450 with two digits is "1234.50"; a 0 has no sign.
std::string DecimalText(const Wide& value, uint32_t scale, bool negative);

}  // namespace holdfast::money
