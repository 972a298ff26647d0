// pingpong against a node: two programs, what they show, and who is not let in.
#include "services/rounds/cli/commands.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "services/rounds/cli/pingpong.h"
#include "services/rounds/rounds.pb.h"
#include "src/base/bounds.h"
#include "src/cli/testing.h"

namespace holdfast::rounds {
namespace {

using cli::Ran;

TEST(PingpongHostTest, AHostWithoutAPortIsAskedWhereDevUpHasItsNodes) {
  EXPECT_EQ(EndpointsOf("localhost"), "localhost:9001,localhost:9002,localhost:9003");
  EXPECT_EQ(EndpointsOf("a:7"), "a:7");
  EXPECT_EQ(EndpointsOf("a:7,b"), "a:7,b:9001,b:9002,b:9003");
  EXPECT_EQ(EndpointsOf("[::1]:7"), "[::1]:7");
  EXPECT_EQ(EndpointsOf("[::1]"), "[::1]:9001,[::1]:9002,[::1]:9003");
  EXPECT_EQ(EndpointsOf("a:7,"), "a:7,") << "which is refused as no address";
}

class PingpongTest : public ::testing::Test {
 protected:
  Ran Run(std::vector<std::string> arguments, const std::string& in = "") {
    cli::TestProgram program(RegisterCommands);
    arguments.push_back("--endpoints=" + node_.endpoint());
    return program.Run(std::move(arguments), in);
  }
  std::future<Ran> Play(const std::string& player, std::vector<std::string> more,
                        const std::string& in = "") {
    more.insert(more.begin(), {"pingpong", "--player", player});
    return std::async(std::launch::async, [this, more, in] { return Run(more, in); });
  }

  cli::TestNode node_;
};

TEST_F(PingpongTest, TwoPlayAndSeeTheSame) {
  auto ann = Play("ann", {"--rounds", "3"});
  auto bob = Play("bob", {"--rounds", "3"});
  const Ran first = ann.get(), second = bob.get();
  EXPECT_EQ(first.code, cli::kExitOk) << first.err;
  EXPECT_EQ(second.code, cli::kExitOk) << second.err;
  // Whoever came first began with ping.
  const bool ann_first = first.out.find("round 1: ann ping, bob pong\n") != std::string::npos;
  for (const Ran* ran : {&first, &second}) {
    for (int round = 1; round <= 3; ++round) {
      const bool pings = ann_first == (round % 2 == 1);
      const std::string line = "round " + std::to_string(round) + ": ann " +
                               (pings ? "ping, bob pong" : "pong, bob ping") + "\n";
      EXPECT_NE(ran->out.find(line), std::string::npos) << line << ran->out;
    }
    EXPECT_NE(ran->out.find("3 rounds played\n"), std::string::npos) << ran->out;
  }
  // The next two begin anew, with what they type; an empty line is what is suggested.
  auto carl = Play("carl", {}, "\nsmash\tit\r\n");
  auto dora = Play("dora", {}, "lob\n\n");
  const Ran third = carl.get(), fourth = dora.get();
  EXPECT_EQ(third.code, cli::kExitOk) << third.err;
  EXPECT_NE(third.out.find("round 1: carl p"), std::string::npos) << third.out;
  EXPECT_NE(third.out.find("ng, dora lob\n"), std::string::npos) << third.out;
  EXPECT_NE(third.out.find("round 2: carl smash it, dora p"), std::string::npos) << third.out;
  EXPECT_NE(fourth.out.find("round 2: carl smash it, dora p"), std::string::npos) << fourth.out;
}

TEST_F(PingpongTest, WhatCannotBeAMoveIsAskedForAgain) {
  auto ann = Play("ann", {},
                  "caf\xe9\n" + std::string(100'000, 'x') + "\n" +
                      std::string(bounds::kRoundsMoveBytesMax, 'y') + "\r\nend");
  auto bob = Play("bob", {}, "1\n2\n");
  const Ran first = ann.get(), second = bob.get();
  EXPECT_EQ(first.code, cli::kExitOk) << first.err;
  EXPECT_EQ(second.code, cli::kExitOk) << second.err;
  EXPECT_EQ(first.err, "a move is text in UTF-8, as this is not\na move has at most 1024 bytes\n");
  EXPECT_NE(second.out.find("round 1: ann yyy"), std::string::npos) << second.out;
  EXPECT_NE(second.out.find("round 2: ann end, bob 2\n"), std::string::npos) << second.out;
}

TEST_F(PingpongTest, WhoIsLeftAloneIsTold) {
  auto ann = Play("ann", {"--rounds", "5"});
  auto bob = Play("bob", {"--rounds", "2"});
  EXPECT_EQ(bob.get().code, cli::kExitOk);
  const Ran left = ann.get();
  EXPECT_EQ(left.code, cli::kExitOk) << left.err;
  EXPECT_NE(left.out.find("the other one has left\n"), std::string::npos) << left.out;
}

TEST_F(PingpongTest, WhoCannotPlayIsToldWhy) {
  ASSERT_EQ(Run({"rounds", "create", "--game", "pingpong", "--places", "2"}).code, cli::kExitOk);
  for (const char* player : {"x", "y"}) {
    Run({"rounds", "join", "--game", "pingpong", "--participant", player});
  }
  const Ran full = Run({"pingpong", "--player", "ann"});
  EXPECT_EQ(full.code, cli::kExitRefused);
  EXPECT_NE(full.err.find("is played by x and y; choose another --game"), std::string::npos)
      << full.err;
  ASSERT_EQ(Run({"rounds", "create", "--game", "chess", "--participants", "ann"}).code, 0);
  const Ran other = Run({"pingpong", "--player", "ann", "--game", "chess"});
  EXPECT_EQ(other.code, cli::kExitRefused);
  EXPECT_NE(other.err.find("it has other participants"), std::string::npos) << other.err;

  EXPECT_EQ(Run({"pingpong"}).code, cli::kExitUsage) << "the player is required";
  EXPECT_EQ(Run({"pingpong", "--player", ""}).code, cli::kExitUsage);
  EXPECT_EQ(Run({"pingpong", "--player", "ann", "--rounds", "0"}).code, cli::kExitUsage);
  EXPECT_EQ(Run({"pingpong", "a:b", "--player", "ann"}).code, cli::kExitUsage);
}

TEST_F(PingpongTest, AGameThatIsClosedMeanwhileIsOver) {
  auto ann = Play("ann", {"--rounds", "5"});
  // Once ann has moved the game can be closed under it; before, it would begin a new one.
  bool moved = false;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!moved && std::chrono::steady_clock::now() < until) {
    const Ran game = Run({"rounds", "get", "--game", "pingpong"});
    moved = game.out.find("\"moved\": 1") != std::string::npos;
  }
  EXPECT_TRUE(moved);
  EXPECT_EQ(Run({"rounds", "close", "--game", "pingpong"}).code, cli::kExitOk);
  if (!moved) Run({"pingpong", "--player", "bob", "--rounds", "5"});  // For ann to end.
  const Ran ended = ann.get();
  EXPECT_EQ(ended.code, cli::kExitRefused);
  EXPECT_NE(ended.out.find("the game was ended by somebody else\n"), std::string::npos);
}

TEST_F(PingpongTest, AProgramThatIsStartedAgainGoesOnWhereItWas) {
  ASSERT_EQ(Run({"rounds", "create", "--game", "pingpong", "--places", "2"}).code, cli::kExitOk);
  Run({"rounds", "join", "--game", "pingpong", "--participant", "ann"});
  ASSERT_EQ(Run({"rounds", "move", "--game", "pingpong", "--participant", "ann", "--round", "1",
                 "--move", "serve"})
                .code,
            cli::kExitOk);
  auto ann = Play("ann", {"--rounds", "2"});
  auto bob = Play("bob", {"--rounds", "2"});
  const Ran first = ann.get(), second = bob.get();
  EXPECT_EQ(first.code, cli::kExitOk) << first.err;
  EXPECT_NE(first.out.find("round 1: you have moved before\n"), std::string::npos) << first.out;
  for (const Ran* ran : {&first, &second}) {
    EXPECT_NE(ran->out.find("round 1: ann serve, bob pong\nround 2: ann pong, bob ping\n"),
              std::string::npos)
        << ran->out;
  }
}

// The commands that README.md shows for a barrier.
TEST_F(PingpongTest, ABarrierFromTheShell) {
  std::vector<std::future<std::vector<Ran>>> workers;
  for (const char* worker : {"worker-1", "worker-2", "worker-3"}) {
    workers.push_back(std::async(std::launch::async, [this, worker] {
      std::vector<Ran> all;
      all.push_back(Run({"rounds", "create", "--game", "build", "--places", "3", "--round-ms",
                         "60000", "--absent", "abort"}));
      all.push_back(Run({"rounds", "join", "--game", "build", "--participant", worker}));
      for (const char* round : {"1", "2"}) {
        all.push_back(Run({"rounds", "move", "--game", "build", "--participant", worker, "--round",
                           round, "--wait-ms", "60000"}));
      }
      return all;
    }));
  }
  for (auto& worker : workers) {
    const std::vector<Ran> all = worker.get();
    for (const Ran& ran : all) EXPECT_EQ(ran.code, cli::kExitOk) << ran.err;
    EXPECT_NE(all.back().out.find("round_over"), std::string::npos) << all.back().out;
  }
}

}  // namespace
}  // namespace holdfast::rounds
