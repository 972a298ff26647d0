#include "src/wal/segment.h"

#include <charconv>

namespace holdfast::wal {
namespace {

constexpr std::string_view kPrefix = "segment-";
constexpr std::string_view kSuffix = ".log";
constexpr size_t kDigits = 10;  // Any 32-bit number; so names sort as numbers do.

}  // namespace

std::string SegmentName(uint32_t sequence) {
  std::string digits = std::to_string(sequence);
  digits.insert(0, kDigits - digits.size(), '0');
  return std::string(kPrefix) + digits + std::string(kSuffix);
}

std::optional<uint32_t> ParseSegmentName(std::string_view name) {
  if (name.size() != kPrefix.size() + kDigits + kSuffix.size() || !name.starts_with(kPrefix) ||
      !name.ends_with(kSuffix)) {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(kPrefix.size(), kDigits);
  uint32_t sequence = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + kDigits, sequence);
  if (error != std::errc() || end != digits.data() + kDigits || sequence == 0) return std::nullopt;
  return sequence;
}

Error Damaged(const std::string& path, uint64_t offset, const std::string& why) {
  Error error;
  error.message = path + ", offset " + std::to_string(offset) + ": " + why;
  error.hint =
      "The log is damaged there and the node does not guess what it held. Keep the folder for the "
      "report, check the disk, and replace the node.";
  return error;
}

}  // namespace holdfast::wal
