// Strong types for the numbers that must not be mixed up.
#pragma once

#include <absl/hash/hash.h>

#include <compare>
#include <cstdint>
#include <string>

namespace holdfast {

// A 64-bit number with a meaning. Two numbers of different meaning do not compare or assign.
template <class Tag>
struct Number {
  uint64_t value = 0;

  constexpr Number() = default;
  constexpr explicit Number(uint64_t v) : value(v) {}
  constexpr auto operator<=>(const Number&) const = default;
  constexpr Number Next() const { return Number(value + 1); }
  constexpr Number Previous() const { return Number(value - 1); }
  std::string ToString() const { return std::to_string(value); }
  template <class H>
  friend H AbslHashValue(H h, const Number& n) {
    return H::combine(std::move(h), n.value);
  }
};

using Term = Number<struct TermTag>;          // Raft's term; 0 before the first election.
using LogIndex = Number<struct LogIndexTag>;  // Position in the log; the first entry has 1.
using NodeId = Number<struct NodeIdTag>;      // 1 to kNodesMax; 0 means none.

// Time inside the log: microseconds since the Unix epoch as stamped by the leader. Strictly
// increasing from entry to entry, the same on every node; never compare it with a local clock.
struct LogTime {
  int64_t us = 0;
  constexpr auto operator<=>(const LogTime&) const = default;
};

}  // namespace holdfast
