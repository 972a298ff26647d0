// Rounds go on over the death of the leader: two players by the program that users have, a watcher
// that misses and repeats nothing, and a barrier at which many processes wait at different nodes.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/support/http_client.h"
#include "tests/support/process_cluster.h"
#include "tests/support/run_program.h"

namespace holdfast {
namespace {

using Clock = std::chrono::steady_clock;
using testing::Ended;
using testing::HttpClient;
using testing::HttpReply;
using testing::JsonField;
using testing::ProcessCluster;
using testing::RunHoldfast;

constexpr uint64_t kRounds = 100;
constexpr uint64_t kRoundsBefore = 20;

class RoundsTest : public ::testing::Test {
 protected:
  RoundsTest() : cluster_(3) {}

  void SetUp() override {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.WaitHealthy()) << cluster_.LogOf(1);
  }

  std::string Nodes() const {
    std::string all;
    for (int node = 1; node <= 3; ++node) {
      all += (node == 1 ? "" : ",") + ("127.0.0.1:" + std::to_string(cluster_.grpc(node)));
    }
    return all;
  }
  // Asks one node after the other, until one answers with less than 500.
  HttpReply Ask(const std::string& path, const std::string* body = nullptr, int first = 0) {
    const auto until = Clock::now() + std::chrono::seconds(20);
    for (int attempt = 0; Clock::now() < until; ++attempt) {
      HttpClient http("127.0.0.1", cluster_.http(1 + (first + attempt) % 3),
                      std::chrono::milliseconds(4'000));
      HttpReply reply = body == nullptr ? http.Get(path) : http.Post(path, *body);
      if (reply.status != 0 && reply.status < 500) return reply;
    }
    return {};
  }
  uint64_t RoundsEnded(const std::string& game) {
    const std::string told = JsonField(Ask("/v1/rounds/" + game).body, "rounds_ended");
    return told.empty() ? 0 : std::stoull(told);
  }

  // Until it has ended; false: not in time.
  bool WaitForRound(const std::string& game, uint64_t round) {
    const auto until = Clock::now() + std::chrono::seconds(20);
    const std::string after = std::to_string(round - 1);
    while (Clock::now() < until) {
      const HttpReply page =
          Ask("/v1/rounds/" + game + "/results?limit=1&wait_ms=1000&after=" + after);
      if (page.status == 200 && JsonField(page.body, "cursor") != after) return true;
    }
    return false;
  }

  ProcessCluster cluster_;
};

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

TEST_F(RoundsTest, TwoPlayOnAndSeeTheSameWhileTheLeaderDies) {
  const auto play = [&](const std::string& player) {
    return std::async(
        std::launch::async, RunHoldfast,
        "pingpong " + Nodes() + " --player " + player + " --rounds " + std::to_string(kRounds));
  };
  auto ann = play("ann");
  auto bob = play("bob");
  EXPECT_TRUE(WaitForRound("pingpong", 1));
  // Whoever watches asks whichever node, with the cursor of the page before; and kills the leader
  // as soon as some rounds are over.
  std::atomic<bool> gap = false, ended = false;
  uint64_t over = kRounds;
  std::atomic<uint64_t> watched = 0;
  std::thread watcher([&] {
    for (uint64_t cursor = 0; cursor < kRounds;) {
      const HttpReply page =
          Ask("/v1/rounds/pingpong/results?limit=1&wait_ms=1000&after=" + std::to_string(cursor),
              nullptr, static_cast<int>(cursor));
      if (page.status != 200) break;
      const std::string next = JsonField(page.body, "cursor");
      if (next == std::to_string(cursor)) {
        if (ended) break;  // Nobody plays any more.
        continue;
      }
      if (next != std::to_string(cursor + 1)) gap = true;
      cursor = std::stoull(next);
      watched = cursor;
      if (cursor == kRoundsBefore) {
        over = RoundsEnded("pingpong");
        cluster_.Kill(std::max(1, cluster_.WaitLeader()));
      }
    }
  });
  const Ended first = ann.get(), second = bob.get();
  ended = true;
  watcher.join();
  EXPECT_LT(over, kRounds) << "the leader is to die amid the game";
  EXPECT_EQ(first.code, 0) << first.output;
  EXPECT_EQ(second.code, 0) << second.output;
  const std::vector<std::string> results = ResultsIn(first.output);
  ASSERT_EQ(results.size(), kRounds) << first.output;
  EXPECT_EQ(ResultsIn(second.output), results);
  for (uint64_t round = 1; round <= kRounds; ++round) {
    EXPECT_TRUE(results[round - 1].starts_with("round " + std::to_string(round) + ": ann p"))
        << results[round - 1];
  }
  EXPECT_FALSE(gap);
  EXPECT_EQ(watched, kRounds);
}

// A program that knows all nodes waits for as long as it was told to, and says that it has waited
// in vain: a barrier that let its caller through then would be none.
TEST_F(RoundsTest, ACommandWaitsOutItsTime) {
  const std::string all = "--endpoints " + Nodes() + " ";
  EXPECT_EQ(RunHoldfast(all + "rounds create --game build --places 2").code, 0);
  EXPECT_EQ(RunHoldfast(all + "rounds join --game build --participant one").code, 0);
  EXPECT_EQ(RunHoldfast(all + "rounds join --game build --participant two").code, 0);
  const auto began = Clock::now();
  const Ended waited =
      RunHoldfast(all + "rounds move --game build --participant one --round 1 --wait-ms 3500");
  EXPECT_GE(Clock::now() - began, std::chrono::milliseconds(3'500));
  EXPECT_EQ(waited.code, 1) << waited.output;
  EXPECT_NE(waited.output.find("waiting"), std::string::npos) << waited.output;
  EXPECT_EQ(RunHoldfast(all + "rounds move --game build --participant two --round 1").code, 0);
  EXPECT_EQ(RunHoldfast(all + "rounds move --game build --participant one --round 1").code, 0);
}

// Who knows one node only waits until it is back.
TEST_F(RoundsTest, APlayerGoesOnWhenItsOnlyNodeIsBack) {
  const auto play = [&](const std::string& player, int node) {
    return std::async(std::launch::async, RunHoldfast,
                      "pingpong 127.0.0.1:" + std::to_string(cluster_.grpc(node)) + " --player " +
                          player + " --rounds 60");
  };
  auto ann = play("ann", 1);
  auto bob = play("bob", 2);
  EXPECT_TRUE(WaitForRound("pingpong", 10));
  cluster_.Kill(1);
  // Whoever leads now: bob waits for ann, who has no node.
  const std::string after = std::to_string(RoundsEnded("pingpong") + 1);
  const std::string id = JsonField(Ask("/v1/rounds/pingpong").body, "id");
  const HttpReply nothing =
      Ask("/v1/rounds/pingpong/results?wait_ms=300&after=" + after + "&id=" + id, nullptr, 1);
  EXPECT_EQ(JsonField(nothing.body, "cursor"), after) << nothing.body;
  cluster_.Start(1);
  const Ended first = ann.get(), second = bob.get();
  EXPECT_EQ(first.code, 0) << first.output;
  EXPECT_EQ(second.code, 0) << second.output;
  EXPECT_EQ(ResultsIn(first.output).size(), 60u) << first.output;
  EXPECT_EQ(ResultsIn(second.output), ResultsIn(first.output));
}

TEST_F(RoundsTest, NobodyPassesABarrierBeforeAllHaveComeThoughTheLeaderDies) {
  constexpr int kProcesses = 8;
  constexpr int kTimes = 12;
  const std::string rules = R"({"game":"b","places":8})";
  std::latch third(kTimes * kProcesses / 3);
  std::atomic<int> come = 0;
  std::atomic<int> early = 0;
  std::atomic<int> lost = 0;
  std::vector<std::thread> processes;
  for (int process = 0; process < kProcesses; ++process) {
    processes.emplace_back([&, process] {
      const std::string me = "p" + std::to_string(process);
      const std::string join = R"({"participant":")" + me + "\"}";
      Ask("/v1/rounds", &rules, process);
      Ask("/v1/rounds/b:join", &join, process);
      for (int time = 1; time <= kTimes; ++time) {
        const std::string move = R"({"participant":")" + me + R"(","round":)" +
                                 std::to_string(time) + R"(,"wait_ms":2000})";
        if (++come <= kTimes * kProcesses / 3) third.count_down();
        std::string outcome;
        for (int attempt = 0; attempt < 20 && outcome != "round_over"; ++attempt) {
          outcome = JsonField(Ask("/v1/rounds/b:move", &move, process + attempt).body, "outcome");
        }
        if (outcome != "round_over") ++lost;
        if (come < time * kProcesses) ++early;
      }
    });
  }
  third.wait();
  cluster_.Kill(cluster_.WaitLeader());
  for (std::thread& process : processes) process.join();
  EXPECT_EQ(early, 0);
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(RoundsEnded("b"), static_cast<uint64_t>(kTimes));
}

}  // namespace
}  // namespace holdfast
