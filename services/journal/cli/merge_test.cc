// Log files of several machines in one order.
#include "services/journal/cli/merge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "services/journal/cli/commands.h"
#include "src/base/utc_text.h"
#include "src/cli/testing.h"

namespace holdfast::journal {
namespace {

using cli::Ran;

constexpr int64_t kMs = 1'000;
constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kBegin = 1'796'050'700 * kSecond;

class MergeTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = folder_.path() + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  Ran Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"journal", "merge"});
    return program_.Run(std::move(arguments));
  }
  // What stands behind the name of each line's file.
  std::string Bodies(std::string out) {
    std::string all;
    for (size_t at = 0; at < out.size();) {
      const size_t end = out.find('\n', at);
      const std::string line = out.substr(at, end - at);
      all += line.substr(line.rfind(' ') + 1) + " ";
      at = end + 1;
    }
    return all;
  }
  static std::string LineAt(int64_t us, const std::string& body) {
    return UtcText(us, 6) + " " + body + "\n";
  }

  testing::TempFolder folder_;
  cli::TestProgram program_{RegisterCommands};
};

TEST_F(MergeTest, ThreeFilesBecomeOne) {
  const std::string a = Write("a", LineAt(kBegin, "a1") + LineAt(kBegin + 30 * kMs, "a2"));
  const std::string b =
      Write("b", LineAt(kBegin + 10 * kMs, "b1") + "  at\n" + LineAt(kBegin + 40 * kMs, "b2"));
  const std::string c =
      Write("c", "{\"time\":\"" + UtcText(kBegin + 20 * kMs, 3) + "\",\"msg\":\" c1\"}\n");
  const Ran ran = Run({a, b, c});
  EXPECT_EQ(ran.code, cli::kExitOk) << ran.err;
  EXPECT_EQ(Bodies(ran.out), "a1 b1 at c1\"} a2 b2 ");
  EXPECT_EQ(ran.err, "6 lines, 0 late, 1 without a time, 0 cut\n");
  EXPECT_NE(ran.out.find(UtcText(kBegin + 10 * kMs, 6) + " " + b + " [no time]:   at\n"),
            std::string::npos)
      << ran.out;
}

TEST_F(MergeTest, OffsetsCorrectTheTimesOfAFile) {
  const std::string a = Write("a", LineAt(kBegin, "a1") + LineAt(kBegin + kSecond, "a2"));
  const std::string b = Write("b", LineAt(kBegin + 3'500 * kMs, "b1"));
  EXPECT_EQ(Bodies(Run({a, b}).out), "a1 a2 b1 ");
  const Ran ran = Run({a, b, "--offset", b + "=-3s~20ms"});
  EXPECT_EQ(Bodies(ran.out), "a1 b1 a2 ");
  EXPECT_NE(ran.out.find(UtcText(kBegin + 500 * kMs, 6) + " +-0.020000 " + b + ": "),
            std::string::npos)
      << ran.out;
  const Ran json = Run({a, b, "--offset", b + "=-3s~20ms", "--json"});
  EXPECT_NE(
      json.out.find("{\"corrected\":\"" + UtcText(kBegin + 500 * kMs, 6) +
                    "\",\"error_us\":20000,\"source\":\"" + b + "\",\"sequence\":1,\"time\":\"" +
                    UtcText(kBegin + 3'500 * kMs, 6) + "\",\"body\":\""),
      std::string::npos)
      << json.out;
  for (const char* wrong : {"b", "=1", "b=", "b=x", "b=1~", "b=1~-2", "other=1"}) {
    EXPECT_EQ(Run({a, b, "--offset", wrong}).code, cli::kExitUsage) << wrong;
  }
  EXPECT_EQ(Run({a, folder_.path() + "/none"}).code, cli::kExitUsage);
  EXPECT_EQ(Run({a, "--format", "csv"}).code, cli::kExitUsage);
  EXPECT_EQ(Run({}).code, cli::kExitUsage);
  EXPECT_EQ(Run(std::vector<std::string>(65, a)).code, cli::kExitUsage);
}

TEST_F(MergeTest, WhatIsFurtherOutOfOrderThanTheWindowIsMarked) {
  const std::string a = Write(
      "a", LineAt(kBegin, "a1") + LineAt(kBegin + kSecond, "a2") +
               LineAt(kBegin + kSecond - 50 * kMs, "a3") + LineAt(kBegin + 2 * kSecond, "a4") +
               LineAt(kBegin + 3 * kSecond, "a5") + LineAt(kBegin + 500 * kMs, "a6"));
  EXPECT_EQ(Bodies(Run({a, "--window", "100"}).out), "a1 a3 a2 a6 a4 a5 ");
  const Ran ran = Run({a, "--window", "100"});
  EXPECT_NE(ran.out.find("[late]: " + UtcText(kBegin + 500 * kMs, 6) + " a6"), std::string::npos);
  EXPECT_EQ(Bodies(Run({a, "--window", "5000"}).out), "a1 a6 a3 a2 a4 a5 ");
}

// What went wrong: one line from the far future made all that followed in its file late.
TEST_F(MergeTest, OneLineFarAheadDoesNotSpoilItsFile) {
  std::string a = LineAt(kBegin, "a1") + LineAt(kBegin + 1'000'000 * kSecond, "future");
  std::string b;
  for (int i = 0; i < 50; ++i) {
    a += LineAt(kBegin + i * 100 * kMs, "a");
    b += LineAt(kBegin + i * 100 * kMs + 1, "b");
  }
  const Ran ran = Run({Write("a", a), Write("b", b), "--window", "200"});
  EXPECT_EQ(ran.err, "102 lines, 0 late, 0 without a time, 0 cut\n");
  EXPECT_TRUE(Bodies(ran.out).ends_with("a b future ")) << "in its place, at the end";
}

TEST_F(MergeTest, HostileFilesArePassedThroughInBounds) {
  std::string noise;
  std::mt19937 random(3);
  for (int i = 0; i < 200'000; ++i) noise += static_cast<char>(random());
  const std::string a = Write("a", noise + "\n" + std::string(1 << 20, 'x') + "\n");
  const std::string b = Write("b", "no time\n" + LineAt(kBegin, "b1") + "\x1b[2J\n");
  const Ran ran = Run({a, b});
  EXPECT_EQ(ran.code, cli::kExitOk);
  EXPECT_EQ(ran.out.find('\x1b'), std::string::npos) << "nothing reaches the terminal";
  EXPECT_NE(ran.out.find(UtcText(kBegin, 6) + " " + b + " [no time]: no time\n"), std::string::npos)
      << "what is before the first time has that";
  EXPECT_NE(ran.out.find("[cut]"), std::string::npos);
  const Ran json = Run({a, b, "--json"});
  EXPECT_EQ(json.out.find('\x1b'), std::string::npos);
  EXPECT_EQ(std::count(json.out.begin(), json.out.end(), '\n'),
            std::count(ran.out.begin(), ran.out.end(), '\n'));
}

// What went wrong: their lines were said to be of 1970.
TEST_F(MergeTest, WhatHasNoTimeAtAllComesFirstAndIsGivenNone) {
  const std::string a = Write("a", LineAt(kBegin, "a1") + LineAt(kBegin + kSecond, "a2"));
  const std::string n = Write("n", "n1\nn2\n");
  const Ran ran = Run({a, n, "--offset", n + "=1s~5ms"});
  EXPECT_EQ(ran.code, cli::kExitOk) << ran.err;
  EXPECT_EQ(ran.out.find("- " + n + " [no time]: n1\n- " + n + " [no time]: n2\n2026-"), 0u)
      << ran.out;
  EXPECT_EQ(Bodies(ran.out), "n1 n2 a1 a2 ");
  const Ran json = Run({a, n, "--json"});
  EXPECT_EQ(json.out.find("{\"source\":\"" + n + "\",\"sequence\":1,\"body\":\"n1\"}\n"), 0u)
      << json.out;
  EXPECT_EQ(json.out.find("1970"), std::string::npos) << json.out;
  // However many they are: nothing is held back for them, nor is it late.
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "line without any\n";
  const std::string late = Write("late", many + LineAt(kBegin + 1, "l1") + "  at\n");
  const Ran both = Run({a, late});
  EXPECT_EQ(both.err, "20,004 lines, 0 late, 20,001 without a time, 0 cut\n");
  EXPECT_TRUE(Bodies(both.out).ends_with("any a1 l1 at a2 "))
      << both.out.substr(both.out.size() - 500);
}

TEST_F(MergeTest, AFileThatCannotBeReadIsNamed) {
  const std::string a = Write("a", LineAt(kBegin, "a1"));
  const Ran ran = Run({a, folder_.path()});
  EXPECT_EQ(ran.code, cli::kExitUsage);
  EXPECT_EQ(ran.err, "holdfast: cannot read " + folder_.path() + ": Is a directory\n");
}

TEST_F(MergeTest, MemoryIsBoundedWhateverTheWindow) {
  std::string text;
  for (int i = 0; i < 1'000; ++i) text += LineAt(kBegin + i, "line");
  const auto merge = [&](size_t held_bytes_max) {
    std::vector<MergeInput> inputs;
    inputs.emplace_back(*LineReader::Open(Write("a", text)), KnownOffset{"a", 0, std::nullopt},
                        LineFormat::kAuto, Untold{});
    std::vector<int64_t> times;
    Merger merger(std::move(inputs), 3'600 * kSecond, held_bytes_max,
                  [&](std::optional<int64_t> us, const MergedLine&) { times.push_back(*us); });
    EXPECT_TRUE(merger.Run().has_value());
    EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
    EXPECT_EQ(times.size(), 1'000u);
    return merger.counts().hurried;
  };
  EXPECT_EQ(merge(10 << 20), 0u);
  EXPECT_GT(merge(10 << 10), 900u);
}

// Files that are out of order by less than the window come out as if they had been sorted whole.
TEST_F(MergeTest, DoesWhatASortDoes) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<std::pair<int64_t, std::string>> all;
    std::vector<std::string> arguments;
    for (const char* name : {"a", "b", "c"}) {
      std::string text;
      int64_t at = kBegin + static_cast<int64_t>(random() % 5'000'000);
      for (int i = 0; i < 300; ++i) {
        at += static_cast<int64_t>(random() % 200'000);
        const int64_t us = at - static_cast<int64_t>(random() % 400'000);
        const std::string body = name + std::to_string(i);
        text += LineAt(us, body);
        all.emplace_back(us, body);
      }
      arguments.push_back(Write(name, text));
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& x, const auto& y) { return x.first < y.first; });
    std::string wanted;
    for (const auto& [us, body] : all) wanted += body + " ";
    arguments.insert(arguments.end(), {"--window", "1000"});
    EXPECT_EQ(Bodies(Run(arguments).out), wanted) << "seed " << seed;
  }
}

}  // namespace
}  // namespace holdfast::journal
