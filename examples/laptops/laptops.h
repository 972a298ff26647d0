// What the server and the client agree on: which ports a server has.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace laptops {

// Clients dial the port that a server is started with. Behind it are two more: where the servers
// speak to one another, and HTTP for people, scripts and monitoring.
inline constexpr uint64_t kPeerPortAfter = 1'000;
inline constexpr uint64_t kHttpPortAfter = 2'000;
inline constexpr uint64_t kPortMax = 65'535 - kHttpPortAfter;

// A whole number and nothing else.
inline std::optional<uint64_t> ParseNumber(std::string_view text, uint64_t min, uint64_t max) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (number < min || number > max) return std::nullopt;
  return number;
}

// The name may stand for an IPv6 address, which a server that listens on 127.0.0.1 does not have.
inline std::string HostOf(const std::string& name) {
  return name == "localhost" ? "127.0.0.1" : name;
}

}  // namespace laptops
