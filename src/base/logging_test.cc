#include "src/base/logging.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace holdfast::logging {
namespace {

constexpr int64_t kTime = 1'795'255'200'123;  // 2026-11-21T10:00:00.123Z

TEST(LoggingTest, OneLineInEachFormat) {
  const std::vector<Value> values = {{"term", uint64_t{5}}, {"to", "node 2"}, {"why", ""}};
  EXPECT_EQ(FormatLine(Format::kText, kTime, Level::kInfo, "raft", "leads now", values),
            "2026-11-21T10:00:00.123Z info  raft   leads now term=5 to=\"node 2\" why=\"\"");
  EXPECT_EQ(FormatLine(Format::kLogfmt, kTime, Level::kWarn, "raft", "leads now", values),
            "time=2026-11-21T10:00:00.123Z level=warn component=raft msg=\"leads now\" term=5 "
            "to=\"node 2\" why=\"\"");
  EXPECT_EQ(FormatLine(Format::kJson, kTime, Level::kError, "raft", "leads now", values),
            "{\"time\":\"2026-11-21T10:00:00.123Z\",\"level\":\"error\",\"component\":\"raft\","
            "\"msg\":\"leads now\",\"term\":5,\"to\":\"node 2\",\"why\":\"\"}");
}

TEST(LoggingTest, WhatComesFromOutsideCannotForgeALine) {
  const std::vector<Value> values = {{"key", "a\nlevel=error \"x\"\x1b[31m"}};
  for (Format format : {Format::kText, Format::kLogfmt, Format::kJson}) {
    const std::string line = FormatLine(format, kTime, Level::kInfo, "api", "m\nn", values);
    for (const char c : line) EXPECT_GE(c, 0x20) << line;
    EXPECT_NE(line.find(R"(a\nlevel=error \"x\"\u001b[31m)"), std::string::npos) << line;
  }
}

TEST(LoggingTest, LevelsAreGivenForAllAndForOne) {
  const Levels all = *ParseLevels("warn", {});
  EXPECT_EQ(all.size(), AllComponents().size());
  EXPECT_EQ(all.at(Component::kWal), Level::kWarn);
  const Levels some = *ParseLevels("raft=debug,error,wal=trace", all);
  EXPECT_EQ(some.at(Component::kRaft), Level::kDebug) << "the order does not matter";
  EXPECT_EQ(some.at(Component::kWal), Level::kTrace);
  EXPECT_EQ(some.at(Component::kApi), Level::kError);
  EXPECT_EQ(ParseLevels("node=off", all)->at(Component::kApi), Level::kWarn) << "stays";
  for (const char* bad : {"", "loud", "raft=", "=info", "raft=info,", "tables=info"}) {
    const auto levels = ParseLevels(bad, all);
    ASSERT_FALSE(levels) << bad;
    EXPECT_NE(levels.error().message.find("there are"), std::string::npos);
  }
  EXPECT_FALSE(ParseFormat("xml"));
  EXPECT_EQ(*ParseFormat("json"), Format::kJson);
}

TEST(LoggingTest, LevelsChangeAtRunTime) {
  const Levels before = CurrentLevels();
  SetLevels({{Component::kRaft, Level::kDebug}, {Component::kWal, Level::kOff}});
  EXPECT_TRUE(Enabled(Component::kRaft, Level::kDebug));
  EXPECT_FALSE(Enabled(Component::kRaft, Level::kTrace));
  EXPECT_FALSE(Enabled(Component::kWal, Level::kError));
  SetLevels(before);
}

TEST(LoggingTest, LinesGoToTheStandardErrorOnceStarted) {
  auto before = spdlog::default_logger();
  ::testing::internal::CaptureStderr();
  Start(Format::kLogfmt, CurrentLevels());
  Info(Component::kWal, "hello\x1fthere",
       {{"bytes", 7},
        {"path",
         "a\x1f"
         "b"}});
  Debug(Component::kWal, "unheard");
  spdlog::info("by another hand");
  const std::string text = ::testing::internal::GetCapturedStderr();
  spdlog::set_default_logger(before);
  EXPECT_NE(text.find("level=info component=wal msg=\"hello there\" bytes=7 path=\"a b\"\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("unheard"), std::string::npos);
  EXPECT_NE(text.find("component=server msg=\"by another hand\"\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace holdfast::logging
