// Points in time as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast {

// Microseconds since the Unix epoch as "2024-05-01T12:00:00.123Z", with 0 to 6 decimals, cut off.
std::string UtcText(int64_t us, int decimals);

}  // namespace holdfast
