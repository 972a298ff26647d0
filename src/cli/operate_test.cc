// The operator's commands, against nodes in this process and against none.
#include "src/cli/operate.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "src/base/logging.h"
#include "src/cli/nodes.h"
#include "src/cli/reference.h"
#include "src/cli/serve.h"
#include "src/cli/testing.h"
#include "tests/support/free_ports.h"

namespace holdfast::cli {
namespace {

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class OperateTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) {
    const std::string path = folder_.path() + "/holdfast.toml";
    std::ofstream(path) << text;
    return path;
  }
  // An address at which nobody listens.
  static std::string Dead() { return testing::FreeAddress(); }

  testing::TempFolder folder_;
  TestProgram program_;
};

TEST_F(OperateTest, StatusAsksAllNodes) {
  TestNode node;
  program_.Run({"counter", "add", "--name", "x", "--amount", "1", "--endpoints", node.endpoint()});
  const Ran alive = program_.Run({"status", "--endpoints", node.endpoint()});
  EXPECT_EQ(alive.code, 0) << alive.err;
  for (const char* part : {"NODE", "APPLIED", "LAG", "CHECKPOINT", "MEMORY", "leader", "yes",
                           "node 1 leads term 2; 1 of 1 nodes ready"}) {
    EXPECT_TRUE(Has(alive.out, part)) << part << "\n" << alive.out;
  }
  const std::string dead = Dead();
  const Ran half = program_.Run({"status", "--endpoints", dead + "," + node.endpoint()});
  EXPECT_EQ(half.code, 0) << "the cluster goes on";
  EXPECT_TRUE(Has(half.out, "unreachable")) << half.out;
  EXPECT_TRUE(Has(half.out, dead + ": cannot connect")) << half.out;
}

TEST_F(OperateTest, NodesThatCannotBeReachedAreAllNamed) {
  const std::string nodes = Dead() + "," + Dead();
  const Ran ran =
      program_.Run({"counter", "get", "--name", "x", "--endpoints", nodes, "--timeout", "300ms"});
  EXPECT_EQ(ran.code, kExitUnavailable);
  EXPECT_TRUE(Has(ran.err, "the nodes asked are " + nodes)) << ran.err;
}

TEST_F(OperateTest, ClockShowsWhatNodesKnow) {
  TestNode node;
  const std::string dead = Dead();
  const Ran ran = program_.Run({"clock", "--endpoints", node.endpoint() + "," + dead});
  EXPECT_EQ(ran.code, 0) << ran.err;
  for (const char* part : {"STATUS", "BOUND", "synchronised", "1 of 1", "itself", "good",
                           "unreachable", "1 of 1 nodes that answered are synchronised"}) {
    EXPECT_TRUE(Has(ran.out, part)) << part << "\n" << ran.out;
  }
  const Ran none = program_.Run({"clock", "--endpoints", dead});
  EXPECT_EQ(none.code, kExitUnavailable);
  EXPECT_TRUE(Has(none.out, "no node answered")) << none.out;
}

TEST_F(OperateTest, StatusEndsWith3WithoutALeader) {
  const Ran nobody = program_.Run({"status", "--endpoints", Dead(), "--timeout", "300ms"});
  EXPECT_EQ(nobody.code, kExitUnavailable);
  EXPECT_TRUE(Has(nobody.out, "no node answered")) << nobody.out;
  ServerConfig config;
  config.data = folder_.path() + "/data";
  config.members = {{NodeId(1), {"127.0.0.1", 0}}, {NodeId(2), {"127.0.0.1", 1}}};
  config.fatal = [](const std::string& why) { FAIL() << why; };
  auto founding = Server::Start(std::move(config));
  ASSERT_TRUE(founding) << founding.error().message;
  const std::string endpoint = "127.0.0.1:" + std::to_string((*founding)->grpc_port());
  const Ran waiting = program_.Run({"status", "--endpoints", endpoint});
  EXPECT_EQ(waiting.code, kExitUnavailable);
  EXPECT_TRUE(Has(waiting.out, "NO LEADER")) << waiting.out;
  EXPECT_TRUE(Has(waiting.out, "is not ready: the cluster is new")) << waiting.out;
}

TEST_F(OperateTest, StatusRepeatsAsOftenAsAsked) {
  TestNode node;
  const Ran ran =
      program_.Run({"status", "--count", "3", "--interval", "1ms", "--endpoints", node.endpoint()});
  size_t tables = 0;
  for (size_t at = 0; (at = ran.out.find("NODE", at)) != std::string::npos; ++at) ++tables;
  EXPECT_EQ(tables, 3U) << ran.out;
  EXPECT_EQ(program_.Run({"status", "--interval", "x"}).code, kExitUsage);
}

TEST_F(OperateTest, TopShowsRatesAndLatencies) {
  TestNode node;
  client::Client client({node.endpoint()});
  const auto write = [&] {
    return client.Call("/holdfast.counter.Counter/Add", "\x0a\x01x\x10\x01").has_value();
  };
  ASSERT_TRUE(write());
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop) write();
  });
  // Again where the machine had so much else to do that nothing was written meanwhile.
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  Ran ran;
  std::string role;
  std::string writes = "0";
  while (writes == "0" && std::chrono::steady_clock::now() < patience) {
    ran = program_.Run(
        {"top", "--count", "1", "--interval", "300ms", "--endpoints", node.endpoint()});
    std::istringstream lines(ran.out);
    std::string header;
    std::getline(lines, header);
    EXPECT_TRUE(Has(header, "WRITES/S") && Has(header, "FSYNC P50")) << header;
    std::string id;
    lines >> id >> role >> writes;
  }
  stop = true;
  writer.join();
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(role, "leader");
  EXPECT_NE(writes, "0") << ran.out;
  EXPECT_EQ(program_
                .Run({"top", "--count", "1", "--interval", "1ms", "--endpoints", Dead(),
                      "--timeout", "200ms"})
                .code,
            kExitUnavailable);
}

TEST_F(OperateTest, LevelsOfTheLogAreShownAndChanged) {
  TestNode node;
  const auto before = logging::CurrentLevels();
  const Ran changed =
      program_.Run({"log", "--level", "raft=debug", "--endpoints", node.endpoint()});
  EXPECT_EQ(changed.code, 0) << changed.err;
  EXPECT_TRUE(Has(changed.out, "debug")) << changed.out;
  EXPECT_TRUE(logging::Enabled(Component::kRaft, logging::Level::kDebug));
  EXPECT_FALSE(logging::Enabled(Component::kWal, logging::Level::kDebug));
  const Ran wrong = program_.Run({"log", "--level", "raft=loud", "--endpoints", node.endpoint()});
  EXPECT_EQ(wrong.code, kExitUsage);
  EXPECT_TRUE(Has(wrong.err, "there are trace, debug")) << wrong.err;
  logging::SetLevels(before);
}

TEST_F(OperateTest, ConfigPrintsChecksAndMerges) {
  const Ran defaults = program_.Run({"config"});
  EXPECT_EQ(defaults.code, 0);
  EXPECT_TRUE(Has(defaults.out, "# election_timeout_ms = 400")) << defaults.out;
  const std::string good = Write("[node]\nid = 3\n[cluster]\nheartbeat_ms = 50\n");
  EXPECT_EQ(program_.Run({"config", "--check", good}).code, 0);
  const Ran merged = program_.Run({"config", "--config", good, "--heartbeat-ms", "60"});
  EXPECT_EQ(merged.code, 0) << merged.err;
  for (const char* part : {"id = 3", "heartbeat_ms = 60", "http = \"127.0.0.1:8003\""}) {
    EXPECT_TRUE(Has(merged.out, part)) << merged.out;
  }
  const Ran bad = program_.Run({"config", "--check", Write("[nodes]\n[cluster]\nheartbeat = 1\n")});
  EXPECT_EQ(bad.code, kExitUsage);
  EXPECT_TRUE(Has(bad.err, "2 things are wrong")) << bad.err;
  EXPECT_TRUE(Has(bad.err, "did you mean node?") && Has(bad.err, "did you mean heartbeat_ms?"));
  const Ran flag = program_.Run({"config", "--heartbeat-ms", "3"});
  EXPECT_EQ(flag.code, kExitUsage);
  EXPECT_TRUE(Has(flag.err, "--heartbeat-ms: is '3': must be an integer from 5 to 10000 ms"));
}

// `serve` in a process of its own, since it takes over signals and the log.
int Serve(std::vector<std::string> arguments) {
  CLI::App app;
  int code = -1;
  AddServeCommand(app, &code);
  arguments.insert(arguments.begin(), "serve");
  std::reverse(arguments.begin(), arguments.end());
  app.parse(std::move(arguments));
  return code;
}

// 1 is for what the state refuses; a supervisor or a script could not tell the two apart.
TEST_F(OperateTest, AStartThatFailsIsAFaultAndAWrongFlagIsUsage) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  TestNode node;
  const std::string data = folder_.path() + "/data";
  EXPECT_EXIT(
      std::_Exit(Serve({"--data", data, "--grpc", node.endpoint(), "--http", "127.0.0.1:0"})),
      ::testing::ExitedWithCode(kExitFault), "cannot listen on");
  std::ofstream(folder_.path() + "/thesis.txt") << "years of work";
  EXPECT_EXIT(std::_Exit(Serve(
                  {"--data", folder_.path(), "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"})),
              ::testing::ExitedWithCode(kExitFault), "not a node's folder");
  EXPECT_EXIT(std::_Exit(Serve({"--data", data, "--log-segment-bytes", "5000000"})),
              ::testing::ExitedWithCode(kExitUsage), "--log-segment-bytes: is '5000000'");
}

TEST_F(OperateTest, VersionIsAFlagToo) {
  EXPECT_EQ(program_.Run({"--version"}).out, program_.Run({"version"}).out);
  EXPECT_EQ(program_.Run({"--version"}).code, 0);
}

// What bash offers after these words, the last of which is being written.
std::string Complete(const std::string& script, const std::string& words) {
  int count = -1;
  std::istringstream in(words + "|");
  for (std::string word; in >> word;) ++count;
  const std::string command = "bash -c 'source " + script + "; COMP_WORDS=(holdfast " + words +
                              "); COMP_CWORD=" + std::to_string(count + 1) +
                              "; _holdfast; echo \"${COMPREPLY[*]}\"' 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  char line[4096] = "";
  if (std::fgets(line, sizeof(line), pipe) == nullptr) line[0] = '\0';
  pclose(pipe);
  std::string text(line);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

TEST_F(OperateTest, BashCompletesCommandsAndFlags) {
  const Ran ran = program_.Run({"completion", "bash"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::string script = folder_.path() + "/completion";
  std::ofstream(script) << ran.out;
  EXPECT_EQ(Complete(script, "coun"), "counter");
  EXPECT_EQ(Complete(script, "counter a"), "add");
  EXPECT_EQ(Complete(script, "counter add --am"), "--amount");
  EXPECT_EQ(Complete(script, "--timeout 1s counter g"), "get") << "options may come first";
  EXPECT_EQ(Complete(script, "counter add --amount 5 --idem"), "--idempotency-key");
  EXPECT_EQ(Complete(script, "nonsense-of-its-own"), "");
}

TEST_F(OperateTest, OtherShellsHaveTheirs) {
  EXPECT_TRUE(program_.Run({"completion", "zsh"}).out.starts_with("#compdef holdfast"));
  const std::string fish = program_.Run({"completion", "fish"}).out;
  EXPECT_TRUE(Has(fish, "__fish_seen_subcommand_from counter")) << fish.substr(0, 2'000);
  EXPECT_EQ(program_.Run({"completion", "tcsh"}).code, kExitUsage);
}

// docs/reference is what this build would write; `holdfast reference --out docs/reference` mends
// it.
TEST_F(OperateTest, TheReferenceIsUpToDate) {
  const std::string out = folder_.path() + "/reference";
  ASSERT_EQ(program_.Run({"reference", "--out", out}).code, 0);
  const std::string kept = std::string(HOLDFAST_SOURCE_FOLDER) + "/docs/reference";
  std::set<std::string> names;
  for (const std::string& folder : {out, kept}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      names.insert(entry.path().filename().string());
    }
  }
  const auto read = [](const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  };
  EXPECT_TRUE(names.contains("ledger.md") && names.contains("configuration.md"));
  for (const std::string& name : names) {
    EXPECT_EQ(read(out + "/" + name), read(kept + "/" + name))
        << name << ": run holdfast reference --out docs/reference";
  }
}

TEST_F(OperateTest, TheReferenceNamesEveryStatusAndItsExamplesAreComplete) {
  const std::string out = folder_.path() + "/reference";
  ASSERT_EQ(program_.Run({"reference", "--out", out}).code, 0);
  const auto read = [&out](const char* name) {
    std::stringstream text;
    text << std::ifstream(out + "/" + name).rdbuf();
    return text.str();
  };
  const std::string errors = read("errors.md");
  EXPECT_TRUE(Has(errors, "404; 405 if the path takes other verbs")) << errors;
  EXPECT_TRUE(Has(errors, "413; 431 if its headers are")) << errors;
  EXPECT_TRUE(Has(read("requests.md"), "curl 'localhost:8001/v1/outcome?key=KEY'"));
  EXPECT_TRUE(Has(read("ledger.md"), "/v1/ledger/accounts/ID:close' -d '{}'"));
}

TEST(NodesTest, TablesAndFiguresForPeople) {
  EXPECT_EQ(Columns({"NODE", "NAME", "N"}, {{"1", "a", "12"}, {"-", "longer", "3"}}),
            "NODE  NAME     N\n   1  a       12\n   -  longer   3\n");
  EXPECT_EQ(BytesText(0), "0 B");
  EXPECT_EQ(BytesText(1'536), "1.5 KiB");
  EXPECT_EQ(BytesText(uint64_t{5} << 30), "5.0 GiB");
  EXPECT_EQ(AgeText(59'999), "59s");
  EXPECT_EQ(AgeText(3'600'000), "1h 0m");
  EXPECT_EQ(AgeText(90'000'000), "1d 1h");
  EXPECT_EQ(MicrosText(999), "999 us");
  EXPECT_EQ(MicrosText(1'234), "1.2 ms");
  EXPECT_EQ(MicrosText(2e6), "2.0 s");
}

}  // namespace
}  // namespace holdfast::cli
