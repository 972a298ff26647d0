#include "src/money/wide.h"

#include <algorithm>
#include <bit>

#include "src/base/check.h"

namespace holdfast::money {
namespace {

__extension__ typedef unsigned __int128 Product;
constexpr char kTooWide[] = "a number of more than 512 bits";

}  // namespace

Wide Wide::PowerOfTen(uint32_t exponent) {
  static const std::array<Wide, kExponentMax + 1> kPowers = [] {
    std::array<Wide, kExponentMax + 1> powers;
    powers[0] = Wide(1);
    for (size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * Wide(10);
    return powers;
  }();
  HOLDFAST_CHECK(exponent <= kExponentMax, kTooWide);
  return kPowers[exponent];
}

Wide Wide::Of(std::string_view digits) {
  Wide value;
  for (const char digit : digits) {
    value = value * Wide(10) + Wide(static_cast<uint64_t>(digit - '0'));
  }
  return value;
}

Wide Wide::operator*(const Wide& other) const {
  Wide product;
  for (size_t i = 0; i < kWords; ++i) {
    if (words_[i] == 0) continue;
    uint64_t carry = 0;
    for (size_t j = 0; j < kWords; ++j) {
      if (i + j >= kWords) {
        HOLDFAST_CHECK(other.words_[j] == 0 && carry == 0, kTooWide);
        continue;
      }
      const Product sum = Product{words_[i]} * other.words_[j] + product.words_[i + j] + carry;
      product.words_[i + j] = static_cast<uint64_t>(sum);
      carry = static_cast<uint64_t>(sum >> 64);
    }
    HOLDFAST_CHECK(carry == 0, kTooWide);
  }
  return product;
}

Wide Wide::operator+(const Wide& other) const {
  Wide sum;
  uint64_t carry = 0;
  for (size_t i = 0; i < kWords; ++i) {
    const Product digit = Product{words_[i]} + other.words_[i] + carry;
    sum.words_[i] = static_cast<uint64_t>(digit);
    carry = static_cast<uint64_t>(digit >> 64);
  }
  HOLDFAST_CHECK(carry == 0, kTooWide);
  return sum;
}

Wide Wide::operator-(const Wide& other) const {
  Wide difference;
  uint64_t borrow = 0;
  for (size_t i = 0; i < kWords; ++i) {
    const Product digit = Product{words_[i]} - other.words_[i] - borrow;
    difference.words_[i] = static_cast<uint64_t>(digit);
    borrow = static_cast<uint64_t>(digit >> 64) != 0 ? 1 : 0;
  }
  HOLDFAST_CHECK(borrow == 0, "a number below 0");
  return difference;
}

// Bit by bit, as on paper.
Wide Wide::DividedBy(const Wide& divisor, Wide* rest) const {
  HOLDFAST_CHECK(!divisor.is_zero(), "a division by 0");
  Wide quotient;
  // What has fewer bits than the divisor has none of it.
  const uint32_t bits = Bits();
  uint32_t left = bits - std::min(bits, divisor.Bits() - 1);
  *rest = ShiftedRight(left);
  while (left-- > 0) {
    rest->ShiftInBit(BitAt(left));
    if (*rest < divisor) continue;
    *rest = *rest - divisor;
    quotient.words_[left / 64] |= uint64_t{1} << left % 64;
  }
  return quotient;
}

Wide Wide::ShiftedRight(uint32_t bits) const {
  Wide shifted;
  const uint32_t words = bits / 64;
  const uint32_t within = bits % 64;
  for (size_t i = words; i < kWords; ++i) {
    shifted.words_[i - words] = words_[i] >> within;
    if (within != 0 && i + 1 < kWords) shifted.words_[i - words] |= words_[i + 1] << (64 - within);
  }
  return shifted;
}

bool Wide::operator<(const Wide& other) const {
  for (size_t i = kWords; i-- > 0;) {
    if (words_[i] != other.words_[i]) return words_[i] < other.words_[i];
  }
  return false;
}

std::optional<int64_t> Wide::AsInt64() const {
  if (Bits() > 63) return std::nullopt;
  return static_cast<int64_t>(words_[0]);
}

std::string Wide::Digits() const {
  constexpr uint64_t kChunk = 1'000'000'000'000'000'000;
  constexpr size_t kChunkDigits = 18;
  std::string digits;
  Wide left = *this;
  while (!left.is_zero()) {
    Wide chunk;
    left = left.DividedBy(Wide(kChunk), &chunk);
    std::string text = std::to_string(chunk.words_[0]);
    if (!left.is_zero()) text.insert(0, kChunkDigits - text.size(), '0');
    digits.insert(0, text);
  }
  return digits.empty() ? "0" : digits;
}

uint32_t Wide::Bits() const {
  for (size_t i = kWords; i-- > 0;) {
    if (words_[i] != 0) return static_cast<uint32_t>(64 * i + std::bit_width(words_[i]));
  }
  return 0;
}

void Wide::ShiftInBit(bool bit) {
  uint64_t carry = bit ? 1 : 0;
  for (uint64_t& word : words_) {
    const uint64_t out = word >> 63;
    word = word << 1 | carry;
    carry = out;
  }
  HOLDFAST_CHECK(carry == 0, kTooWide);
}

}  // namespace holdfast::money
