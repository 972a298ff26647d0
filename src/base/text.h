// Text from outside.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace holdfast {

// Whether text that parsing has found to be UTF-8 has control characters: C0, DEL and C1. Eight
// bytes at a time as long as they are plain: every id of every transfer comes through here.
inline bool HasControlCharacter(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kTops = 0x8080808080808080;
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t bytes;
    std::memcpy(&bytes, text.data() + i, 8);
    const uint64_t below_space = (bytes - kOnes * 0x20) & ~bytes;
    const uint64_t is_del = (bytes ^ kOnes * 0x7f) - kOnes;
    if (((bytes | below_space | is_del) & kTops) != 0) break;
  }
  for (; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) {
      return true;
    }
  }
  return false;
}

}  // namespace holdfast
