// A write that waits is carried out again when what it waits for has come, each time under a name
// of its own (docs/waiting.md). Who calls again under the same key is led along the replies that
// are kept under these names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "src/base/bounds.h"

namespace holdfast::state_machine {

// The name of the nth repeat, 1 or more: no caller's own, for theirs are printable.
inline std::string RepeatedKey(const std::string& key, uint32_t repeat) {
  return "\x01" + std::to_string(repeat) + ":" + key;
}
inline constexpr size_t kRepeatedKeyBytesMax = bounds::kIdempotencyKeyBytesMax + 12;

}  // namespace holdfast::state_machine
