// Numbers for people. No state; any thread.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast::cli {

__extension__ using Wide = __int128;  // Sums of 64-bit amounts.

// 1234567 -> "1,234,567".
std::string Grouped(Wide number);

// Minor units with two decimals: 3856786750 -> "38,567,867.50".
std::string GroupedHundredths(Wide number);

}  // namespace holdfast::cli
