// Joins values into text. Debian's Abseil is built for C++14, so that its StrCat takes no
// std::string_view.
#pragma once

#include <spdlog/fmt/fmt.h>

#include <iterator>
#include <string>

namespace holdfast::api {

template <class... Parts>
void Append(std::string* out, const Parts&... parts) {
  (fmt::format_to(std::back_inserter(*out), "{}", parts), ...);
}

template <class... Parts>
std::string Cat(const Parts&... parts) {
  std::string out;
  Append(&out, parts...);
  return out;
}

}  // namespace holdfast::api
