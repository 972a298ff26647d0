#include "src/money/decimal.h"

#include <algorithm>

#include "src/base/bounds.h"

namespace holdfast::money {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Whether what is between two whole numbers goes to the one further away from 0.
bool RoundsAway(const Wide& below, const Wide& rest, const Wide& denominator, bool negative,
                Rounding::Code mode) {
  const Wide twice = rest + rest;
  const bool is_half = twice == denominator;
  const bool above_half = denominator < twice;
  switch (mode) {
    case Rounding::half_up: return above_half || is_half;
    case Rounding::half_down: return above_half;
    case Rounding::up: return true;
    case Rounding::down: return false;
    case Rounding::ceiling: return !negative;
    case Rounding::floor: return negative;
    default: return above_half || (is_half && below.is_odd());
  }
}

}  // namespace

std::optional<std::string> ParseDecimal(std::string_view text, Decimal* out) {
  constexpr char kSyntax[] = "must be a decimal such as 100.00, without exponent or spaces";
  *out = Decimal();
  if (text.starts_with('-')) {
    out->negative = true;
    text.remove_prefix(1);
  }
  const size_t point = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, point);
  const bool has_point = point < text.size();
  const std::string_view part = has_point ? text.substr(point + 1) : std::string_view();
  if (whole.empty() || (has_point && part.empty()) ||
      !std::all_of(whole.begin(), whole.end(), IsDigit) ||
      !std::all_of(part.begin(), part.end(), IsDigit)) {
    return kSyntax;
  }
  if (whole.size() > 1 && whole[0] == '0') return "must not begin with a 0 that means nothing";
  if (whole.size() + part.size() > bounds::kDecimalDigitsMax) {
    return "must have at most " + std::to_string(bounds::kDecimalDigitsMax) + " digits, has " +
           std::to_string(whole.size() + part.size());
  }
  out->digits =
      Wide::Of(whole) * Wide::PowerOfTen(static_cast<uint32_t>(part.size())) + Wide::Of(part);
  out->scale = static_cast<uint32_t>(part.size());
  return std::nullopt;
}

Rounded Divide(const Wide& numerator, const Wide& denominator, bool negative, Rounding::Code mode) {
  Wide rest;
  Rounded result{numerator.DividedBy(denominator, &rest), false};
  result.exact = rest.is_zero();
  if (!result.exact && RoundsAway(result.value, rest, denominator, negative, mode)) {
    result.value = result.value + Wide(1);
  }
  return result;
}

std::string DecimalText(const Wide& value, uint32_t scale, bool negative) {
  std::string text = value.Digits();
  if (text.size() <= scale) text.insert(0, scale + 1 - text.size(), '0');
  if (scale > 0) text.insert(text.size() - scale, ".");
  if (negative && !value.is_zero()) text.insert(0, "-");
  return text;
}

}  // namespace holdfast::money
