// The currencies of ISO 4217 and how many digits their minor units have: cents are 2, the yen has
// none, the dinar of Kuwait 3.
//
// What the ledger exchanges goes by this table, so it is stored behaviour: a line that is added
// later counts from a version of the behaviour on (src/base/behaviour.cc), and none is changed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::money {

inline constexpr uint32_t kMinorDigitsMax = 4;

// nullopt: no currency of ISO 4217, or one that has no minor unit (gold, test codes, "none").
std::optional<uint32_t> MinorDigits(std::string_view currency);

}  // namespace holdfast::money
