// Lines of logs, as they are and as nobody would write them.
#include "services/journal/cli/lines.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <fstream>

#include "src/base/bounds.h"
#include "src/base/logging.h"
#include "src/base/utc_text.h"
#include "tests/support/temp_folder.h"

namespace holdfast::journal {
namespace {

constexpr int kYear = 2026;

std::string TimeText(std::string_view line, LineFormat format = LineFormat::kAuto) {
  const auto time = TimeOf(line, format, {.year = kYear});
  return time ? UtcText(*time, 6) : "none";
}

TEST(JournalLinesTest, TimesOfAllKindsAreRead) {
  const std::pair<const char*, const char*> kLines[] = {
      {"2026-11-30T14:58:59.123456Z info raft leads", "2026-11-30T14:58:59.123456Z"},
      {"2026-11-30T14:58:59Z", "2026-11-30T14:58:59.000000Z"},
      {"2026-11-30 14:58:59,123 WARN x", "2026-11-30T14:58:59.123000Z"},
      {"2026-11-30T14:58:59.1234567899+01:00 x", "2026-11-30T13:58:59.123456Z"},
      {"2026-11-30T14:58:59-0530 x", "2026-11-30T20:28:59.000000Z"},
      {"  [2026-11-30T14:58:59.5Z] x", "2026-11-30T14:58:59.500000Z"},
      {"<13>1 2026-11-30T14:58:59.5Z host app - - - x", "2026-11-30T14:58:59.500000Z"},
      {"<34>Nov  3 14:58:59 host su: x", "2026-11-03T14:58:59.000000Z"},
      {"Nov 30 14:58:59.25 host x", "2026-11-30T14:58:59.250000Z"},
      {R"(127.0.0.1 - - [30/Nov/2026:14:58:59 +0100] "GET /")", "2026-11-30T13:58:59.000000Z"},
      {"level=info time=2026-11-30T14:58:59.5Z msg=x", "2026-11-30T14:58:59.500000Z"},
      {R"({"time":"2026-11-30T14:58:59.123Z","level":"info"})", "2026-11-30T14:58:59.123000Z"},
      {R"({"level":"info","nested":{"time":"x"},"ts": 1796050739.5})",
       "2026-11-30T14:58:59.500000Z"},
      {R"({"timestamp":1796050739500})", "2026-11-30T14:58:59.500000Z"},
      {R"({"t":1796050739500000})", "2026-11-30T14:58:59.500000Z"},
      {R"({"@timestamp":1796050739500000000})", "2026-11-30T14:58:59.500000Z"},
      {R"({"a":"\"time\":\"2020-01-01T00:00:00Z\"","time":"2026-11-30T14:58:59Z"})",
       "2026-11-30T14:58:59.000000Z"},
      {R"({"time":"2026-11-30T14:58:59Z", and then nothing)", "2026-11-30T14:58:59.000000Z"},
      // None of these has one.
      {"", "none"},
      {"   ", "none"},
      {"    at java.lang.Thread.run(Thread.java:748)", "none"},
      {"2026-13-30T14:58:59Z", "none"},
      {"2026-02-30T14:58:59Z", "none"},
      {"2026-11-30T24:58:59Z", "none"},
      {"1969-11-30T14:58:59Z", "none"},
      {"2026-11-30", "none"},
      {"9999-12-31T23:59:59-01:00 after the last year", "none"},
      {"Nov 31 14:58:59 host", "none"},
      {"Foo 30 14:58:59 host", "none"},
      {"<>2026-11-30T14:58:59Z", "none"},
      {R"({"time":null})", "none"},
      {R"({"time":"soon"})", "none"},
      {R"({"nested":{"time":"2026-11-30T14:58:59Z"}})", "none"},
      {R"({"time)", "none"},
      {R"({"time":-5})", "none"},
      {"[30/Nov/2026:14:58] x", "none"},
      {"\x01\x02\xff", "none"},
  };
  for (const auto& [line, time] : kLines) EXPECT_EQ(TimeText(line), time) << line;
}

// What went wrong: whoever asked a web server could choose the time of its line.
TEST(JournalLinesTest, TheTimeIsNotWhereOthersWrite) {
  constexpr char kTrue[] = "2026-11-30T14:58:59.000000Z";
  const std::pair<const char*, const char*> kLines[] = {
      {R"(1.2.3.4 - - [30/Nov/2026:14:58:59 +0000] "GET /?q=a HTTP/1.1" 200 "-" "x time=2031-01-01T00:00:00Z")",
       kTrue},
      {R"(1.2.3.4 - - [30/Nov/2026:14:58:59 +0000] "GET / HTTP/1.1" 200 "-" "took t=12")", kTrue},
      {R"(1.2.3.4 - - [30/Nov/2026:14:58:59 +0000] "GET /[01/Jan/2031:00:00:00 HTTP/1.1" 200)",
       kTrue},
      {R"(1.2.3.4 - [01/Jan/2031:00:00:00 [30/Nov/2026:14:58:59 +0000] "GET / HTTP/1.1" 200)",
       kTrue},
      {R"(1.2.3.4 - a time=2031-01-01T00:00:00Z [30/Nov/2026:14:58:59 +0000] "GET / HTTP/1.1")",
       kTrue},
      {R"(level=info msg="a time=2031-01-01T00:00:00Z" time=2026-11-30T14:58:59Z)", kTrue},
      {R"(level=info msg="a \" time=2031-01-01T00:00:00Z" time="2026-11-30T14:58:59Z")", kTrue},
      {R"(level=info done time=2026-11-30T14:58:59Z)", kTrue},
      {"it took t=12", "none"},
      {R"(msg="a time=2031-01-01T00:00:00Z)", "none"},
  };
  for (const auto& [line, time] : kLines) EXPECT_EQ(TimeText(line), time) << line;
}

// What went wrong: a node refuses them, so one such line ended a feed for ever.
TEST(JournalLinesTest, NoTimeLiesOutsideOfTheYearsThatAJournalTakes) {
  EXPECT_EQ(TimeText("- [01/Jan/1970:00:00:00 +0100] x"), "none");
  EXPECT_EQ(TimeText("- [31/Dec/9999:23:59:59 -1800] x"), "none");
  EXPECT_EQ(TimeText("1970-01-01T00:00:00+01:00 x"), "none");
  EXPECT_EQ(TimeOf("Dec 31 23:59:60 x", LineFormat::kAuto, {.year = 9999}), std::nullopt);
  EXPECT_EQ(TimeOf("Jan  1 00:00:00 x", LineFormat::kAuto, {.year = 1970, .zone_us = 1}),
            std::nullopt);
}

TEST(JournalLinesTest, AYearThatIsNotToldIsTheLastThatFits) {
  const auto text = [](const char* line, int64_t latest_us) {
    return UtcText(*TimeOf(line, LineFormat::kSyslog, {.latest_us = latest_us}), 0);
  };
  constexpr int64_t kNewYear = 1'798'761'600'000'000;  // 2027-01-01T00:00:00Z
  EXPECT_EQ(text("Dec 31 23:59:59 x", kNewYear - 1), "2026-12-31T23:59:59Z");
  EXPECT_EQ(text("Dec 31 23:59:59 x", kNewYear + 1), "2026-12-31T23:59:59Z");
  EXPECT_EQ(text("Jan  1 00:00:01 x", kNewYear - 1), "2027-01-01T00:00:01Z") << "a clock ahead";
  EXPECT_EQ(text("Jan  1 00:00:01 x", kNewYear + 2'000'000), "2027-01-01T00:00:01Z");
  EXPECT_EQ(text("Jan  3 00:00:01 x", kNewYear), "2026-01-03T00:00:01Z");
  EXPECT_EQ(text("Feb 29 00:00:01 x", kNewYear), "2024-02-29T00:00:01Z");
}

TEST(JournalLinesTest, AZoneThatIsNotToldIsTheOneThatIsAskedFor) {
  const auto text = [](const char* line, const char* zone) {
    Untold untold = *ParseZone(zone);
    untold.year = kYear;
    return UtcText(*TimeOf(line, LineFormat::kAuto, untold), 0);
  };
  for (const char* line :
       {"2026-07-30 14:58:59,1 x", "Jul 30 14:58:59 x", "time=2026-07-30T14:58:59",
        "- [30/Jul/2026:14:58:59] x", R"({"ts":"2026-07-30T14:58:59"})"}) {
    EXPECT_EQ(text(line, "UTC"), "2026-07-30T14:58:59Z") << line;
    EXPECT_EQ(text(line, "+02:00"), "2026-07-30T12:58:59Z") << line;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    EXPECT_EQ(text(line, "local"), "2026-07-30T12:58:59Z") << line;
    unsetenv("TZ");
    tzset();
  }
  EXPECT_EQ(text("2026-07-30T14:58:59Z x", "+02:00"), "2026-07-30T14:58:59Z") << "it says its own";
  EXPECT_EQ(text("2026-11-30 14:58:59,123 +01:00 x", "UTC"), "2026-11-30T13:58:59Z");
  EXPECT_EQ(text("2026-11-30 14:58:59 -12345 x", "UTC"), "2026-11-30T14:58:59Z") << "a number";
  for (const char* wrong : {"", "CET", "+1", "+01:00x", " +01:00", "+19:00"}) {
    EXPECT_FALSE(ParseZone(wrong).has_value()) << wrong;
  }
}

TEST(JournalLinesTest, ATimeOfAnotherZoneIsFoundOut) {
  constexpr int64_t kNowUs = 1'796'050'740'000'000;  // 2026-11-30T14:59:00Z
  const auto off = [](const char* line) {
    return OtherZone(line, LineFormat::kAuto, {.latest_us = kNowUs}, kNowUs);
  };
  EXPECT_EQ(off("2026-11-30 09:58:59 x"), -5 * 3'600 * int64_t{1'000'000});
  EXPECT_EQ(off("Nov 30 20:28:58 x"), 19'800 * int64_t{1'000'000});
  for (const char* fine :
       {"2026-11-30 14:58:59 x", "2026-11-30T09:58:59Z x", "2026-11-30 09:58:50 x",
        "2026-11-28 14:58:59 x", R"({"ts":1796032739})", "none"}) {
    EXPECT_EQ(off(fine), std::nullopt) << fine;
  }
}

TEST(JournalLinesTest, AFormatNarrowsDownWhatIsATime) {
  EXPECT_EQ(TimeText("2026-11-30T14:58:59Z x", LineFormat::kJson), "none");
  EXPECT_EQ(TimeText(R"({"time":"2026-11-30T14:58:59Z"})", LineFormat::kSyslog), "none");
  EXPECT_EQ(TimeText("Nov 30 14:58:59 host", LineFormat::kHoldfast), "none");
  EXPECT_NE(TimeText("Nov 30 14:58:59 host", LineFormat::kSyslog), "none");
  EXPECT_EQ(ParseLineFormat("jsonl"), LineFormat::kJson);
  EXPECT_EQ(ParseLineFormat("csv"), std::nullopt);
}

TEST(JournalLinesTest, ANodesOwnLogIsUnderstoodInAllItsFormats) {
  for (const auto format :
       {logging::Format::kText, logging::Format::kLogfmt, logging::Format::kJson}) {
    const std::string line = logging::FormatLine(format, 1'796'050'739'123, logging::Level::kInfo,
                                                 "raft", "leads", {{"term", 5}});
    EXPECT_EQ(TimeText(line, LineFormat::kHoldfast), "2026-11-30T14:58:59.123000Z") << line;
  }
}

TEST(JournalLinesTest, SpansAreRead) {
  EXPECT_EQ(ParseSpan("+120ms"), 120'000);
  EXPECT_EQ(ParseSpan("-1.5s"), -1'500'000);
  EXPECT_EQ(ParseSpan("250us"), 250);
  EXPECT_EQ(ParseSpan("3"), 3'000);
  EXPECT_EQ(ParseSpan("0.25ms"), 250);
  for (const char* wrong :
       {"", "ms", "+", "--3", "3h", "1e3", "99999999999999999999", "3 s", "9999999999999s"}) {
    EXPECT_EQ(ParseSpan(wrong), std::nullopt) << wrong;
  }
}

TEST(JournalLinesTest, BytesThatAreNoTextAreReplaced) {
  EXPECT_EQ(ToUtf8("plain \xc3\xa4 \xf0\x9f\x98\x80"), "plain \xc3\xa4 \xf0\x9f\x98\x80");
  constexpr char kR[] = "\xef\xbf\xbd";
  EXPECT_EQ(ToUtf8("a\xff"
                   "b"),
            std::string("a") + kR + "b");
  EXPECT_EQ(ToUtf8("\xc3"), kR) << "cut off";
  EXPECT_EQ(ToUtf8("\xc0\xaf"), std::string(kR) + kR) << "too long for what it says";
  EXPECT_EQ(ToUtf8("\xed\xa0\x80"), std::string(kR) + kR + kR) << "half a pair";
  EXPECT_EQ(Printable("a\x1b[2Jb\tc\x7f"), "a\\x1b[2Jb\tc\\x7f");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "2J\xe2\x80\xae\xe2\x81\xa6\xd8\x9c\xc2\xa0\xc3\xa4\xe2\x82\xac"),
            "\\x9b2J\\u202e\\u2066\\u061c\xc2\xa0\xc3\xa4\xe2\x82\xac")
      << "C1 and what turns the direction";
  EXPECT_EQ(Printable("\x9b"
                      "2J"),
            std::string(kR) + "2J")
      << "as a file may be named";
  EXPECT_EQ(Quoted("\xf3\xa0\x81\x81"), "\"\\udb40\\udc41\"") << "beyond 16 bits: a pair";
  EXPECT_EQ(Quoted("\x9b\xe2\x80\xae\xc3\xa4"), std::string("\"") + kR + "\\u202e\xc3\xa4\"");
  EXPECT_EQ(Quoted("a\"b\\\n\x01"), R"("a\"b\\\u000a\u0001")");
}

class LineReaderTest : public ::testing::Test {
 protected:
  // "text|text+|...": a plus for what was cut, a low line for what has not ended.
  std::string Read(const std::string& bytes) {
    const std::string path = folder_.path() + "/lines";
    std::ofstream(path, std::ios::binary) << bytes;
    auto reader = LineReader::Open(path);
    std::string all;
    Line line;
    while (*reader->Next(-1, &line) == LineReader::Got::kLine) {
      all += (line.text.size() > 40 ? std::to_string(line.text.size()) : line.text) +
             (line.cut ? "+" : "") + (line.ended ? "|" : "_");
    }
    return all;
  }
  // Apart, and of a member, as the compiler else warns of what strings of a known length do.
  [[gnu::noinline]] static std::string Of(size_t size, char c = 'x') {
    return std::string(size, c);
  }

  testing::TempFolder folder_;
  size_t most_ = bounds::kJournalBodyBytesMax;
};

TEST_F(LineReaderTest, LinesOfAnyLengthAreReadInBoundedMemory) {
  EXPECT_EQ(Read(""), "");
  EXPECT_EQ(Read("a\nb"), "a|b_");
  EXPECT_EQ(Read("a\r\n\n\nb\n"), "a|||b|");
  EXPECT_EQ(Read(Of(most_) + "\ny\n"), std::to_string(most_) + "|y|");
  EXPECT_EQ(Read(Of(most_ + 1) + "\ny\n"), std::to_string(most_) + "+|y|");
  EXPECT_EQ(Read(Of(5 * most_) + "\ny"), std::to_string(most_) + "+|y_");
  // What replaces a byte has three: cut to whole characters.
  EXPECT_EQ(Read(Of(most_, '\xff') + "\ny"), std::to_string(most_ / 3 * 3) + "+|y_");
  EXPECT_FALSE(LineReader::Open(folder_.path() + "/none").has_value());
}

TEST_F(LineReaderTest, APipeIsWaitedForAsLongAsWanted) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  LineReader reader(ends[0]);
  Line line;
  EXPECT_EQ(*reader.Next(0, &line), LineReader::Got::kNothingYet);
  ASSERT_EQ(write(ends[1], "half", 4), 4);
  EXPECT_EQ(*reader.Next(0, &line), LineReader::Got::kNothingYet) << "no whole line yet";
  ASSERT_EQ(write(ends[1], " a line\nrest", 12), 12);
  EXPECT_EQ(*reader.Next(0, &line), LineReader::Got::kLine);
  EXPECT_EQ(line.text, "half a line");
  EXPECT_EQ(*reader.Next(0, &line), LineReader::Got::kNothingYet);
  close(ends[1]);
  EXPECT_EQ(*reader.Next(-1, &line), LineReader::Got::kLine);
  EXPECT_EQ(line.text, "rest");
  EXPECT_EQ(*reader.Next(-1, &line), LineReader::Got::kEnd);
}

}  // namespace
}  // namespace holdfast::journal
