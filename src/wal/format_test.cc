#include "src/wal/format.h"

#include <gtest/gtest.h>

namespace holdfast::wal {
namespace {

constexpr uint64_t kSalt = 0x0123456789abcdef;

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0 && i % 8 == 0) hex += ' ';
    hex += kDigits[static_cast<unsigned char>(bytes[i]) >> 4];
    hex += kDigits[static_cast<unsigned char>(bytes[i]) & 15];
  }
  return hex;
}

RecordHeader SomeHeader() {
  return {.type = RecordType::kConfiguration,
          .index = LogIndex(0x1122),
          .term = Term(7),
          .group = 0x33,
          .position = 1,
          .group_records = 3};
}

// The bytes of docs/formats/log.md. If one of these fails, logs that are out there can no longer be
// read: raise kFormatVersion instead.
TEST(FormatTest, GoldenRecord) {
  std::string bytes;
  AppendRecord(SomeHeader(), "hello", kSalt, &bytes);
  EXPECT_EQ(Hex(bytes),
            "ad911b0462b3264d 8fc743f43e99ec9d 0500000003000000 2211000000000000 "
            "0700000000000000 3300000000000000 0100000003000000 68656c6c6f000000");
}

TEST(FormatTest, GoldenStateSlot) {
  const LogState state{.hard = {Term(5), NodeId(2)},
                       .lowest_segment = 3,
                       .lowest_group = 40,
                       .first = LogIndex(500),
                       .durable_group = 77};
  EXPECT_EQ(Hex(EncodeStateSlot(9, state, kSalt)),
            "c160bc6ef89bd265 0900000000000000 0500000000000000 0200000000000000 "
            "0300000000000000 2800000000000000 f401000000000000 4d00000000000000");
}

TEST(FormatTest, AStateThatNoLogIsInIsNoSlot) {
  const auto decodes = [](const LogState& state) {
    return DecodeStateSlot(EncodeStateSlot(9, state, kSalt), kSalt).has_value();
  };
  EXPECT_TRUE(decodes({}));
  EXPECT_FALSE(decodes({.lowest_segment = 0}));
  EXPECT_FALSE(decodes({.lowest_group = 0}));
  EXPECT_FALSE(decodes({.first = LogIndex(0)}));
  EXPECT_FALSE(decodes({.first = LogIndex(UINT64_MAX)}));
}

TEST(FormatTest, GoldenHeaders) {
  const std::string segment = EncodeSegmentHeader({kSalt, 2, 64 << 20});
  EXPECT_EQ(Hex(segment.substr(0, 48)),
            "484f4c4446534547 0100000000000000 efcdab8967452301 0200000000000000 "
            "0000000400000000 5618a23e4b354e15");
  EXPECT_EQ(segment.substr(48), std::string(kPageBytes - 48, '\0'));
  const std::string state = EncodeStateHeader(kSalt);
  EXPECT_EQ(Hex(state.substr(0, 32)),
            "484f4c44464c4f47 0100000000000000 efcdab8967452301 b867dd6d415087cf");
  EXPECT_EQ(state.substr(32), std::string(kPageBytes - 32, '\0'));
}

TEST(FormatTest, WhatIsWrittenIsRead) {
  std::string bytes;
  AppendRecord(SomeHeader(), "hello", kSalt, &bytes);
  ASSERT_EQ(bytes.size(), RecordBytes(5));
  const auto header = DecodeRecordHeader(bytes, kSalt);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->length, 5u);
  EXPECT_EQ(header->type, RecordType::kConfiguration);
  EXPECT_EQ(header->index, LogIndex(0x1122));
  EXPECT_EQ(header->term, Term(7));
  EXPECT_EQ(header->group, 0x33u);
  EXPECT_EQ(header->position, 1u);
  EXPECT_EQ(header->group_records, 3u);
  EXPECT_TRUE(PayloadMatches(*header, std::string_view(bytes).substr(kRecordHeaderBytes), kSalt));

  const LogState state{{Term(5), NodeId(2)}, 3, 40, LogIndex(500), 77};
  const auto slot = DecodeStateSlot(EncodeStateSlot(9, state, kSalt), kSalt);
  ASSERT_TRUE(slot);
  EXPECT_EQ(slot->sequence, 9u);
  EXPECT_EQ(slot->state, state);

  const auto segment = DecodeSegmentHeader(EncodeSegmentHeader({kSalt, 2, 1 << 20}));
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->sequence, 2u);
  EXPECT_EQ(segment->segment_bytes, uint64_t{1} << 20);
  EXPECT_EQ(*DecodeStateHeader(EncodeStateHeader(kSalt)), kSalt);
}

// Every single bit counts, padding included; and so does the salt.
TEST(FormatTest, AnyFlippedBitIsNoticed) {
  std::string record;
  AppendRecord(SomeHeader(), "hello", kSalt, &record);
  const std::string slot = EncodeStateSlot(9, LogState{}, kSalt);
  const auto record_is_good = [](const std::string& bytes, uint64_t salt) {
    const auto header = DecodeRecordHeader(bytes, salt);
    return header &&
           PayloadMatches(*header, std::string_view(bytes).substr(kRecordHeaderBytes), salt);
  };
  EXPECT_TRUE(record_is_good(record, kSalt));
  EXPECT_FALSE(record_is_good(record, kSalt + 1));
  for (size_t bit = 0; bit < record.size() * 8; ++bit) {
    std::string bytes = record;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(record_is_good(bytes, kSalt)) << "bit " << bit;
  }
  EXPECT_FALSE(DecodeStateSlot(slot, kSalt + 1));
  for (size_t bit = 0; bit < slot.size() * 8; ++bit) {
    std::string bytes = slot;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(DecodeStateSlot(bytes, kSalt)) << "bit " << bit;
  }
}

TEST(FormatTest, ShortAndEmptyBytesAreNoRecord) {
  std::string record;
  AppendRecord(SomeHeader(), "hello", kSalt, &record);
  for (size_t n = 0; n < kRecordHeaderBytes; ++n) {
    EXPECT_FALSE(DecodeRecordHeader(std::string_view(record).substr(0, n), kSalt));
  }
  EXPECT_FALSE(DecodeRecordHeader(std::string(64, '\0'), kSalt));
  EXPECT_FALSE(DecodeStateSlot("", kSalt));
  EXPECT_FALSE(DecodeSegmentHeader(""));
  EXPECT_FALSE(DecodeStateHeader(std::string(kPageBytes, '\0')));
}

TEST(FormatTest, ANewerFormatIsNamed) {
  std::string segment = EncodeSegmentHeader({kSalt, 2, 1 << 20});
  segment[8] = 2;
  const auto refused = DecodeSegmentHeader(segment);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "segment has format version 2, this build reads version 1");
  std::string state = EncodeStateHeader(kSalt);
  state[8] = 9;
  ASSERT_FALSE(DecodeStateHeader(state));
  EXPECT_EQ(DecodeStateHeader(state).error().message,
            "state file has format version 9, this build reads version 1");
}

}  // namespace
}  // namespace holdfast::wal
