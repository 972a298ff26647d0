// Whole numbers of 512 bits, without a sign: room for the product of three decimals of 38 digits,
// and exact. As fast as a conversion needs, which is one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::money {

class Wide {
 public:
  static constexpr uint32_t kExponentMax = 154;

  Wide() = default;
  Wide(uint64_t value) { words_[0] = value; }  // NOLINT: converts.

  // 10^exponent, at most 10^kExponentMax.
  static Wide PowerOfTen(uint32_t exponent);
  // Of decimal digits, at most 154.
  static Wide Of(std::string_view digits);

  // What does not fit is a broken promise of the caller's, who bounds the digits.
  Wide operator*(const Wide& other) const;
  Wide operator+(const Wide& other) const;
  // Of no greater one.
  Wide operator-(const Wide& other) const;
  // By one that is not 0; what is left over goes to `rest`.
  Wide DividedBy(const Wide& divisor, Wide* rest) const;

  bool operator==(const Wide& other) const = default;
  bool operator<(const Wide& other) const;
  bool is_zero() const { return *this == Wide(); }
  bool is_odd() const { return (words_[0] & 1) != 0; }

  // nullopt when it needs more than 63 bits.
  std::optional<int64_t> AsInt64() const;
  std::string Digits() const;  // "0" for 0, without leading zeros otherwise.

 private:
  static constexpr size_t kWords = 8;
  uint32_t Bits() const;  // Up to the highest that is set.
  void ShiftInBit(bool bit);
  Wide ShiftedRight(uint32_t bits) const;
  bool BitAt(uint32_t at) const { return (words_[at / 64] >> at % 64 & 1) != 0; }

  std::array<uint64_t, kWords> words_{};  // The least significant first.
};

}  // namespace holdfast::money
