#include "src/node/checkpoint_install.h"

#include <gtest/gtest.h>

namespace holdfast::node {
namespace {

CheckpointManifest Example() {
  CheckpointManifest manifest;
  manifest.set_index(50);
  manifest.set_index_term(3);
  manifest.set_leader_term(4);
  CheckpointFile* file = manifest.add_files();
  file->set_name("CURRENT");
  file->set_bytes(16);
  return manifest;
}

std::string Hex(const std::string& bytes) {
  std::string hex;
  for (const char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<uint8_t>(byte) >> 4];
    hex += kDigits[static_cast<uint8_t>(byte) & 15];
  }
  return hex;
}

TEST(PendingCheckpoint, GoldenBytes) {
  const std::string bytes = EncodePending(Example());
  EXPECT_EQ(Hex(bytes),
            "1032"
            "1803"
            "2004"
            "2a0b"
            "0a0743555252454e54"
            "1010"
            "3122e022ba06092203");
  const auto back = DecodePending(bytes);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->index(), 50u);
  EXPECT_EQ(back->files(0).name(), "CURRENT");
}

TEST(PendingCheckpoint, AnyFlippedBitIsFound) {
  const std::string bytes = EncodePending(Example());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(DecodePending(damaged)) << "bit " << bit;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto found = DecodePending(bytes.substr(0, size));
    // Cut off exactly before the checksum it is what builds wrote that knew of none.
    EXPECT_EQ(found.has_value(), size + 9 == bytes.size()) << size;
  }
}

}  // namespace
}  // namespace holdfast::node
