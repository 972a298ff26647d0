// A log on a disk that fails at any point, against a model that keeps every state the log was told
// to be in. To replay a failure: wal_test --gtest_filter='*/SegmentLogCrashTest.*/SEED'.
#include <cerrno>
#include <optional>
#include <random>

#include "src/wal/log_testing.h"

namespace holdfast::wal {
namespace {

struct ModelEntry {
  Term term;
  EntryType type;
  std::string payload;
};

// The log after one Append or Reset.
struct ModelState {
  LogIndex start{1};  // Before any TruncatePrefix.
  Term previous;      // Of the entry before it; 0: not known any more.
  std::vector<ModelEntry> entries;
  // Of the Append cut short by a crash at least this much is there, if anything is.
  LogIndex last_min{0};
  LogIndex last() const { return LogIndex(start.value + entries.size() - 1); }
  const ModelEntry& at(LogIndex index) const { return entries[index.value - start.value]; }
};

class SegmentLogCrashTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  SegmentLogCrashTest() : random_(GetParam()), files_({.seed = GetParam()}) {}
  ~SegmentLogCrashTest() override {
    if (log_) log_->Abandon();  // Left behind by a failed assertion.
  }

  uint64_t Below(uint64_t n) { return random_() % n; }
  ModelState& now() { return history_.back(); }

  std::string RandomPayload() {
    std::string payload(Below(10) == 0 ? Below(4'000) : Below(300), '\0');
    for (char& c : payload) c = static_cast<char>(Below(256));
    if (Below(8) != 0) return payload;
    // A hostile one: a copy of true records.
    const auto names = files_.List(kFolder);
    for (const std::string& name : *names) {
      const auto bytes = files_.Contents(std::string(kFolder) + "/" + name);
      if (!ParseSegmentName(name) || !bytes || bytes->size() < 2 * kPageBytes) continue;
      return bytes->substr(kSegmentHeaderBytes, 8 * Below(100));
    }
    return payload;
  }

  // Opens the log, through as many power failures as come.
  void Restart() {
    for (int attempt = 0; log_ == nullptr; ++attempt) {
      ASSERT_LT(attempt, 20);
      if (attempt < 10 && Below(4) == 0) files_.CutPower(1 + Below(25));
      auto log = TryOpen(files_, &durable_);
      if (log) {
        log_ = std::move(*log);
        files_.CutPower(1'000'000);  // Whatever was planned is off.
      } else {
        ASSERT_NE(log.error().message.find("the power is gone"), std::string::npos)
            << log.error().message;
        files_.Crash();
      }
    }
    CheckRecovered();
  }

  bool KnowsPrevious(const ModelState& state) {
    return state.previous.value == 0 || log_->first() != state.start ||
           log_->TermAt(state.start.Previous()) == state.previous;
  }

  bool Matches(const ModelState& state, LogIndex last_min) {
    if (log_->last() < last_min || log_->last() > state.last()) return false;
    if (log_->first() < state.start) return false;
    if (log_->first() > std::max(state.start, floor_)) return false;
    if (!KnowsPrevious(state)) return false;
    for (LogIndex index = log_->first(); index <= log_->last(); index = index.Next()) {
      const Entry entry = log_->Read(index);
      const ModelEntry& expected = state.at(index);
      if (entry.term != expected.term || entry.type != expected.type ||
          *entry.payload != expected.payload) {
        return false;
      }
    }
    return true;
  }

  // What is there is the last state reported durable, or a later one, perhaps cut short.
  void CheckRecovered() {
    std::optional<size_t> match;
    for (size_t i = reported_; i < history_.size() && !match; ++i) {
      const LogIndex last_min = i == reported_ ? history_[i].last() : history_[i].last_min;
      if (Matches(history_[i], last_min)) match = i;
    }
    ASSERT_TRUE(match) << "recovered " << log_->first().value << " to " << log_->last().value
                       << ", reported durable was " << history_[reported_].start.value << " to "
                       << history_[reported_].last().value;
    ModelState state = history_[*match];
    state.entries.resize(log_->last().value + 1 - state.start.value);
    history_ = {state};
    reported_ = 0;
    const HardState hard = log_->hard_state();
    ASSERT_TRUE(hard == saved_ || hard == saving_) << "term " << hard.term.value;
    saved_ = saving_ = hard;
  }

  void AppendSome() {
    const uint64_t span = now().last().value + 1 - log_->first().value;
    // Mostly at the end, at times over what is there.
    const LogIndex first(now().last().value + 1 - (Below(6) == 0 ? Below(span + 1) : 0));
    ModelState next = now();
    next.entries.resize(first.value - next.start.value);
    std::vector<Entry> entries;
    for (uint64_t n = Below(12) == 0 ? 0 : 1 + Below(4); n > 0; --n) {
      ModelEntry entry{Term(1 + Below(5)), static_cast<EntryType>(1 + Below(3)), RandomPayload()};
      entries.push_back(
          {entry.term, entry.type, std::make_shared<const std::string>(entry.payload)});
      next.entries.push_back(std::move(entry));
    }
    next.last_min = entries.empty() ? first.Previous() : first;
    history_.push_back(std::move(next));  // First: the power may fail within.
    tickets_.push_back(log_->Append(first, std::move(entries)));
  }

  void ResetLog() {
    ModelState next;
    next.start = LogIndex(std::max(now().last().value, log_->first().value) + Below(20));
    next.previous = Term(1 + Below(5));
    next.last_min = next.start.Previous();
    history_.push_back(next);
    tickets_.push_back(log_->Reset(next.start, next.previous));
  }

  void ReadSomething() {
    ASSERT_EQ(log_->last(), now().last());
    ASSERT_TRUE(KnowsPrevious(now()));
    if (log_->first() > log_->last()) return;
    const LogIndex index(log_->first().value + Below(log_->last().value + 1 - log_->first().value));
    const Entry entry = log_->Read(index);
    ASSERT_EQ(*entry.payload, now().at(index).payload);
    ASSERT_EQ(entry.term, now().at(index).term);
    ASSERT_EQ(log_->TermAt(index), entry.term);
  }

  void Step() {
    switch (Below(20)) {
      case 0: {
        saving_ = {Term(saved_.term.value + 1), NodeId(Below(4))};
        log_->SaveHardState(saving_);
        saved_ = saving_;
        ASSERT_EQ(log_->hard_state(), saved_);
        break;
      }
      case 1: {
        const LogIndex index(Below(now().last().value + 5));
        floor_ = std::max(floor_, index);
        for (ModelState& state : history_) state.previous = Term(0);
        log_->TruncatePrefix(index);
        ASSERT_LE(log_->first(), std::max(floor_, now().start));
        break;
      }
      case 2:
        if (Below(10) == 0) ResetLog();
        break;
      case 3:
      case 4:
      case 5: ReadSomething(); break;
      case 6:
      case 7:
      case 8:
      case 9:
      case 10:
      case 11: log_->WritePending(); break;
      default: AppendSome();
    }
  }

  // history_[i + 1] is durable once tickets_[i] is.
  void NoteDurable() {
    while (reported_ < tickets_.size() && tickets_[reported_] <= durable_) ++reported_;
  }

  StopThrows stop_throws_;
  std::mt19937_64 random_;
  FaultyFileSystem files_;
  std::unique_ptr<SegmentLog> log_;
  Ticket durable_ = 0;
  std::vector<ModelState> history_{ModelState{}};
  std::vector<Ticket> tickets_;
  size_t reported_ = 0;  // In history_: the last state that was reported durable.
  LogIndex floor_;       // Highest TruncatePrefix.
  HardState saved_;
  HardState saving_;
};

TEST_P(SegmentLogCrashTest, WhatWasReportedSurvives) {
  ASSERT_NO_FATAL_FAILURE(Restart());
  for (int life = 0; life < 12; ++life) {
    enum { kPower, kWriteFails, kSyncFails, kShutdown } end{};
    switch (Below(6)) {
      case 0: end = kShutdown; break;
      case 1:
        end = kWriteFails;
        files_.FailWrite(1 + Below(80), ENOSPC);
        break;
      case 2:
        end = kSyncFails;
        files_.FailSync(1 + Below(80), EIO);
        break;
      default: end = kPower; files_.CutPower(1 + Below(160));
    }
    bool stopped = false;
    try {
      for (int step = 0; step < 120; ++step) {
        ASSERT_NO_FATAL_FAILURE(Step()) << "life " << life << " step " << step;
        NoteDurable();
      }
      if (end == kShutdown) {
        log_->Flush();
        NoteDurable();
        ASSERT_EQ(reported_, history_.size() - 1);
      } else {
        log_->Abandon();
      }
    } catch (const Stopped& stop) {
      stopped = true;
      ASSERT_NE(end, kShutdown) << stop.what();
      ASSERT_NE(std::string(stop.what()).find("the log cannot go on"), std::string::npos)
          << stop.what();
      NoteDurable();
    }
    log_ = nullptr;
    tickets_.clear();
    // Often the process alone restarts, and sees the page cache; if the planned error has not come,
    // the power fails.
    const bool process_only = (stopped || end == kShutdown) && end != kPower && Below(2) == 0;
    if (!process_only) files_.Crash();
    ASSERT_NO_FATAL_FAILURE(Restart()) << "life " << life;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SegmentLogCrashTest, ::testing::Range<uint64_t>(0, 400));

}  // namespace
}  // namespace holdfast::wal
