// The digest of a log entry's changes, by which nodes compare what they did (docs/formats/store.md,
// "Digest"). Taken over values rather than their stored bytes: a change costs a few
// multiplications. It tells bugs and broken memory, not an adversary.
#pragma once

// Inline: most strings are short, and a call into the library costs as much as hashing them.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "src/store/codec.h"

namespace holdfast::store {

class Digest {
 public:
  Digest() = default;
  explicit Digest(uint64_t value) : value_(value) {}

  uint64_t value() const { return value_; }

  // A part of a key, a field, or a struct of fields.
  template <class T>
  void Add(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      Add(static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::signed_integral<T>) {
      Absorb(static_cast<uint64_t>(int64_t{value}));
    } else if constexpr (std::unsigned_integral<T>) {
      Absorb(value);
    } else if constexpr (std::same_as<T, LogTime>) {
      Add(value.us);
    } else if constexpr (codec::kIs<T, Number>) {
      Absorb(value.value);
    } else if constexpr (std::same_as<T, std::string>) {
      Absorb(XXH3_64bits(value.data(), value.size()));
    } else if constexpr (codec::kIs<T, std::optional>) {
      Absorb(value.has_value() ? 1 : 0);
      if (value.has_value()) Add(*value);
    } else if constexpr (codec::kIs<T, std::vector>) {
      Absorb(value.size());
      for (const typename T::value_type& element : value) Add(element);
    } else if constexpr (codec::kIs<T, std::map>) {
      Absorb(value.size());
      for (const auto& [key, element] : value) {
        Add(key);
        Add(element);
      }
    } else if constexpr (codec::kIs<T, std::tuple>) {
      std::apply([this](const auto&... part) { (Add(part), ...); }, value);
    } else {
      const auto fields = value.Fields();
      Absorb(std::tuple_size_v<decltype(fields)>);
      std::apply([this](const auto&... field) { (Add(field), ...); }, fields);
    }
  }

 private:
  // The fraction of the golden ratio, and an odd number with no pattern.
  static constexpr uint64_t kAdd = 0x9e3779b97f4a7c15;
  static constexpr uint64_t kMultiply = 0xd6e8feb86659fd93;

  void Absorb(uint64_t value) {
    __extension__ typedef unsigned __int128 Wide;
    const Wide product = Wide{value_ ^ value ^ kAdd} * kMultiply;
    value_ = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }

  uint64_t value_ = 0;
};

}  // namespace holdfast::store
