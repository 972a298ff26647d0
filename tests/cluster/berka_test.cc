// Real data: 40,000 transactions of a Czech bank, imported twice by the command, and the balances
// computed here once more from the file, independently of it.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "tests/support/http_client.h"
#include "tests/support/process_cluster.h"

namespace holdfast {
namespace {

// The data lies beside the repository, in shared/, and is not part of it.
std::filesystem::path DataFile() {
  return std::filesystem::path(HOLDFAST_SOURCE_FOLDER).parent_path() /
         "shared/data/berka/trans.asc";
}

// Balance in hellers by account.
std::map<std::string, int64_t> BalancesOf(const std::filesystem::path& file) {
  std::map<std::string, int64_t> balances;
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::stringstream fields(line);
    std::string trans, account, date, type, operation, amount;
    for (std::string* field : {&trans, &account, &date, &type, &operation, &amount}) {
      std::getline(fields, *field, ';');
    }
    const size_t point = amount.find('.');
    const int64_t hellers =
        std::stoll(amount.substr(0, point)) * 100 + std::stoll(amount.substr(point + 1, 2));
    balances["berka-" + account] += type == "\"PRIJEM\"" ? hellers : -hellers;
  }
  return balances;
}

struct Output {
  int status = -1;
  std::string text;
};

Output RunCommand(const std::string& command) {
  Output output;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return output;
  char buffer[4096];
  while (size_t got = fread(buffer, 1, sizeof(buffer), pipe)) output.text.append(buffer, got);
  output.status = pclose(pipe);
  return output;
}

TEST(BerkaTest, ImportTwiceGivesTheBalancesOfTheFile) {
  if (!std::filesystem::exists(DataFile())) GTEST_SKIP() << "no " << DataFile();
  testing::ProcessCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  const std::string program = testing::ProcessCluster::Program() +
                              " --endpoints 127.0.0.1:" + std::to_string(cluster.grpc(1)) +
                              ",127.0.0.1:" + std::to_string(cluster.grpc(2)) + " ledger ";
  const std::string import = program + "import --format berka " + DataFile().string();
  const Output first = RunCommand(import);
  ASSERT_EQ(first.status, 0) << first.text;
  std::string before;
  ASSERT_TRUE(cluster.WaitEqualState(std::chrono::seconds(10), &before)) << before;
  const Output second = RunCommand(import);
  ASSERT_EQ(second.status, 0) << second.text;
  EXPECT_NE(second.text.find("0 created, 40,000 already there"), std::string::npos) << second.text;

  testing::HttpClient client(cluster.http(3));
  int64_t sum = 0;
  const auto wanted = BalancesOf(DataFile());
  for (const auto& [account, balance] : wanted) {
    const auto reply = client.Get("/v1/ledger/accounts/" + account);
    ASSERT_EQ(testing::JsonField(reply.body, "balance"), std::to_string(balance)) << account;
    sum += balance;
  }
  EXPECT_EQ(wanted.size(), 1'178u);
  EXPECT_EQ(sum, 3'856'786'750);

  const Output verified = RunCommand(program + "verify");
  EXPECT_EQ(verified.status, 0) << verified.text;
}

}  // namespace
}  // namespace holdfast
