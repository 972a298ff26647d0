// import and verify against a node.
#include "services/ledger/cli/commands.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "src/cli/testing.h"
#include "src/cli/text.h"

namespace holdfast::ledger {
namespace {

using cli::Ran;

constexpr int kRows = 2'500;  // Two full batches and a part.
constexpr int kAccounts = 40;

class LedgerCommandsTest : public ::testing::Test {
 protected:
  Ran Run(std::vector<std::string> arguments) {
    arguments.push_back("--endpoints=" + node_.endpoint());
    return program_.Run(std::move(arguments));
  }
  std::string Write(const std::string& text) {
    const std::string path = folder_.path() + "/trans.asc";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  testing::TempFolder folder_;
  cli::TestNode node_;
  cli::TestProgram program_{RegisterCommands};
};

// A file as the bank wrote them, and what it comes to.
struct Sample {
  std::string text =
      "\"trans_id\";\"account_id\";\"date\";\"type\";\"operation\";\"amount\";\"balance\";"
      "\"k_symbol\";\"bank\";\"account\"\r\n";
  std::map<int, int64_t> balances;
  int64_t sum = 0;
};

Sample MakeSample() {
  constexpr std::pair<const char*, const char*> kKinds[] = {
      {"PRIJEM", "VKLAD"}, {"PRIJEM", ""},     {"PRIJEM", "PREVOD Z UCTU"},
      {"VYDAJ", "VYBER"},  {"VYBER", "VYBER"}, {"VYDAJ", "PREVOD NA UCET"}};
  std::mt19937 random(7);
  Sample sample;
  for (int i = 1; i <= kRows; ++i) {
    const auto& [type, operation] = kKinds[random() % std::size(kKinds)];
    const int account = 1 + static_cast<int>(random() % kAccounts);
    const auto amount = static_cast<int64_t>(1 + random() % 2'000'000);
    sample.text += fmt::format("{};{};9302{:02};\"{}\";\"{}\";{}.{:02};0.00;\"\";;\r\n", i, account,
                               1 + random() % 28, type, operation, amount / 100, amount % 100);
    const int64_t change = type == std::string("PRIJEM") ? amount : -amount;
    sample.balances[account] += change;
    sample.sum += change;
  }
  return sample;
}

TEST_F(LedgerCommandsTest, ImportTwiceChangesNothingAndVerifies) {
  const Sample sample = MakeSample();
  const std::string path = Write(sample.text);
  const Ran first = Run({"ledger", "import", "--format", "berka", path});
  EXPECT_EQ(first.code, cli::kExitOk) << first.err;
  EXPECT_NE(first.out.find("2,500 transactions of 40 accounts"), std::string::npos) << first.out;
  EXPECT_NE(first.out.find("accounts   43 created, 0 already there, 0 refused"), std::string::npos);
  EXPECT_NE(first.out.find("transfers  2,500 created, 0 already there, 0 refused"),
            std::string::npos);
  EXPECT_NE(first.out.find("sum        " + cli::GroupedHundredths(sample.sum) + " CZK"),
            std::string::npos);
  EXPECT_NE(first.out.find("as in the file for every account"), std::string::npos);

  const Ran second = Run({"ledger", "import", "--format", "berka", path});
  EXPECT_EQ(second.code, cli::kExitOk) << second.err;
  EXPECT_NE(second.out.find("accounts   0 created, 43 already there, 0 refused"),
            std::string::npos);
  EXPECT_NE(second.out.find("transfers  0 created, 2,500 already there, 0 refused"),
            std::string::npos);
  EXPECT_NE(second.out.find("as in the file for every account"), std::string::npos);

  for (const auto& [account, balance] : sample.balances) {
    const Ran shown =
        Run({"ledger", "get-account", "--id", "berka-" + std::to_string(account), "--compact"});
    EXPECT_NE(shown.out.find("\"balance\":" + std::to_string(balance) + ","), std::string::npos)
        << shown.out;
  }
  const Ran verified = Run({"ledger", "verify"});
  EXPECT_EQ(verified.code, cli::kExitOk) << verified.out;
  EXPECT_NE(verified.out.find("43 accounts, 2,500 journal entries"), std::string::npos)
      << verified.out;
}

TEST_F(LedgerCommandsTest, AMalformedFileIsNamedAndImportsNothing) {
  Sample sample = MakeSample();
  const std::string path =
      Write(sample.text + "1;2;3\n" + "9;9;930101;\"PRIJEM\";\"VKLAD\";x;;;;\n");
  const Ran ran = Run({"ledger", "import", "--format", "berka", path});
  EXPECT_EQ(ran.code, cli::kExitUsage);
  EXPECT_NE(ran.err.find("has 2 malformed lines; nothing was imported"), std::string::npos);
  EXPECT_NE(ran.err.find("  line 2502: has 3 columns"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("  line 2503: amount must be"), std::string::npos) << ran.err;
  EXPECT_EQ(Run({"ledger", "list-accounts", "--compact"}).out, "{\"accounts\":[]}\n");
  EXPECT_EQ(Run({"ledger", "import", "--format", "berka", path + ".none"}).code, cli::kExitUsage);
  EXPECT_EQ(Run({"ledger", "import", path}).code, cli::kExitUsage) << "the format is required";
  EXPECT_EQ(Run({"ledger", "import", "--format", "csv", path}).code, cli::kExitUsage);
}

TEST_F(LedgerCommandsTest, AccountsOfAnotherKindStopTheImportBeforeAnyTransfer) {
  ASSERT_EQ(Run({"ledger", "create-account", "--id", "berka-7", "--currency", "EUR"}).code, 0);
  const Ran ran = Run({"ledger", "import", "--format", "berka", Write(MakeSample().text)});
  EXPECT_EQ(ran.code, cli::kExitRefused);
  EXPECT_NE(ran.err.find("account berka-7: exists_with_different_currency"), std::string::npos)
      << ran.err;
  const Ran journal = Run({"ledger", "list-transfers", "--compact"});
  EXPECT_EQ(journal.out, "{\"transfers\":[]}\n");
}

TEST_F(LedgerCommandsTest, RefusedTransfersAreNamed) {
  const std::string row = "5;1;930101;\"PRIJEM\";\"VKLAD\";1.00;1.00;\"\";;\n";
  ASSERT_EQ(Run({"ledger", "import", "--format", "berka", Write(row)}).code, cli::kExitOk);
  const std::string other =
      "5;1;930101;\"PRIJEM\";\"VKLAD\";2.00;2.00;\"\";;\n"
      "6;1;930101;\"PRIJEM\";\"VKLAD\";0.00;2.00;\"\";;\n";
  const Ran ran = Run({"ledger", "import", "--format", "berka", Write(other)});
  EXPECT_EQ(ran.code, cli::kExitRefused);
  EXPECT_NE(ran.err.find("transfer berka-5: exists_with_different_amount"), std::string::npos)
      << ran.err;
  EXPECT_NE(ran.out.find("1 of them over 0.00 left out"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("not as in the file for 1 account:"), std::string::npos) << ran.out;
}

TEST_F(LedgerCommandsTest, VerifyUnderstandsEveryKindOfEntry) {
  const std::vector<std::vector<std::string>> writes = {
      {"create-account", "--id", "a", "--currency", "EUR", "--overdraft", "true"},
      {"create-account", "--id", "b", "--currency", "EUR"},
      {"create-account", "--id", "idle", "--currency", "USD"},
      {"create-transfer", "--id", "t", "--from", "a", "--to", "b", "--amount", "500"},
      {"create-transfer", "--id", "h1", "--from", "b", "--to", "a", "--amount", "90", "--pending"},
      {"create-transfer", "--id", "h2", "--from", "b", "--to", "a", "--amount", "80", "--pending"},
      {"create-transfer", "--id", "h3", "--from", "b", "--to", "a", "--amount", "70", "--pending"},
      {"post-transfer", "--id", "h1", "--amount", "40"},
      {"void-transfer", "--id", "h2"},
      {"create-transaction", "--id", "x", "--legs", R"({"from":"a","to":"b","amount":3})", "--legs",
       R"({"from":"b","to":"a","amount":1})"},
      {"reverse-transfer", "--id", "x", "--reversal-id", "x-back"},
      {"reverse-transfer", "--id", "h1", "--reversal-id", "h1-back"},
      {"pay", "--transaction-id", "p", "--from-account", "c", "--to-account", "d", "--amount",
       "9"}};
  for (std::vector<std::string> write : writes) {
    write.insert(write.begin(), "ledger");
    const Ran ran = Run(write);
    ASSERT_EQ(ran.code, cli::kExitOk) << write[1] << ": " << ran.err;
  }
  const Ran verified = Run({"ledger", "verify"});
  EXPECT_EQ(verified.code, cli::kExitOk) << verified.out << verified.err;
  EXPECT_NE(verified.out.find("OK: every balance"), std::string::npos) << verified.out;
  EXPECT_NE(verified.out.find("5 accounts, 12 journal entries"), std::string::npos) << verified.out;
  EXPECT_EQ(Run({"ledger", "verify", "--consistency", "stale"}).code, cli::kExitUsage);
}

TEST_F(LedgerCommandsTest, AnEmptyLedgerVerifies) {
  const Ran verified = Run({"ledger", "verify"});
  EXPECT_EQ(verified.code, cli::kExitOk) << verified.out << verified.err;
}

}  // namespace
}  // namespace holdfast::ledger
