// A log that is fed into a journal: the batches, and the command against a node.
#include "services/journal/cli/feed.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "services/journal/cli/commands.h"
#include "services/journal/describe.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"
#include "src/cli/testing.h"

namespace holdfast::journal {
namespace {

using cli::Ran;

// A journal that answers as it is told, and a clock that the test holds.
class FeederTest : public ::testing::Test {
 protected:
  Feeder MakeFeeder() {
    return Feeder(
        "j", "s",
        [this](const AppendRequest& request) -> Result<AppendReply> {
          sent_.push_back(request);
          clock_us_ += 10;
          if (!failures_.empty()) {
            const Error error = failures_.back();
            failures_.pop_back();
            return Fail(error);
          }
          AppendReply reply;
          reply.set_outcome(outcome_);
          if (outcome_ == AppendOutcome::appended && request.records().empty()) {
            reply.set_outcome(AppendOutcome::exchanged);
          }
          reply.set_batch(++batch_);
          reply.set_appended(static_cast<uint32_t>(request.records_size()));
          reply.set_unverified(unverified_);
          return reply;
        },
        [this] { return clock_us_; }, [this] { return steady_us_; },
        [this](int64_t ms) {
          clock_us_ += ms * 1'000 + set_by_us_;
          steady_us_ += ms * 1'000;
          ++pauses_;
        });
  }
  static Line LineOf(const std::string& text) { return {text, false}; }

  AppendOutcome::Code outcome_ = AppendOutcome::appended;
  std::vector<Error> failures_;
  std::vector<AppendRequest> sent_;
  uint64_t batch_ = 0;
  int64_t clock_us_ = 1'796'050'700'000'000;
  int64_t steady_us_ = 5'000'000;
  int64_t set_by_us_ = 0;  // The clock, at each pause.
  uint32_t unverified_ = 0;
  int pauses_ = 0;
};

TEST_F(FeederTest, EveryBatchTellsWhatTheClockSaidAndWhenTheLastAnswerCame) {
  Feeder feeder = MakeFeeder();
  ASSERT_TRUE(feeder.Begin(false, 7).has_value());
  EXPECT_TRUE(sent_[0].records().empty());
  EXPECT_FALSE(sent_[0].has_previous());
  feeder.Add(LineOf("one"), clock_us_ - 5);
  feeder.Add(LineOf("two"), std::nullopt);
  ASSERT_TRUE(feeder.Flush().has_value());
  EXPECT_EQ(sent_[1].first_sequence(), 1u);
  EXPECT_EQ(sent_[1].previous().batch(), 1u);
  EXPECT_EQ(FloorUs(sent_[1].previous().received_time()), 1'796'050'700'000'011) << "rounded up";
  EXPECT_EQ(FloorUs(sent_[1].sent_time()), 1'796'050'700'000'010);
  EXPECT_EQ(FloorUs(sent_[1].records(1).time()), FloorUs(sent_[1].records(0).time()))
      << "without a time it has its neighbour's";
  EXPECT_TRUE(feeder.Flush().has_value());
  EXPECT_EQ(sent_.size(), 2u) << "nothing to send";
  EXPECT_EQ(feeder.next_sequence(), 3u);
  EXPECT_EQ(feeder.counts().without_time, 1u);
}

TEST_F(FeederTest, AfterASilenceTimesAreExchangedFirst) {
  Feeder feeder = MakeFeeder();
  ASSERT_TRUE(feeder.Begin(false, 0).has_value());
  clock_us_ += 9'000'000;
  feeder.Add(LineOf("one"), 5);
  ASSERT_TRUE(feeder.Flush().has_value());
  EXPECT_EQ(sent_.size(), 2u);
  for (const int64_t later_us : {11'000'000, -60'000'000}) {
    clock_us_ += later_us;
    feeder.Add(LineOf("two"), 5);
    sent_.clear();
    ASSERT_TRUE(feeder.Flush().has_value());
    ASSERT_EQ(sent_.size(), 2u);
    EXPECT_TRUE(sent_[0].records().empty());
    EXPECT_EQ(sent_[1].previous().batch(), batch_ - 1) << "what was told just now";
    EXPECT_EQ(sent_[1].records_size(), 1);
  }
}

TEST_F(FeederTest, ABatchIsRepeatedUnderTheSameNumbersUntilItIsAnswered) {
  Feeder feeder = MakeFeeder();
  ASSERT_TRUE(feeder.Begin(true, 7).has_value());
  feeder.Add(LineOf("one"), 5);
  failures_ = {Error{ErrorCode::kOutcomeUnknown}, Error{ErrorCode::kUnavailable},
               Error{ErrorCode::kDeadlineExceeded}, Error{ErrorCode::kResourceExhausted}};
  ASSERT_TRUE(feeder.Flush().has_value());
  ASSERT_EQ(sent_.size(), 6u);
  EXPECT_EQ(pauses_, 4);
  for (size_t i = 1; i < sent_.size(); ++i) {
    EXPECT_EQ(sent_[i].first_sequence(), 8u) << "behind what was there";
    EXPECT_EQ(sent_[i].records(0).body(), "one");
    EXPECT_EQ(sent_[i].previous().batch(), 1u);
    if (i > 1) {
      EXPECT_GT(FloorUs(sent_[i].sent_time()), FloorUs(sent_[i - 1].sent_time())) << "looked anew";
    }
  }
}

TEST_F(FeederTest, AnOutageIsWaitedOutForTenMinutesAndNoLongerHoweverTheClockIsSet) {
  for (const int64_t set_by_us : {int64_t{0}, int64_t{3'600'000'000}, int64_t{-60'000'000}}) {
    set_by_us_ = set_by_us;
    Feeder feeder = MakeFeeder();
    failures_.assign(1'000, Error{ErrorCode::kUnavailable});
    const int64_t before_us = steady_us_;
    const auto begun = feeder.Begin(false, 0);
    ASSERT_FALSE(begun.has_value());
    EXPECT_EQ(begun.error().code, ErrorCode::kUnavailable);
    EXPECT_NEAR(static_cast<double>(steady_us_ - before_us), 600e6, 10e6);
  }
}

// What went wrong: they had the time at which they were fed, so fed again they were others.
TEST_F(FeederTest, LinesBeforeTheFirstTimeHaveNone) {
  Feeder feeder = MakeFeeder();
  feeder.Add(LineOf("banner"), std::nullopt);
  feeder.Add(LineOf("one"), 5);
  feeder.Add(LineOf("trace"), std::nullopt);
  ASSERT_TRUE(feeder.Flush().has_value());
  EXPECT_FALSE(sent_[0].records(0).has_time());
  EXPECT_EQ(FloorUs(sent_[0].records(2).time()), 5);
}

TEST_F(FeederTest, NumbersOfRemovedRecordsEndItUnlessTheyAreTrusted) {
  unverified_ = 1;
  Feeder feeder = MakeFeeder();
  feeder.Add(LineOf("one"), 5);
  const auto flushed = feeder.Flush();
  ASSERT_FALSE(flushed.has_value());
  EXPECT_NE(flushed.error().hint.find("--go-on"), std::string::npos);
  EXPECT_EQ(feeder.next_sequence(), 1u);
  Feeder trusting = MakeFeeder();
  trusting.TrustRemoved();
  trusting.Add(LineOf("one"), 5);
  EXPECT_TRUE(trusting.Flush().has_value());
}

TEST_F(FeederTest, WhatTheJournalRefusesEndsIt) {
  for (const auto outcome : {AppendOutcome::journal_not_found, AppendOutcome::too_many_sources,
                             AppendOutcome::out_of_order, AppendOutcome::different_record}) {
    outcome_ = outcome;
    Feeder feeder = MakeFeeder();
    feeder.Add(LineOf("one"), 5);
    EXPECT_FALSE(feeder.Flush().has_value()) << AppendOutcome::Code_Name(outcome);
    EXPECT_EQ(feeder.next_sequence(), 1u);
  }
  EXPECT_EQ(pauses_, 0);
  Feeder feeder = MakeFeeder();
  failures_ = {InvalidArgument("source", "no")};
  EXPECT_FALSE(feeder.Begin(false, 0).has_value());
}

TEST_F(FeederTest, ABatchIsFullByCountAndByBytes) {
  Feeder feeder = MakeFeeder();
  for (int i = 0; i < 999; ++i) feeder.Add(LineOf("x"), 5);
  EXPECT_FALSE(feeder.full());
  feeder.Add(LineOf("x"), 5);
  EXPECT_TRUE(feeder.full());
  ASSERT_TRUE(feeder.Flush().has_value());
  EXPECT_FALSE(feeder.full());
  int lines = 0;
  for (; !feeder.full(); ++lines) feeder.Add(LineOf(std::string(64 << 10, 'x')), 5);
  EXPECT_EQ(lines, 8);
  ASSERT_TRUE(feeder.Flush().has_value());
  EXPECT_LE(sent_.back().ByteSizeLong(), bounds::kRequestBytesMax);
}

class FeedCommandTest : public ::testing::Test {
 protected:
  Ran Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "journal");
    arguments.push_back("--endpoints=" + node_.endpoint());
    return program_.Run(std::move(arguments));
  }
  std::string Write(const std::string& text) {
    const std::string path = folder_.path() + "/log";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  testing::TempFolder folder_;
  cli::TestNode node_;
  cli::TestProgram program_{RegisterCommands};
};

TEST_F(FeedCommandTest, ALogIsFedOnceHoweverOftenItIsFed) {
  ASSERT_EQ(Run({"create", "--name", "j", "--window-ms", "1"}).code, 0);
  std::string log;
  for (int i = 0; i < 2'500; ++i) {
    log += "2026-11-30T14:58:59.123Z info line " + std::to_string(i) + "\n";
  }
  const std::string path = Write(log);
  Ran ran = Run({"feed", "--journal", "j", "--source", "node1", path});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(ran.out.starts_with("2,500 lines appended, 0 already there")) << ran.out;
  EXPECT_NE(ran.err.find(" the log's, within "), std::string::npos) << ran.err;
  Write(log + "2026-11-30T14:58:59.124Z info one more\n");
  ran = Run({"feed", "--journal", "j", "--source", "node1", path});
  EXPECT_TRUE(ran.out.starts_with("1 lines appended, 2,500 already there")) << ran.out;
  ran = Run({"get-source", "--journal", "j", "--source", "node1", "--compact"});
  EXPECT_NE(ran.out.find("\"last_sequence\":2501,"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("\"jumps\":0"), std::string::npos) << ran.out;
  ran = Run({"follow", "--journal", "j", "--after", "2500", "--wait-ms", "5000", "--compact"});
  EXPECT_NE(ran.out.find("info one more"), std::string::npos) << ran.out;

  Write("another log\n");
  ran = Run({"feed", "--journal", "j", "--source", "node1", path});
  EXPECT_EQ(ran.code, cli::kExitRefused);
  EXPECT_NE(ran.err.find("line 1 was appended before as another one"), std::string::npos)
      << ran.err;
  ran = Run({"feed", "--journal", "j", "--source", "node1", "--go-on", path});
  EXPECT_TRUE(ran.out.starts_with("1 lines appended")) << ran.out << ran.err;
  ran = Run({"feed", "--journal", "none", "--source", "node1", path});
  EXPECT_EQ(ran.code, cli::kExitRefused);
  EXPECT_NE(ran.err.find("holdfast journal create --name none"), std::string::npos) << ran.err;
  EXPECT_EQ(Run({"feed", "--journal", "j", "--source", "s", path + ".none"}).code, cli::kExitUsage);
  EXPECT_EQ(Run({"feed", "--source", "s", path}).code, cli::kExitUsage);
  EXPECT_EQ(Run({"feed", "--journal", "j", "--source", "s", path, "--idempotency-key", "k"}).code,
            cli::kExitUsage);
}

// What went wrong: its first and its last line were others each time.
TEST_F(FeedCommandTest, ALogThatIsStillWrittenIsFedAgain) {
  ASSERT_EQ(Run({"create", "--name", "j"}).code, 0);
  const std::vector<std::string> feed = {"feed", "--journal", "j", "--source", "s"};
  const auto fed = [&](const std::string& text) {
    auto arguments = feed;
    arguments.push_back(Write(text));
    return Run(arguments);
  };
  Ran ran = fed("starting\n2026-11-30T14:58:59Z one\n2026-11-30T14:5");
  EXPECT_TRUE(ran.out.starts_with("2 lines appended")) << ran.out << ran.err;
  EXPECT_NE(ran.err.find("the last line has no end yet"), std::string::npos) << ran.err;
  ran = fed("starting\n2026-11-30T14:58:59Z one\n2026-11-30T14:59:00Z two\n");
  EXPECT_TRUE(ran.out.starts_with("1 lines appended, 2 already there")) << ran.out << ran.err;
  EXPECT_EQ(ran.err.find("no end yet"), std::string::npos) << ran.err;
  auto arguments = feed;
  arguments.insert(arguments.end(), {"--zone", "CET", Write("x\n")});
  EXPECT_EQ(Run(arguments).code, cli::kExitUsage);
}

// What went wrong: a clock was "-0.211 ms ahead".
TEST(ClockTextTest, AClockIsAheadOrBehind) {
  const auto text_of = [](int64_t offset_us) {
    Offset offset;
    offset.set_offset_us(offset_us);
    offset.set_error_us(1'400);
    return ClockText(offset);
  };
  EXPECT_EQ(text_of(211), "this clock is 0.211 ms behind the log's, within 1.400 ms");
  EXPECT_EQ(text_of(-2'000'017), "this clock is 2000.017 ms ahead of the log's, within 1.400 ms");
  EXPECT_EQ(text_of(0), "this clock is 0.000 ms ahead of the log's, within 1.400 ms");
  EXPECT_EQ(ClockText(Offset()), "");
}

}  // namespace
}  // namespace holdfast::journal
