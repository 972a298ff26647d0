// What the fuzz targets share. A target is a file NAME_fuzz.cc that defines
//
//   extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
//
// It decodes the bytes as the program would and stops by HOLDFAST_CHECK when the answer cannot be
// right: decoding what was encoded gives the same, an error names its place. With the preset `fuzz`
// libFuzzer calls it; in every other build replay.cc calls it with the files of corpus/NAME.
#pragma once

#include <google/protobuf/stubs/logging.h>
#include <spdlog/spdlog.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/check.h"

namespace holdfast::fuzz {

// Takes the input apart from the front. At its end numbers are 0 and texts empty, so every input
// means something.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  // Small ones and the extremes are likelier than by chance: bugs live there.
  uint64_t Number() {
    const uint8_t first = Byte();
    if (first < 0xf0) return first;
    uint64_t value = 0;
    for (int i = 0; i < (first & 7) + 1; ++i) value = value << 8 | Byte();
    return first < 0xf8 ? value : ~value;
  }
  // One byte, or two for longer ones, say how many follow.
  std::string_view Bytes() {
    size_t size = Byte();
    if (size >= 0xc0) size = (size - 0xc0) * 256 + Byte();
    return Take(size);
  }
  std::string_view Take(size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view Rest() { return Take(rest_.size()); }

 private:
  std::string_view rest_;
};

// Log lines of a million inputs help nobody.
inline const bool kQuiet = [] {
  spdlog::set_level(spdlog::level::off);
  google::protobuf::SetLogHandler(nullptr);
  return true;
}();

}  // namespace holdfast::fuzz
