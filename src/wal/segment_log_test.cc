#include "src/wal/segment_log.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "src/wal/log_testing.h"

namespace holdfast::wal {
namespace {

using Strings = std::vector<std::string>;

class SegmentLogTest : public ::testing::Test {
 protected:
  void Open(SegmentLogOptions options = SmallOptions()) {
    log_ = nullptr;
    auto log = TryOpen(files_, &durable_, options);
    ASSERT_TRUE(log) << log.error().message;
    log_ = std::move(*log);
  }
  // Power fails and comes back.
  void Crash() {
    log_->Abandon();
    log_ = nullptr;
    files_.Crash();
    Open();
  }
  Ticket Append(uint64_t first, const Strings& payloads, uint64_t term = 1) {
    std::vector<Entry> entries;
    for (const std::string& payload : payloads) entries.push_back(MakeEntry(term, payload));
    return log_->Append(LogIndex(first), std::move(entries));
  }
  size_t Segments() {
    const auto names = files_.List(kFolder);
    return static_cast<size_t>(std::count_if(names->begin(), names->end(), [](const auto& name) {
      return ParseSegmentName(name).has_value();
    }));
  }

  FaultyFileSystem files_{{.survive_percent = 0}};
  std::unique_ptr<SegmentLog> log_;
  Ticket durable_ = 0;
};

TEST_F(SegmentLogTest, ANewLogIsEmpty) {
  Open();
  EXPECT_EQ(log_->first(), LogIndex(1));
  EXPECT_EQ(log_->last(), LogIndex(0));
  EXPECT_EQ(log_->TermAt(LogIndex(0)), Term(0));
  EXPECT_EQ(log_->TermAt(LogIndex(1)), Term(0));
  EXPECT_EQ(log_->hard_state(), HardState{});
}

TEST_F(SegmentLogTest, AppendsAreReadableAtOnceAndDurableWhenReported) {
  Open();
  while (log_->WritePending()) {  // The next segment.
  }
  EXPECT_EQ(Append(1, {"a", ""}), 1u);
  EXPECT_EQ(log_->Append(LogIndex(3), {{Term(2), EntryType::kBarrier, nullptr}}), 2u);
  EXPECT_EQ(EntriesOf(*log_), (Strings{"1:a", "1:", "2:"}));
  EXPECT_EQ(log_->TypeAt(LogIndex(3)), EntryType::kBarrier);
  EXPECT_EQ(durable_, 0u);
  const uint64_t syncs = files_.syncs();
  EXPECT_TRUE(log_->WritePending());
  EXPECT_EQ(durable_, 2u) << "both in one group";
  EXPECT_EQ(files_.syncs(), syncs + 1) << "with one fdatasync";
  Append(4, {"lost"});
  Crash();
  EXPECT_EQ(EntriesOf(*log_), (Strings{"1:a", "1:", "2:"}));
  EXPECT_EQ(log_->TypeAt(LogIndex(3)), EntryType::kBarrier);
}

TEST_F(SegmentLogTest, ClosingWritesWhatIsQueued) {
  Open();
  const Ticket ticket = Append(1, {"a", "b"});
  log_ = nullptr;
  EXPECT_EQ(durable_, ticket);
  files_.Crash();
  Open();
  EXPECT_EQ(EntriesOf(*log_), (Strings{"1:a", "1:b"}));
}

TEST_F(SegmentLogTest, ALaterAppendReplacesTheTail) {
  struct Case {
    const char* name;
    bool written_between;
    uint64_t first;
    Strings payloads;
    Strings expected;
  };
  const Case cases[] = {
      {"middle, durable", true, 2, {"x"}, {"1:a", "2:x"}},
      {"middle, queued", false, 2, {"x"}, {"1:a", "2:x"}},
      {"all", true, 1, {"x", "y"}, {"2:x", "2:y"}},
      {"all, queued", false, 1, {"x", "y"}, {"2:x", "2:y"}},
      {"end", true, 4, {"x"}, {"1:a", "1:b", "1:c", "2:x"}},
      {"cut only, durable", true, 3, {}, {"1:a", "1:b"}},
      {"cut only, queued", false, 2, {}, {"1:a"}},
      {"nothing at all", true, 4, {}, {"1:a", "1:b", "1:c"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    log_ = nullptr;
    files_.CreateFolders(kFolder);
    const auto names = files_.List(kFolder);
    for (const std::string& name : *names) files_.Remove(std::string(kFolder) + "/" + name);
    Open();
    Append(1, {"a", "b", "c"});
    if (c.written_between) log_->Flush();
    const Ticket ticket = Append(c.first, c.payloads, 2);
    EXPECT_EQ(EntriesOf(*log_), c.expected);
    log_->Flush();
    EXPECT_EQ(durable_, ticket);
    EXPECT_EQ(EntriesOf(*log_), c.expected);
    Crash();
    EXPECT_EQ(EntriesOf(*log_), c.expected);
  }
}

TEST_F(SegmentLogTest, TruncationAcrossSegmentsDoesNotComeBack) {
  Open();
  for (uint64_t i = 1; i <= 10; ++i) {
    Append(i, {std::string(5'000, 'a')});
    log_->Flush();
  }
  ASSERT_GE(Segments(), 5u);
  Append(3, {"x"}, 2);
  log_->Flush();
  Crash();
  EXPECT_EQ(log_->last(), LogIndex(3));
  EXPECT_EQ(*log_->Read(LogIndex(3)).payload, "x");
  Append(4, {"y"}, 2);
  log_->Flush();
  Crash();
  EXPECT_EQ(log_->last(), LogIndex(4));
  EXPECT_EQ(log_->TermAt(LogIndex(2)), Term(1));
  EXPECT_EQ(log_->TermAt(LogIndex(4)), Term(2));
}

// All three go to the disk; each index is read from the newest.
TEST_F(SegmentLogTest, EntriesDroppedOnTheirWayToDiskAreReadFromTheirReplacement) {
  SegmentLogOptions options = SmallOptions();
  options.tail_bytes_max = 0;  // Everything that has a place is read from the file.
  Open(options);
  Append(1, {"a", "b"});
  Append(2, {"c", "d"}, 2);
  Append(3, {"e"}, 3);
  log_->Flush();
  EXPECT_EQ(EntriesOf(*log_), (Strings{"1:a", "2:c", "3:e"}));
}

TEST_F(SegmentLogTest, OldEntriesAreReadFromTheFile) {
  Open();
  Strings expected;
  for (uint64_t i = 1; i <= 50; ++i) {
    expected.push_back("1:" + std::string(i * 20, static_cast<char>('a' + i % 26)));
    Append(i, {expected.back().substr(2)});
    if (i % 3 == 0) log_->Flush();
  }
  EXPECT_EQ(EntriesOf(*log_), expected);
  log_->Flush();
  EXPECT_EQ(EntriesOf(*log_), expected);
}

TEST_F(SegmentLogTest, TruncatePrefixLetsGoOfWholeFiles) {
  Open();
  for (uint64_t i = 1; i <= 10; ++i) {
    Append(i, {std::string(5'000, 'a')});  // Two fit into a segment.
    log_->Flush();
  }
  while (log_->WritePending()) {
  }
  EXPECT_EQ(Segments(), 6u) << "five, and the next";
  log_->TruncatePrefix(LogIndex(2));
  EXPECT_EQ(log_->first(), LogIndex(1)) << "entry 2 shares its file";
  log_->TruncatePrefix(LogIndex(6));
  EXPECT_EQ(log_->first(), LogIndex(5));
  EXPECT_EQ(log_->TermAt(LogIndex(4)), Term(0));
  while (log_->WritePending()) {
  }
  EXPECT_EQ(Segments(), 4u);
  log_->TruncatePrefix(LogIndex(100));
  EXPECT_EQ(log_->first(), LogIndex(9)) << "the file that is written on stays";
  Crash();
  EXPECT_EQ(log_->first(), LogIndex(9));
  EXPECT_EQ(log_->last(), LogIndex(10));
  EXPECT_EQ(Segments(), 2u) << "leftovers are removed at restart";
}

TEST_F(SegmentLogTest, TruncatePrefixKeepsWhatIsNotDurablyReplaced) {
  Open();
  for (uint64_t i = 1; i <= 4; ++i) Append(i, {std::string(5'000, 'a')});
  log_->Flush();
  Append(2, {"x", "y", "z"}, 2);  // Queued only.
  log_->TruncatePrefix(LogIndex(4));
  EXPECT_EQ(log_->first(), LogIndex(1));
  Crash();
  EXPECT_EQ(log_->last(), LogIndex(4));
  EXPECT_EQ(log_->TermAt(LogIndex(4)), Term(1));
}

TEST_F(SegmentLogTest, ResetContinuesElsewhere) {
  Open();
  Append(1, {"a", "b"});
  log_->Flush();
  Append(3, {"c"});
  const Ticket ticket = log_->Reset(LogIndex(100), Term(7));
  EXPECT_EQ(log_->first(), LogIndex(100));
  EXPECT_EQ(log_->TermAt(LogIndex(99)), Term(7));
  EXPECT_EQ(log_->last(), LogIndex(99));
  Append(100, {"x"}, 2);
  log_->Flush();
  EXPECT_EQ(durable_, ticket + 1);
  Crash();
  EXPECT_EQ(log_->first(), LogIndex(100));
  EXPECT_EQ(EntriesOf(*log_), Strings{"2:x"});
  EXPECT_EQ(log_->TermAt(LogIndex(99)), Term(7));
  log_->Reset(LogIndex(200), Term(8));
  Crash();
  EXPECT_EQ(log_->last(), LogIndex(100)) << "not durable, not done";
}

TEST_F(SegmentLogTest, FindsTheOldestEntryWithinSoManyBytes) {
  Open();
  EXPECT_EQ(log_->OldestWithin(1'000), LogIndex(1)) << "empty";
  Append(1, {std::string(800, 'a'), std::string(80, 'b'), std::string(80, 'c')});
  EXPECT_EQ(log_->OldestWithin(0), LogIndex(4));
  EXPECT_EQ(log_->OldestWithin(RecordBytes(80)), LogIndex(3));
  EXPECT_EQ(log_->OldestWithin(2 * RecordBytes(80) + RecordBytes(800) - 1), LogIndex(2));
  EXPECT_EQ(log_->OldestWithin(2 * RecordBytes(80) + RecordBytes(800)), LogIndex(1));
}

TEST_F(SegmentLogTest, HardStateIsDurableOnReturn) {
  Open();
  log_->SaveHardState({Term(3), NodeId(2)});
  Crash();
  EXPECT_EQ(log_->hard_state(), (HardState{Term(3), NodeId(2)}));
}

TEST_F(SegmentLogTest, HardStateSurvivesACrashWithinItsWrite) {
  StopThrows stop_throws;
  for (uint64_t cut = 1; cut <= 5; ++cut) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      FaultyFileSystem files({.seed = seed, .sector_bytes = 8, .survive_percent = 50});
      auto log = TryOpen(files, &durable_);
      ASSERT_TRUE(log);
      const HardState before{Term(3), NodeId(2)};
      const HardState after{Term(4), NodeId(1)};
      (*log)->SaveHardState(before);
      files.CutPower(cut);
      bool saved = true;
      try {
        (*log)->SaveHardState(after);
      } catch (const Stopped&) {
        saved = false;
      }
      EXPECT_EQ(saved, cut == 5);
      (*log)->Abandon();
      log->reset();
      files.Crash();
      log = TryOpen(files, &durable_);
      ASSERT_TRUE(log) << log.error().message;
      const HardState found = (*log)->hard_state();
      EXPECT_TRUE(found == after || (!saved && found == before)) << "cut " << cut;
    }
  }
}

TEST_F(SegmentLogTest, ANewFolderThatWasCutShortStartsOver) {
  for (uint64_t cut = 1;; ++cut) {
    FaultyFileSystem files({.seed = cut});
    files.CutPower(cut);
    auto log = TryOpen(files, &durable_);
    if (log) break;
    files.Crash();
    log = TryOpen(files, &durable_);
    ASSERT_TRUE(log) << "cut " << cut << ": " << log.error().message;
    EXPECT_EQ((*log)->last(), LogIndex(0));
    ASSERT_LT(cut, 100u);
  }
}

TEST_F(SegmentLogTest, AFailedWriteOrSyncStopsForGood) {
  StopThrows stop_throws;
  for (const bool sync : {false, true}) {
    Open();
    Append(log_->last().value + 1, {"a"});
    sync ? files_.FailSync(1, EIO) : files_.FailWrite(1, ENOSPC);
    try {
      log_->WritePending();
      FAIL() << "went on";
    } catch (const Stopped& stop) {
      const std::string what = stop.what();
      EXPECT_NE(what.find(sync ? "I/O error" : "disk is full"), std::string::npos) << what;
      EXPECT_NE(what.find("segment-0000000001.log"), std::string::npos) << what;
    }
    EXPECT_EQ(durable_, 0u);
    EXPECT_THROW(log_->WritePending(), Stopped);
    EXPECT_THROW(Append(log_->last().value + 1, {"b"}), Stopped);
    EXPECT_THROW(log_->SaveHardState({Term(1), NodeId(1)}), Stopped);
  }
}

TEST_F(SegmentLogTest, WrongUseStops) {
  StopThrows stop_throws;
  Open();
  EXPECT_THROW(Append(2, {"gap"}), Stopped);
  EXPECT_THROW(Append(0, {"below"}), Stopped);
  EXPECT_THROW(Append(1, {std::string(4 * kPageBytes, 'x')}), Stopped);
  EXPECT_THROW(log_->Read(LogIndex(1)), Stopped);
  EXPECT_EQ(log_->last(), LogIndex(0));
}

TEST_F(SegmentLogTest, OneAtATime) {
  Open();
  Ticket durable;
  auto second = TryOpen(files_, &durable);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().hint.find("Another process"), std::string::npos);
}

TEST_F(SegmentLogTest, OptionsAreChecked) {
  for (const uint64_t bytes : {uint64_t{0}, kSegmentBytesMin + 1, 2 * kSegmentBytesMax}) {
    SegmentLogOptions options = SmallOptions();
    options.segment_bytes = bytes;
    auto log = TryOpen(files_, &durable_, options);
    ASSERT_FALSE(log);
    EXPECT_EQ(log.error().field, "segment_bytes");
  }
}

TEST_F(SegmentLogTest, TheSizeOfSegmentsMayChange) {
  Open();
  while (log_->WritePending()) {
  }
  SegmentLogOptions options = SmallOptions();
  options.segment_bytes *= 4;
  Open(options);
  Append(1, {"a", std::string(size_t{12} * kPageBytes, 'b'), "c"});
  log_->Flush();
  Open();
  EXPECT_EQ(log_->last(), LogIndex(3));
  EXPECT_EQ(log_->Read(LogIndex(2)).payload->size(), size_t{12} * kPageBytes);
}

// The writer's own thread, on real files: the loop appends, cuts, reads and truncates while groups
// are written.
TEST(SegmentLogThreadTest, WritesWhileTheLoopGoesOn) {
  std::string folder = (std::filesystem::temp_directory_path() / "holdfast-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  PosixFileSystem files;
  const SegmentLogOptions options{.segment_bytes = 64 << 10, .tail_bytes_max = 8 << 10};
  std::vector<std::string> model;  // From index 1 on.
  uint64_t first = 1;
  {
    std::atomic<Ticket> durable = 0;
    auto opened = SegmentLog::Open(files, folder, options, [&](Ticket t) { durable = t; });
    ASSERT_TRUE(opened) << opened.error().message;
    SegmentLog& log = **opened;
    Ticket ticket = 0;
    for (uint64_t i = 1; i <= 3'000; ++i) {
      uint64_t at = model.size() + 1;
      if (i % 7 == 0 && at > first + 3) at -= 3;
      model.resize(at - 1);
      model.push_back("entry " + std::to_string(i) + std::string(i % 200, '.'));
      ticket = log.Append(LogIndex(at), {MakeEntry(i, model.back())});
      const uint64_t back = first + i * 7919 % (model.size() - first + 1);
      ASSERT_EQ(*log.Read(LogIndex(back)).payload, model[back - 1]);
      if (i % 500 == 0) {
        log.Flush();
        log.TruncatePrefix(LogIndex(model.size() - 50));
        first = log.first().value;
      }
      if (i % 300 == 0) log.SaveHardState({Term(i), NodeId(1)});
    }
    opened->reset();
    EXPECT_EQ(durable, ticket);
  }
  EXPECT_GT(first, 1u);
  auto log = SegmentLog::Open(files, folder, options, [](Ticket) {});
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_EQ((*log)->first(), LogIndex(first));
  ASSERT_EQ((*log)->last(), LogIndex(model.size()));
  for (uint64_t i = first; i <= model.size(); ++i) {
    ASSERT_EQ(*(*log)->Read(LogIndex(i)).payload, model[i - 1]);
  }
  EXPECT_EQ((*log)->hard_state().term, Term(3'000));
  log->reset();
  std::filesystem::remove_all(folder);
}

TEST(SegmentLogThreadDeathTest, AFailedSyncEndsTheProcess) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        FaultyFileSystem files;
        SegmentLogOptions options = SmallOptions();
        options.threaded = true;
        auto log = SegmentLog::Open(files, kFolder, options, [](Ticket) {});
        files.FailSync(1, EIO);
        (*log)->Append(LogIndex(1), {MakeEntry(1, "a")});
        (*log)->Flush();
      },
      "the log cannot go on: .*fdatasync.*replace the disk");
}

TEST(SegmentLogThreadDeathTest, AFailedSyncIsWhatTheProcessEndsWithWhateverTheLoopDoesMeanwhile) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  for (int round = 0; round < 10; ++round) {  // It is a race.
    EXPECT_EXIT(
        {
          FaultyFileSystem files;
          SegmentLogOptions options = SmallOptions();
          options.threaded = true;
          auto log = SegmentLog::Open(files, kFolder, options, [](Ticket) {});
          files.FailSync(1, EIO);
          for (uint64_t i = 1;; ++i) (*log)->Append(LogIndex(i), {MakeEntry(1, "a")});
        },
        ::testing::ExitedWithCode(5), "the log cannot go on: .*fdatasync");
  }
}

}  // namespace
}  // namespace holdfast::wal
