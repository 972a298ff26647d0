// What a read may wait for: something of a service that writes touch. A name, hashed; two names
// that share a hash only cost who waits a look in vain.
#pragma once

#include <xxhash.h>

#include <cstdint>
#include <string_view>

#include "src/base/ids.h"

namespace holdfast::state_machine {

using Topic = uint64_t;

inline Topic TopicOf(uint8_t service, std::string_view name) {
  return XXH3_64bits_withSeed(name.data(), name.size(), service);
}

// An entry touched a topic: as many as `waiters` of those who wait for it have reason to look.
struct Touched {
  Topic topic = 0;
  uint32_t waiters = 0;
};
inline constexpr uint32_t kAllWaiters = UINT32_MAX;

}  // namespace holdfast::state_machine
