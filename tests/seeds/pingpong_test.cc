// The ping-pong game server of seed 0 as it is written there: two players send ping and pong to
// each other over a server, which waits for both before either sees anything. Two programs, three
// nodes.
#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <sstream>
#include <vector>

#include "tests/support/http_client.h"
#include "tests/support/process_cluster.h"
#include "tests/support/run_program.h"

namespace holdfast {
namespace {

using testing::Ended;
using testing::HttpClient;
using testing::JsonField;
using testing::ProcessCluster;
using testing::RunHoldfast;

// The lines that begin with "round N: ", without those of who is waited for.
std::vector<std::string> ResultsIn(const std::string& output) {
  std::vector<std::string> lines;
  std::istringstream in(output);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("round ") && line.find("waiting") == std::string::npos) {
      lines.push_back(line);
    }
  }
  return lines;
}

class PingPongTest : public ::testing::Test {
 protected:
  PingPongTest() : cluster_(3) {}

  void SetUp() override {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.WaitHealthy()) << cluster_.LogOf(1);
  }

  std::string Node(int node) const { return "127.0.0.1:" + std::to_string(cluster_.grpc(node)); }
  std::future<Ended> Play(int node, const std::string& arguments) {
    return std::async(std::launch::async, RunHoldfast, "pingpong " + Node(node) + " " + arguments);
  }
  std::string Told(const std::string& field) {
    return JsonField(HttpClient(cluster_.http(3)).Get("/v1/rounds/pingpong").body, field);
  }
  // Until the game says so; false: not within some seconds.
  bool Becomes(const std::string& field, const std::string& value) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(8);
    while (std::chrono::steady_clock::now() < until) {
      if (Told(field) == value) return true;
      // Looks again when a round has ended, which none may, or a little later.
      HttpClient(cluster_.http(3))
          .Get("/v1/rounds/pingpong/results?after=1000&wait_ms=20&id=" + Told("id"));
    }
    return false;
  }

  ProcessCluster cluster_;
};

TEST_F(PingPongTest, TheServerWaitsForBothAndBothSeeTheSame) {
  auto ann = Play(1, "--player ann --rounds 4");
  EXPECT_TRUE(Becomes("moved", "1"));
  EXPECT_EQ(Told("rounds_ended"), "0") << "it waits for bob";
  for (const char* path : {"/v1/rounds/pingpong", "/v1/rounds/pingpong/results", "/v1/rounds"}) {
    const std::string body = HttpClient(cluster_.http(2)).Get(path).body;
    EXPECT_EQ(body.find("\"ping\""), std::string::npos) << "ann's move is a secret: " << body;
  }
  auto bob = Play(2, "--player bob --rounds 4");
  const Ended first = ann.get(), second = bob.get();
  EXPECT_EQ(first.code, 0) << first.output;
  EXPECT_EQ(second.code, 0) << second.output;
  EXPECT_NE(first.output.find("waiting for another player to join pingpong"), std::string::npos)
      << first.output;
  const std::vector<std::string> results = ResultsIn(first.output);
  EXPECT_EQ(results, (std::vector<std::string>{
                         "round 1: ann ping, bob pong", "round 2: ann pong, bob ping",
                         "round 3: ann ping, bob pong", "round 4: ann pong, bob ping"}));
  EXPECT_EQ(ResultsIn(second.output), results);

  // A new game of the same name, by others, and by what they type.
  const auto typed = [&](int node, const std::string& player, const std::string& text) {
    const std::string path = cluster_.data(node) + "-" + player;
    std::ofstream(path) << text;
    return Play(node, "--player " + player + " < " + path);
  };
  auto carl = typed(3, "carl", "ping\n\nsmash \x1b[2J!\n");
  EXPECT_TRUE(Becomes("moved", "1"));
  auto dora = typed(1, "dora", "pong\n\nlob\n");
  const Ended third = carl.get(), fourth = dora.get();
  EXPECT_EQ(third.code, 0) << third.output;
  EXPECT_EQ(fourth.code, 0) << fourth.output;
  EXPECT_EQ(
      ResultsIn(third.output),
      (std::vector<std::string>{"round 1: carl ping, dora pong", "round 2: carl pong, dora ping",
                                "round 3: carl smash ^[[2J!, dora lob"}));
  EXPECT_EQ(ResultsIn(fourth.output), ResultsIn(third.output));
}

}  // namespace
}  // namespace holdfast
