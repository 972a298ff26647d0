// The event file, and a run of it against a node. Several nodes: tests/cluster/branches_test.cc.
#include "services/ledger/cli/branches.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "services/ledger/cli/commands.h"
#include "src/cli/testing.h"

namespace holdfast::ledger {
namespace {

constexpr char kBranches[] =
    R"({"id":1,"type":"branch","balance":50},{"id":2,"type":"branch","balance":50})";

std::string FileOf(const std::string& events) {
  return R"([{"id":7,"type":"customer","events":[)" + events + "]}," + kBranches + "]";
}

std::string WrongOf(const std::string& json) {
  const auto file = ParseBranches(json);
  return file ? "" : file.error().field + ": " + file.error().message;
}

TEST(BranchesFileTest, NamesTheEventThatIsWrong) {
  EXPECT_EQ(WrongOf(FileOf(R"({"id":1,"interface":"query","branch":2})")), "");
  const std::string first = "entries[0].events[0].";
  EXPECT_EQ(WrongOf(FileOf(R"({"id":9,"interface":"deposit","branch":1})")),
            first + "money: is missing, and a deposit needs it: customer 7, event 1 (id 9)");
  EXPECT_EQ(WrongOf(FileOf(R"({"interface":"withdraw","branch":1,"money":0})")),
            first + "money: must be at least 1: customer 7, event 1");
  EXPECT_EQ(WrongOf(FileOf(R"({"id":1,"interface":"query","branch":1,"money":3})")),
            first + "money: a query moves none: customer 7, event 1 (id 1)");
  EXPECT_EQ(WrongOf(FileOf(R"({"id":1,"interface":"query","branch":1},
                              {"id":2,"interface":"query","branch":3})")),
            "entries[0].events[1].branch: the file has no branch 3: customer 7, event 2 (id 2)");
  EXPECT_EQ(WrongOf(FileOf(R"({"id":1,"interface":"query"})")),
            first + "branch: is missing: customer 7, event 1 (id 1)");
  EXPECT_EQ(WrongOf(FileOf(R"({"id":1,"interface":"borrow","branch":1})")),
            first +
                "interface: must be query, deposit or withdraw, and is 'borrow': customer 7, "
                "event 1 (id 1)");
}

TEST(BranchesFileTest, NamesTheEntryThatIsWrong) {
  EXPECT_EQ(WrongOf(R"([{"id":1,"type":"bank"}])"), "entries[0].type: must be customer or branch");
  EXPECT_EQ(WrongOf(R"([{"type":"branch"}])"), "entries[0].id: is missing");
  EXPECT_EQ(WrongOf(R"([{"id":0,"type":"branch"}])"), "entries[0].id: must be at least 1");
  EXPECT_EQ(WrongOf(R"([{"id":1,"type":"branch"},{"id":1,"type":"branch"}])"),
            "entries[1].id: branch 1 is there twice");
  EXPECT_EQ(WrongOf(R"([{"id":1,"type":"branch","balance":-1}])"),
            "entries[0].balance: must be at least 0");
  EXPECT_NE(WrongOf(R"([{"id":1,"type":"branch","balance":1},{"id":2,"type":"branch"}])")
                .find("entries[1].balance: differs"),
            std::string::npos);
  EXPECT_NE(WrongOf("{}"), "");
  EXPECT_NE(WrongOf("[{]"), "");
  EXPECT_NE(WrongOf("[]} "), "") << "what closes the wrapping does not count";
}

class BranchesTest : public ::testing::Test {
 protected:
  cli::Ran Run(const std::string& events, std::vector<std::string> more = {}) {
    const std::string path = folder_.path() + "/input.json";
    std::ofstream(path, std::ios::binary) << FileOf(events);
    more.insert(more.begin(), {"branches", "run", path});
    more.push_back("--endpoints=" + node_.endpoint());
    return program_.Run(std::move(more));
  }

  testing::TempFolder folder_;
  cli::TestNode node_;
  cli::TestProgram program_{RegisterCommands};
};

constexpr char kEvents[] = R"({"id":1,"interface":"query","branch":2},
    {"id":2,"interface":"deposit","branch":1,"money":400},
    {"id":3,"interface":"withdraw","branch":2,"money":451},
    {"id":4,"interface":"withdraw","branch":2,"money":450},
    {"id":5,"interface":"query","branch":1})";
constexpr char kResults[] = R"([
  {"id":7,"recv":[{"interface":"query","branch":2,"balance":50}]},
  {"id":7,"recv":[{"interface":"deposit","branch":1,"result":"success"}]},
  {"id":7,"recv":[{"interface":"withdraw","branch":2,"result":"fail"}]},
  {"id":7,"recv":[{"interface":"withdraw","branch":2,"result":"success"}]},
  {"id":7,"recv":[{"interface":"query","branch":1,"balance":0}]}
]
)";

TEST_F(BranchesTest, WritesAnObjectForEachEvent) {
  const cli::Ran ran = Run(kEvents);
  EXPECT_EQ(ran.code, cli::kExitOk) << ran.err;
  EXPECT_EQ(ran.out, kResults);
  EXPECT_NE(ran.err.find("customer 7: last wrote at log position "), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("5 events, 1 refused, of 1 customers at 2 branches on 1 nodes"),
            std::string::npos)
      << ran.err;
  EXPECT_EQ(Run(kEvents).out, kResults) << "every run begins anew";
}

TEST_F(BranchesTest, WritesIntoAFile) {
  const std::string path = folder_.path() + "/output.json";
  const cli::Ran ran = Run(kEvents, {"--output", path, "-v"});
  EXPECT_EQ(ran.code, cli::kExitOk) << ran.err;
  std::ostringstream written;
  written << std::ifstream(path, std::ios::binary).rdbuf();
  EXPECT_EQ(written.str(), kResults);
  EXPECT_NE(ran.out.find("every query saw"), std::string::npos) << ran.out;
  EXPECT_NE(ran.err.find("customer 7, event 5 (id 5): query at branch 1"), std::string::npos)
      << ran.err;
}

TEST_F(BranchesTest, SaysWhatIsMissing) {
  EXPECT_EQ(program_.Run({"branches", "run", folder_.path() + "/none.json"}).code, cli::kExitUsage);
  const cli::Ran wrong = Run(R"({"id":1,"interface":"deposit","branch":1})");
  EXPECT_EQ(wrong.code, cli::kExitUsage);
  EXPECT_NE(wrong.err.find("customer 7, event 1 (id 1)"), std::string::npos) << wrong.err;
  const cli::Ran alone = Run(kEvents, {"--hold-back", "100"});
  EXPECT_EQ(alone.code, cli::kExitUnavailable);
  EXPECT_NE(alone.err.find("no follower to hold back"), std::string::npos) << alone.err;
  EXPECT_EQ(Run(kEvents, {"--hold-back", "5001"}).code, cli::kExitUsage);
}

}  // namespace
}  // namespace holdfast::ledger
