#include "src/store/key_sorter.h"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::store {
namespace {

std::vector<std::string> Sorted(const std::vector<std::string>& keys) {
  KeySorter<std::string> sorter(keys.size());
  for (const std::string& key : keys) {
    sorter.Add(&key, [&key](std::string* out) { out->append(key); });
  }
  sorter.Sort();
  std::vector<std::string> result;
  for (const auto& entry : sorter.entries()) {
    EXPECT_EQ(sorter.key(entry), *entry.row);
    result.emplace_back(sorter.key(entry));
  }
  return result;
}

TEST(KeySorterTest, NothingAndOne) {
  EXPECT_TRUE(Sorted({}).empty());
  EXPECT_EQ(Sorted({"only"}), std::vector<std::string>{"only"});
}

// Bytes of all values, keys that begin others, zeros at the end.
TEST(KeySorterTest, SortsAsBytesDo) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const std::string prefix(random() % 12, 'p');
    std::vector<std::string> keys;
    for (size_t i = 0; i < 200; ++i) {
      std::string key = prefix;
      for (size_t length = random() % 14; length > 0; --length) {
        constexpr char kBytes[] = {'\0', '\x01', 'a', 'b', '\x7f', '\x80', '\xff'};
        key.push_back(kBytes[random() % sizeof(kBytes)]);
      }
      keys.push_back(std::move(key));
    }
    std::vector<std::string> expected = keys;
    std::sort(expected.begin(), expected.end());
    ASSERT_EQ(Sorted(keys), expected);
  }
}

}  // namespace
}  // namespace holdfast::store
