// Which word a mistyped one was meant to be. No state; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// The candidate that `word` was probably meant to be, if any is close.
std::optional<std::string> Nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

}  // namespace holdfast
