#include "src/store/block.h"

#include <gtest/gtest.h>

#include <vector>

#include "src/store/testing/sample.h"

namespace holdfast::store::testing {
namespace {

using Key = std::tuple<uint64_t, int64_t, uint64_t>;
using Rows = std::vector<std::pair<Key, Position>>;

std::string OneBlock(const Rows& rows) {
  size_t next = 0;
  std::string bytes;
  EncodeBlock(rows, &next, &bytes);
  EXPECT_EQ(next, rows.size());
  return bytes;
}

Result<Rows> Decoded(std::string_view bytes, const Key& first) {
  Rows rows;
  Position row;
  auto decoded = DecodeBlock(bytes, first, &row, [&rows](const Key& key, const Position& at) {
    rows.emplace_back(key, at);
    return true;
  });
  if (!decoded) return Fail(decoded.error());
  return rows;
}

TEST(BlockTest, GoldenBytes) {
  const Rows rows = {{{7, 100, 5}, {300}}, {{7, 103, 4}, {1}}, {{7, 103, 6}, {2}}};
  // A row is its count of fields and the field; before it, what time and sequence add (zigzag).
  EXPECT_EQ(OneBlock(rows), std::string("\x01\xac\x02"
                                        "\x06\x01\x01\x01"
                                        "\x00\x04\x01\x02",
                                        11));
  EXPECT_EQ(*Decoded(OneBlock(rows), {7, 100, 5}), rows);
}

TEST(BlockTest, ABlockOfOneIsTheRow) {
  std::string row;
  EncodeRow(Position{9}, &row);
  EXPECT_EQ(OneBlock({{{1, 2, 3}, {9}}}), row);
}

TEST(BlockTest, AnyTwoKeysHaveADifference) {
  const Rows rows = {{{0, INT64_MIN, UINT64_MAX}, {1}}, {{0, INT64_MAX, 0}, {2}}};
  EXPECT_EQ(*Decoded(OneBlock(rows), std::get<0>(rows[0])), rows);
}

TEST(BlockTest, EndsAtItsBound) {
  Rows rows;
  for (uint64_t i = 0; i < 5'000; ++i) rows.push_back({{1, 0, i}, {i}});
  size_t next = 0;
  Rows found;
  while (next < rows.size()) {
    std::string bytes;
    const size_t first = next;
    EncodeBlock(rows, &next, &bytes);
    EXPECT_LT(bytes.size(), kBlockBytes + 32);
    EXPECT_GT(next, first);
    const Rows block = *Decoded(bytes, rows[first].first);
    found.insert(found.end(), block.begin(), block.end());
  }
  EXPECT_EQ(found, rows);
}

TEST(BlockTest, StopsWhereItIsTold) {
  const Rows rows = {{{1, 0, 1}, {1}}, {{1, 0, 2}, {2}}};
  Position row;
  int seen = 0;
  EXPECT_TRUE(
      DecodeBlock(OneBlock(rows), rows[0].first, &row, [&seen](const Key&, const Position&) {
        ++seen;
        return false;
      }));
  EXPECT_EQ(seen, 1);
}

TEST(BlockTest, RefusesWhatEncodingWouldNotWrite) {
  const std::string good = OneBlock({{{7, 100, 5}, {300}}, {{7, 103, 4}, {1}}});
  for (size_t size = 0; size < good.size(); ++size) {
    if (size == 3) continue;  // The first row alone is a block.
    EXPECT_FALSE(Decoded(good.substr(0, size), {7, 100, 5})) << size;
  }
  std::string backwards(
      "\x01\x01"
      "\x01\x00\x01\x01",
      6);
  EXPECT_EQ(Decoded(backwards, {7, 100, 5}).error().message,
            "the block has keys that do not ascend");
  std::string same(
      "\x01\x01"
      "\x00\x00\x01\x01",
      6);
  EXPECT_FALSE(Decoded(same, {7, 100, 5}));
}

}  // namespace
}  // namespace holdfast::store::testing
