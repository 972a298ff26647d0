// Golden bytes of what is stored for ever (docs/formats/entry.md). A failure here is a change of
// format, not a test to be adjusted.
#include <gtest/gtest.h>

#include "src/state_machine/testing/sample.h"

namespace holdfast::state_machine {
namespace {

using namespace testing;  // NOLINT: the sample service and its messages.

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char byte : bytes) {
    if (!hex.empty()) hex += ' ';
    hex += kDigits[static_cast<uint8_t>(byte) >> 4];
    hex += kDigits[static_cast<uint8_t>(byte) & 15];
  }
  return hex;
}

using Row = std::pair<std::string, std::string>;

// The rows of one of the machine's tables, as (key, row) in hex.
std::vector<Row> RowsOf(MachineOnDisk& node, uint8_t table) {
  std::vector<Row> rows;
  for (const auto& [key, row] : node.Rows({0, table})) rows.emplace_back(Hex(key), Hex(row));
  return rows;
}

// The example of the document.
TEST(FormatTest, Entry) {
  LogEntry entry;
  entry.set_time_us(1'763'715'600'000'000);
  LogRequest* request = entry.add_requests();
  request->set_service(1);
  request->set_method(1);
  request->set_idempotency_key("7f3a");
  request->set_body("\x0a\x06visits\x10\x05");
  EXPECT_EQ(Hex(entry.SerializeAsString()),
            "08 80 c8 ca ce f0 82 91 03 "
            "12 16 08 01 10 01 1a 04 37 66 33 61 2a 0a 0a 06 76 69 73 69 74 73 10 05");
  request->set_principal("me");
  EXPECT_EQ(Hex(request->SerializeAsString()),
            "08 01 10 01 1a 04 37 66 33 61 22 02 6d 65 2a 0a 0a 06 76 69 73 69 74 73 10 05");
}

TEST(FormatTest, PositionRow) {
  MachineOnDisk node;
  node.Apply(300);
  // An entry that changes nothing: XXH3-64 of (0, 1, 2d06800538d394c2), the last that of no bytes.
  EXPECT_EQ(node.machine().position().digest, 0xB7AE726B74ED6F2Eu);
  EXPECT_EQ(RowsOf(node, 1), (std::vector<Row>{{"00 00 00 00 00 00 00 00",
                                                "03"      // Three fields:
                                                " 01"     // entry 1,
                                                " d8 04"  // 300 us,
                                                " ae de b5 a7 b7 cd 9c d7 b7 01"}}));  // digest.
}

TEST(FormatTest, IdempotencyRowAndItsTimer) {
  MachineOnDisk node;
  const std::string key("k\0y", 3);
  node.Apply(300, {RequestOf(PutOf("a", 5), key, "me")});
  EXPECT_EQ(RowsOf(node, 2),
            (std::vector<Row>{{"f0 01 02 6d 65 6b 00 ff 79 00 00",  // Put, 2, "me", key.
                               "03"
                               // XXH3-128 of the request, 0a 01 61 10 05.
                               " c6 e1 f1 83 af e1 cb ea d0 01 90 f5 d4 c4 db a1 d5 3b"
                               " 05 10 05 18 ac 02"}}));  // Reply: total 5 at 300 us.
  EXPECT_EQ(RowsOf(node, 3), (std::vector<Row>{{"80 00 00 14 1d d7 61 2c"   // 24 h later,
                                                " 00 00 00 00 00 00 00 00"  // the machine's,
                                                " f0 01 02 6d 65 6b 00 ff 79 00 00",
                                                "00"}}));
}

// The example of the document.
TEST(FormatTest, BehaviourStepAndItsRow) {
  MachineOnDisk node;
  node.Apply(300);
  const std::string entry = StepOf(1'763'715'600'000'000, 2, "0.1.0").SerializeAsString();
  EXPECT_EQ(Hex(entry), "08 80 c8 ca ce f0 82 91 03 1a 09 08 02 12 05 30 2e 31 2e 30");
  node.Apply(entry);
  EXPECT_EQ(RowsOf(node, 4),
            (std::vector<Row>{{"00 00 00 00 00 00 00 00", "03 02 02 05 30 2e 31 2e 30"}}));
}

TEST(FormatTest, TimerRow) {
  MachineOnDisk node;
  node.Apply(300, {RequestOf(RingOf("a", 500)), RequestOf(RingOf("b", -2))});
  EXPECT_EQ(RowsOf(node, 3),
            (std::vector<Row>{{"7f ff ff ff ff ff ff fe 00 00 00 00 00 00 00 f0 62 00 00", "00"},
                              {"80 00 00 00 00 00 01 f4 00 00 00 00 00 00 00 f0 61 00 00", "00"}}));
}

}  // namespace
}  // namespace holdfast::state_machine
