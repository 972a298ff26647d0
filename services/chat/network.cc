#include "services/chat/network.h"

#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <utility>

namespace holdfast::chat {
namespace {

uint64_t Chance(const ReceiveRequest& request, const char* what, uint64_t number) {
  const std::string text = what + (" " + std::to_string(number)) + " " + request.room();
  return XXH3_64bits_withSeed(text.data(), text.size(), request.seed());
}

struct Arrival {
  uint64_t place;  // Among those that are under way for as long.
  Message message;
};

Arrival Arrive(const ReceiveRequest& request, Message message, bool again) {
  const uint64_t number = message.number();
  const uint64_t delay = Chance(request, again ? "again-delay" : "delay", number);
  message.set_delay_ms(static_cast<uint32_t>(delay % (uint64_t{request.delay_ms_max()} + 1)));
  message.set_again(again);
  return {Chance(request, again ? "again-place" : "place", number), std::move(message)};
}

}  // namespace

bool PlaysANetwork(const ReceiveRequest& request) {
  return request.delay_ms_max() != 0 || request.shuffle() || request.duplicate_percent() != 0 ||
         request.lose_percent() != 0;
}

std::vector<Message> Arrivals(const ReceiveRequest& request, std::vector<Message> messages) {
  std::vector<Arrival> arrivals;
  for (Message& message : messages) {
    const uint64_t number = message.number();
    if (Chance(request, "lose", number) % 100 < request.lose_percent()) continue;
    const bool twice = Chance(request, "again", number) % 100 < request.duplicate_percent();
    if (twice) {
      arrivals.push_back(Arrive(request, message, false));
      arrivals.push_back(Arrive(request, std::move(message), true));
    } else {
      arrivals.push_back(Arrive(request, std::move(message), false));
    }
  }
  if (request.shuffle()) {
    std::sort(arrivals.begin(), arrivals.end(), [](const Arrival& a, const Arrival& b) {
      const auto key = [](const Arrival& arrival) {
        return std::tuple(arrival.message.delay_ms(), arrival.place, arrival.message.number(),
                          arrival.message.again());
      };
      return key(a) < key(b);
    });
  }
  std::vector<Message> arrived;
  uint32_t delay_ms = 0;
  for (Arrival& arrival : arrivals) {
    // Nothing overtakes what is in front of it.
    delay_ms = std::max(delay_ms, arrival.message.delay_ms());
    arrival.message.set_delay_ms(delay_ms);
    arrived.push_back(std::move(arrival.message));
  }
  return arrived;
}

}  // namespace holdfast::chat
