#include "src/store/codec.h"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::store {
namespace {

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<uint8_t>(byte) >> 4];
    hex += kDigits[static_cast<uint8_t>(byte) & 15];
  }
  return hex;
}

template <class Key>
std::string KeyBytes(const Key& key) {
  std::string bytes;
  EncodeKey(key, &bytes);
  return bytes;
}

template <class Row>
std::string RowBytes(const Row& row) {
  std::string bytes;
  EncodeRow(row, &bytes);
  return bytes;
}

enum class Colour : uint8_t { kRed = 1, kBlue = 200 };
enum class Level : int32_t { kLow = -5 };

struct Inner {
  uint32_t id = 0;
  std::string text = "default";
  auto Fields() { return std::tie(id, text); }
  auto Fields() const { return std::tie(id, text); }
  bool operator==(const Inner&) const = default;
};

struct Everything {
  bool flag = false;
  uint8_t small = 0;
  int64_t big = 0;
  uint64_t huge = 0;
  std::string text;
  Colour colour = Colour::kRed;
  Level level = Level::kLow;
  std::optional<int32_t> maybe;
  std::vector<Inner> list;
  std::map<std::string, std::vector<uint16_t>> map;
  std::vector<bool> bits;
  Inner inner;
  LogIndex index;
  LogTime time;
  auto Fields() {
    return std::tie(flag, small, big, huge, text, colour, level, maybe, list, map, bits, inner,
                    index, time);
  }
  auto Fields() const {
    return std::tie(flag, small, big, huge, text, colour, level, maybe, list, map, bits, inner,
                    index, time);
  }
  bool operator==(const Everything&) const = default;
};

Everything Sample() {
  Everything row;
  row.flag = true;
  row.small = 255;
  row.big = std::numeric_limits<int64_t>::min();
  row.huge = std::numeric_limits<uint64_t>::max();
  row.text = std::string("a\0b", 3);
  row.colour = Colour::kBlue;
  row.maybe = -7;
  row.list = {{1, "one"}, {2, ""}};
  row.map = {{"", {}}, {"k", {1, 300}}};
  row.bits = {true, false, true};
  row.inner = {300, "x"};
  row.index = LogIndex(9);
  row.time = LogTime{-1};
  return row;
}

// --- Golden bytes: what is on disk somewhere. A test here never changes; formats are added.

TEST(CodecGolden, Keys) {
  EXPECT_EQ(Hex(KeyBytes(uint64_t{0x0102030405060708})), "0102030405060708");
  EXPECT_EQ(Hex(KeyBytes(int64_t{0})), "8000000000000000");
  EXPECT_EQ(Hex(KeyBytes(int64_t{-1})), "7fffffffffffffff");
  EXPECT_EQ(Hex(KeyBytes(int64_t{258})), "8000000000000102");
  EXPECT_EQ(Hex(KeyBytes(std::string())), "0000");
  EXPECT_EQ(Hex(KeyBytes(std::string("a\0b", 3))), "6100ff620000");
  EXPECT_EQ(Hex(KeyBytes(std::tuple(std::string("eur"), uint64_t{7}))),
            "65757200000000000000000007");
  EXPECT_EQ(Hex(KeyBytes(LogIndex(5))), "0000000000000005");
}

TEST(CodecGolden, Row) {
  EXPECT_EQ(Hex(RowBytes(Sample())),
            "0e"                    // 14 fields
            "01"                    // flag
            "ff01"                  // small
            "ffffffffffffffffff01"  // big, zigzag
            "ffffffffffffffffff01"  // huge
            "03610062"              // text
            "c801"                  // colour
            "09"                    // level, zigzag
            "010d"                  // maybe
            "02"                    // list: 2
            "0201036f6e65"          //   2 fields: 1, "one"
            "020200"                //   2 fields: 2, ""
            "02"                    // map: 2
            "0000"                  //   "": no numbers
            "016b0201ac02"          //   "k": 1, 300
            "03010001"              // bits
            "02ac020178"            // inner
            "09"                    // index
            "01");                  // time, zigzag
}

// --- Round trips

TEST(Codec, RowsComeBackAsTheyWent) {
  Everything row;
  ASSERT_TRUE(DecodeRow(RowBytes(Sample()), &row));
  EXPECT_EQ(row, Sample());
  ASSERT_TRUE(DecodeRow(RowBytes(Everything{}), &row));
  EXPECT_EQ(row, Everything{});
}

TEST(Codec, NumbersComeBackAtTheirLimits) {
  for (int64_t value : {std::numeric_limits<int64_t>::min(), int64_t{-129}, int64_t{-1}, int64_t{0},
                        int64_t{63}, int64_t{64}, std::numeric_limits<int64_t>::max()}) {
    int64_t back = 1;
    ASSERT_TRUE(DecodeRow(RowBytes(value), &back));
    EXPECT_EQ(back, value);
    ASSERT_TRUE(DecodeKey(KeyBytes(value), &back));
    EXPECT_EQ(back, value);
  }
}

// --- Versions

struct InnerBefore {
  uint32_t id = 0;
  auto Fields() { return std::tie(id); }
  auto Fields() const { return std::tie(id); }
};
struct OuterBefore {
  std::vector<InnerBefore> list;
  auto Fields() { return std::tie(list); }
  auto Fields() const { return std::tie(list); }
};
struct OuterAfter {
  std::vector<Inner> list;
  int64_t added = 42;
  auto Fields() { return std::tie(list, added); }
  auto Fields() const { return std::tie(list, added); }
};

TEST(Codec, FieldsAppendedLaterGetTheirDefaults) {
  OuterAfter after;
  after.list = {{9, "left over from before"}};
  after.added = 1;
  ASSERT_TRUE(DecodeRow(RowBytes(OuterBefore{{{1}, {2}}}), &after));
  EXPECT_EQ(after.list, (std::vector<Inner>{{1, "default"}, {2, "default"}}));
  EXPECT_EQ(after.added, 42);
}

TEST(Codec, RowsOfANewerVersionAreRefused) {
  OuterBefore before;
  const Result<void> decoded = DecodeRow(RowBytes(OuterAfter{}), &before);
  ASSERT_FALSE(decoded);
  EXPECT_NE(decoded.error().message.find("newer version"), std::string::npos);
}

// --- Hostile bytes

template <class Row>
std::string RowError(std::string_view bytes) {
  Row row;
  const Result<void> decoded = DecodeRow(bytes, &row);
  return decoded ? "" : decoded.error().message;
}

using namespace std::string_view_literals;

TEST(Codec, RefusesWhatEncodingWouldNotWrite) {
  EXPECT_EQ(RowError<uint64_t>(""), "the row ends too early");
  EXPECT_EQ(RowError<uint64_t>("\x80"), "the row ends too early");
  EXPECT_EQ(RowError<uint64_t>("\x01\x01"), "the row goes on after its end");
  EXPECT_EQ(RowError<uint64_t>("\x81\x00"sv), "the row has a number in a longer form than needed");
  EXPECT_EQ(RowError<uint64_t>("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
            "the row has a number longer than 64 bits");
  EXPECT_EQ(RowError<uint8_t>("\x80\x02"), "the row has a number too large for its field");
  EXPECT_EQ(RowError<int8_t>("\x80\x02"), "the row has a number too large for its field");
  EXPECT_EQ(RowError<bool>("\x02"), "the row has a number too large for its field");
  EXPECT_EQ(RowError<std::string>("\x05hey"), "the row counts more than it holds");
  EXPECT_EQ(RowError<std::vector<std::string>>("\xff\xff\xff\xff\x0f"),
            "the row counts more than it holds");
  using Map = std::map<uint64_t, uint64_t>;
  EXPECT_EQ(RowError<Map>("\x02\x01\x00\x01\x00"sv), "the row has a map whose keys do not ascend");
  std::string text;
  EXPECT_FALSE(DecodeKey("a", &text));
  EXPECT_FALSE(DecodeKey("a\0"sv, &text));
  EXPECT_FALSE(DecodeKey("a\0\x01\0\0"sv, &text));
  EXPECT_FALSE(DecodeKey("a\0\0b"sv, &text));
}

// Whatever decodes can be stored and read again; the sanitizers watch the rest.
TEST(Codec, SurvivesRandomDamage) {
  std::mt19937_64 random(1);
  const std::string good = RowBytes(Sample());
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good;
    for (uint64_t left = 1 + random() % 3; left > 0; --left) {
      const size_t at = random() % bytes.size();
      switch (random() % 3) {
        case 0: bytes[at] = static_cast<char>(random()); break;
        case 1: bytes.erase(at, 1 + random() % 4); break;
        default: bytes.insert(at, 1, static_cast<char>(random())); break;
      }
      if (bytes.empty()) bytes = "\x01";
    }
    Everything row;
    if (!DecodeRow(bytes, &row)) continue;
    ++accepted;
    Everything again;
    ASSERT_TRUE(DecodeRow(RowBytes(row), &again));
    EXPECT_EQ(again, row);
  }
  EXPECT_GT(accepted, 100);
}

// --- Order

template <class Key>
void ExpectSameOrder(const std::vector<Key>& keys) {
  for (const Key& a : keys) {
    Key back;
    ASSERT_TRUE(DecodeKey(KeyBytes(a), &back));
    EXPECT_EQ(back, a);
    for (const Key& b : keys) EXPECT_EQ(a < b, KeyBytes(a) < KeyBytes(b));
  }
}

TEST(Codec, KeysSortAsTheirBytes) {
  std::mt19937_64 random(2);
  using Tuple = std::tuple<std::string, int64_t, std::string, uint64_t>;
  const auto text = [&random] {
    static constexpr char kLetters[] = {'\0', '\0', '\x01', 'a', '\xff', '\xfe'};
    std::string out;
    for (uint64_t left = random() % 4; left > 0; --left) out += kLetters[random() % 6];
    return out;
  };
  const auto number = [&random] { return static_cast<int64_t>(random()) >> (random() % 64); };
  std::vector<Tuple> tuples;
  std::vector<int64_t> numbers;
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) {
    tuples.emplace_back(text(), number() % 3, text(), static_cast<uint64_t>(number()));
    numbers.push_back(number());
    texts.push_back(text());
  }
  ExpectSameOrder(tuples);
  ExpectSameOrder(numbers);
  ExpectSameOrder(texts);
}

}  // namespace
}  // namespace holdfast::store
