// The events of seed 2 at the branches of a bank: right at every branch, also at one that is held
// back, and wrong there without the guarantee.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/process_cluster.h"
#include "tests/support/temp_folder.h"

namespace holdfast {
namespace {

// As the seed's own input: at each of ten branches a query, a deposit of 10 and a query, then at
// each a query, a withdrawal of 10 and a query.
constexpr int kBranches = 10;
std::string Input() {
  std::string events;
  int id = 0;
  const auto add = [&](const std::string& rest) {
    events += (id == 0 ? "" : ", ") + std::string("{\"id\": ") + std::to_string(++id) + rest + "}";
  };
  for (const char* interface : {"deposit", "withdraw"}) {
    for (int branch = 1; branch <= kBranches; ++branch) {
      const std::string at = ", \"branch\": " + std::to_string(branch);
      add(R"(, "interface": "query")" + at);
      add(R"(, "interface": ")" + std::string(interface) + R"(", "money": 10)" + at);
      add(R"(, "interface": "query")" + at);
    }
  }
  std::string json = R"([{"id": 1, "type": "customer", "events": [)" + events + "]}";
  for (int branch = 1; branch <= kBranches; ++branch) {
    json += R"(, {"id": )" + std::to_string(branch) + R"(, "type": "branch", "balance": 0})";
  }
  return json + "]";
}

// Computed here once more.
std::string Expected() {
  std::string text;
  int balance = 0;
  const auto add = [&](int branch, const std::string& interface, const std::string& result) {
    text += (text.empty() ? "[\n" : ",\n") +
            (R"(  {"id":1,"recv":[{"interface":")" + interface + R"(","branch":)" +
             std::to_string(branch) + "," + result + "}]}");
  };
  for (const int step : {10, -10}) {
    for (int branch = 1; branch <= kBranches; ++branch) {
      add(branch, "query", "\"balance\":" + std::to_string(balance));
      add(branch, step > 0 ? "deposit" : "withdraw", "\"result\":\"success\"");
      balance += step;
      add(branch, "query", "\"balance\":" + std::to_string(balance));
    }
  }
  return text + "\n]\n";
}

std::string TextOf(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

class BranchesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.WaitHealthy()) << cluster_.LogOf(1);
    std::ofstream(input_, std::ios::binary) << Input();
  }
  // The exit status; what the command said is in said_, its results in output_.
  int Run(const std::string& input, const std::string& flags) {
    std::string endpoints;
    for (int node = 1; node <= 3; ++node) {
      endpoints +=
          (node == 1 ? "" : ",") + cluster_.host(node) + ":" + std::to_string(cluster_.grpc(node));
    }
    const std::string command = testing::ProcessCluster::Program() + " branches run " + input +
                                " --output " + output_ + " --endpoints " + endpoints + " " + flags +
                                " > " + said_ + " 2>&1";
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  testing::ProcessCluster cluster_{3};
  testing::TempFolder folder_;
  const std::string input_ = folder_.path() + "/input.json";
  const std::string output_ = folder_.path() + "/output.json";
  const std::string said_ = folder_.path() + "/said";
};

TEST_F(BranchesTest, EveryBranchSeesWhatTheCustomerWrote) {
  ASSERT_EQ(Run(input_, ""), 0) << TextOf(said_);
  EXPECT_EQ(TextOf(output_), Expected());
  ASSERT_EQ(Run(input_, "--hold-back 60"), 0) << TextOf(said_);
  EXPECT_EQ(TextOf(output_), Expected()) << "a slow branch answers later, and not less";
  EXPECT_NE(TextOf(said_).find("was held back by 60 ms"), std::string::npos) << TextOf(said_);
  ASSERT_EQ(Run(input_, "--consistency linearizable"), 0) << TextOf(said_);
  EXPECT_EQ(TextOf(output_), Expected());

  // The file itself lies beside the repository, and is not part of it.
  const auto original = std::filesystem::path(HOLDFAST_SOURCE_FOLDER).parent_path() /
                        "shared/data/branches/input.json";
  if (!std::filesystem::exists(original)) return;
  ASSERT_EQ(Run(original.string(), ""), 0) << TextOf(said_);
  EXPECT_EQ(TextOf(output_), Expected());
}

TEST_F(BranchesTest, WithoutTheGuaranteeASlowBranchShowsLess) {
  ASSERT_EQ(Run(input_, "--hold-back 2000 --consistency stale"), 1) << TextOf(said_);
  EXPECT_NE(TextOf(said_).find("did not see what had been written before them; the first: "
                               "customer 1, event "),
            std::string::npos)
      << TextOf(said_);
  EXPECT_NE(TextOf(output_), Expected());
}

}  // namespace
}  // namespace holdfast
