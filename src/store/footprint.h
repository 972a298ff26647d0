// What a key or a row takes in memory, so that a delta can be bounded by bytes. An estimate: it
// knows what the types own, and rounds what the allocator and the containers add.
#pragma once

#include <concepts>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "src/store/codec.h"

namespace holdfast::store {

// Of one allocation beyond what was asked for: malloc's header and rounding.
inline constexpr size_t kAllocationBytes = 16;
// Of one entry of a std::map beyond its key and value: three pointers and a colour.
inline constexpr size_t kMapNodeBytes = 32;

// The bytes that `value` owns outside itself. Costs nothing for types that own none.
template <class T>
size_t HeapBytes(const T& value) {
  if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T> || codec::kIs<T, Number> ||
                std::same_as<T, LogTime>) {
    return 0;
  } else if constexpr (std::same_as<T, std::string>) {
    // Short strings live in the object itself.
    return value.capacity() > std::string().capacity() ? value.capacity() + kAllocationBytes : 0;
  } else if constexpr (codec::kIs<T, std::optional>) {
    return value.has_value() ? HeapBytes(*value) : 0;
  } else if constexpr (codec::kIs<T, std::vector>) {
    if (value.capacity() == 0) return 0;
    size_t bytes = value.capacity() * sizeof(typename T::value_type) + kAllocationBytes;
    for (const typename T::value_type& element : value) bytes += HeapBytes(element);
    return bytes;
  } else if constexpr (codec::kIs<T, std::map>) {
    size_t bytes = 0;
    for (const auto& [key, element] : value) {
      bytes += sizeof(typename T::value_type) + kMapNodeBytes + kAllocationBytes + HeapBytes(key) +
               HeapBytes(element);
    }
    return bytes;
  } else if constexpr (codec::kIs<T, std::tuple>) {
    return std::apply([](const auto&... part) { return (HeapBytes(part) + ... + size_t{0}); },
                      value);
  } else {
    return std::apply([](const auto&... field) { return (HeapBytes(field) + ... + size_t{0}); },
                      value.Fields());
  }
}

}  // namespace holdfast::store
