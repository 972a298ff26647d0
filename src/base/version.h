#pragma once

namespace holdfast {
inline constexpr char kVersion[] = "0.1.0";
}
