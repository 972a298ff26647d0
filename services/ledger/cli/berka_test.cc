#include "services/ledger/cli/berka.h"

#include <gtest/gtest.h>

namespace holdfast::ledger {
namespace {

std::string ErrorOf(const std::string& line) {
  const auto row = ParseBerkaRow(line);
  if (row) return "none";
  return row.error().field + ": " + row.error().message;
}

TEST(HundredthsTest, AreExact) {
  const std::pair<const char*, int64_t> good[] = {
      {"0", 0},
      {"0.00", 0},
      {"0.01", 1},
      {"700.00", 70'000},
      {"700.5", 70'050},
      {"700", 70'000},
      {"19078.29", 1'907'829},
      {"00012.30", 1'230},
      {"92233720368547758.07", INT64_MAX},  // A double would round it.
  };
  for (const auto& [text, value] : good) {
    const auto parsed = ParseHundredths(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, value) << text;
  }
  for (const char* bad :
       {"", ".", "1.", ".5", "1.234", "-1.00", "+1", "1e3", "1,00", " 1", "1 ", "0x1", "nan",
        "1.0.0", "92233720368547758.08", "99999999999999999999999999"}) {
    const auto parsed = ParseHundredths(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().field, "amount");
  }
}

TEST(SplitFieldsTest, UnderstandsQuotes) {
  using Fields = std::vector<std::string>;
  EXPECT_EQ(*SplitFields("1;2;"), (Fields{"1", "2", ""}));
  EXPECT_EQ(*SplitFields("\"a;b\";\"\";\"say \"\"hi\"\"\""), (Fields{"a;b", "", "say \"hi\""}));
  EXPECT_EQ(*SplitFields(""), (Fields{""}));
  EXPECT_FALSE(SplitFields("\"open;1"));
  EXPECT_FALSE(SplitFields("\"a\"b;1"));
  EXPECT_FALSE(SplitFields("a\"b\";1"));
  EXPECT_FALSE(SplitFields("\"a\"\"b"));
}

TEST(BerkaRowTest, BecomesATransfer) {
  const auto in = ParseBerkaRow(R"(695247;2378;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;)");
  ASSERT_TRUE(in) << in.error().message;
  const CreateTransferRequest transfer = in->ToTransfer();
  EXPECT_EQ(transfer.id(), "berka-695247");
  EXPECT_EQ(transfer.from(), "berka-cash");
  EXPECT_EQ(transfer.to(), "berka-2378");
  EXPECT_EQ(transfer.amount(), 70'000);
  EXPECT_EQ(transfer.metadata().at("date"), "1993-01-01");
  EXPECT_FALSE(transfer.pending());
}

TEST(BerkaRowTest, TypeGivesTheDirectionAndOperationTheOtherSide) {
  const auto sides = [](const std::string& type, const std::string& operation) {
    const auto row = ParseBerkaRow("1;2;930101;\"" + type + "\";\"" + operation +
                                   "\";1.00;0.00;\"UROK\";\"AB\";41403269");
    EXPECT_TRUE(row) << type << operation;
    const CreateTransferRequest transfer = row->ToTransfer();
    return transfer.from() + " > " + transfer.to();
  };
  EXPECT_EQ(sides("PRIJEM", "VKLAD"), "berka-cash > berka-2");
  EXPECT_EQ(sides("PRIJEM", "PREVOD Z UCTU"), "berka-bank > berka-2");
  EXPECT_EQ(sides("PRIJEM", ""), "berka-interest > berka-2");
  EXPECT_EQ(sides("VYDAJ", "VYBER"), "berka-2 > berka-cash");
  EXPECT_EQ(sides("VYBER", "VYBER"), "berka-2 > berka-cash");
  EXPECT_EQ(sides("VYDAJ", "VYBER KARTOU"), "berka-2 > berka-cash");
  EXPECT_EQ(sides("VYDAJ", "PREVOD NA UCET"), "berka-2 > berka-bank");
}

TEST(BerkaRowTest, AMalformedLineSaysWhatIsWrong) {
  const auto line = [](const std::string& id, const std::string& account, const std::string& date,
                       const std::string& type, const std::string& operation,
                       const std::string& amount) {
    return id + ";" + account + ";" + date + ";\"" + type + "\";\"" + operation + "\";" + amount +
           ";0.00;\"\";;";
  };
  EXPECT_EQ(ErrorOf(line("1", "2", "930101", "PRIJEM", "VKLAD", "1.00")), "none");
  EXPECT_EQ(ErrorOf(line("1", "2", "960229", "PRIJEM", "VKLAD", "1.00")), "none") << "a leap year";
  EXPECT_EQ(ErrorOf(line("x", "2", "930101", "PRIJEM", "VKLAD", "1.00")),
            "trans_id: must be a number, is 'x'");
  EXPECT_EQ(ErrorOf(line("1", "", "930101", "PRIJEM", "VKLAD", "1.00")),
            "account_id: must be a number, is ''");
  EXPECT_EQ(ErrorOf(line("1", "2", "930229", "PRIJEM", "VKLAD", "1.00")),
            "date: must be a day as YYMMDD, is '930229'");
  EXPECT_EQ(ErrorOf(line("1", "2", "931301", "PRIJEM", "VKLAD", "1.00")).substr(0, 4), "date");
  EXPECT_EQ(ErrorOf(line("1", "2", "930101", "ZISK", "VKLAD", "1.00")),
            "type: must be PRIJEM, VYDAJ or VYBER, is 'ZISK'");
  EXPECT_EQ(ErrorOf(line("1", "2", "930101", "PRIJEM", "DAR", "1.00")),
            "operation: is not known: 'DAR'");
  EXPECT_EQ(ErrorOf(line("1", "2", "930101", "PRIJEM", "VKLAD", "-1.00")),
            "amount: must be an amount with at most two decimals, is '-1.00'");
  EXPECT_EQ(ErrorOf("1;2;3"), ": has 3 columns separated by semicolons, must have 10");
}

TEST(BerkaReaderTest, SkipsTheHeaderAndNamesBadLines) {
  std::istringstream in(
      "\"trans_id\";\"account_id\";\"date\"\r\n"
      "1;2;930101;\"PRIJEM\";\"VKLAD\";1.00;1.00;\"\";;\r\n"
      "\r\n"
      "nonsense\n" +
      std::string(5'000, 'x') + "\n2;2;930101;\"VYDAJ\";\"VYBER\";0.50;0.50;\"\";;");
  BerkaReader reader(in);
  auto row = reader.Next();
  ASSERT_TRUE(row && *row);
  EXPECT_EQ((*row)->id, "berka-1");
  row = reader.Next();
  ASSERT_FALSE(row);
  EXPECT_EQ(row.error().message.substr(0, 7), "line 4:");
  row = reader.Next();
  ASSERT_FALSE(row);
  EXPECT_EQ(row.error().message, "line 5: is longer than 4096 bytes");
  row = reader.Next();
  ASSERT_TRUE(row && *row) << "reading goes on, and the last line needs no line end";
  EXPECT_EQ((*row)->amount, 50);
  row = reader.Next();
  ASSERT_TRUE(row);
  EXPECT_FALSE(*row);
}

}  // namespace
}  // namespace holdfast::ledger
