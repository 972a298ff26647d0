// What producers, consumers and the proof agree on: which payments there are.
#pragma once

#include <charconv>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/client/client.h"

namespace exactly_once {

inline constexpr char kQueue[] = "payments";
inline constexpr char kShop[] = "shop";
inline constexpr uint64_t kPayers = 10;

// The name of a message for ever, however often it is sent or delivered.
inline std::string MessageId(uint64_t producer, uint64_t number) {
  return "p" + std::to_string(producer) + "-" + std::to_string(number);
}
inline std::string PayerOf(uint64_t number) { return "payer-" + std::to_string(number % kPayers); }
inline int64_t AmountOf(uint64_t producer, uint64_t number) {
  return static_cast<int64_t>(1 + (number * 7'919 + producer * 104'729) % 1'000);
}

// A whole number and nothing else.
inline std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Blocks until it is answered: the nodes may be killed at any time, and whoever calls goes on when
// they are back. The client makes up one idempotency key for each Call, so what an attempt did that
// was given up may be done twice; everything that is called like this has an id of its own.
template <class Reply>
Reply CallUntilAnswered(holdfast::client::Client& client, const std::string& method,
                        const google::protobuf::Message& request) {
  while (true) {
    auto reply = client.Call<Reply>(method, request);
    if (reply) return std::move(reply->message);
    std::cerr << method << ": " << reply.error().message << "; again\n";
  }
}

}  // namespace exactly_once
