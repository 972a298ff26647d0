// Torn or damaged: what the log says of bytes that are not what it wrote.
#include "src/wal/recovery.h"

#include <cerrno>
#include <optional>

#include "src/wal/log_testing.h"

namespace holdfast::wal {
namespace {

constexpr uint64_t kBase = kSegmentHeaderBytes;
const std::string kFirst = std::string(kFolder) + "/" + SegmentName(1);
const std::string kSecond = std::string(kFolder) + "/" + SegmentName(2);
const std::string kState = std::string(kFolder) + "/" + StateFile::kName;

class RecoveryTest : public ::testing::Test {
 protected:
  void Open() {
    auto log = TryOpen(files_, &durable_);
    ASSERT_TRUE(log) << log.error().message;
    log_ = std::move(*log);
  }
  // As a killed process leaves it: no last word on what was durable.
  void Kill() {
    log_->Abandon();
    log_ = nullptr;
  }
  void AppendGroup(const std::vector<std::string>& payloads) {
    std::vector<Entry> entries;
    entries.reserve(payloads.size());
    for (const std::string& payload : payloads) entries.push_back(MakeEntry(1, payload));
    log_->Append(log_->last().Next(), std::move(entries));
    log_->Flush();
  }
  std::string OpenError() {
    auto log = TryOpen(files_, &durable_);
    return log ? "it opened" : log.error().message;
  }
  void Overwrite(const std::string& path, uint64_t offset, std::string_view bytes) {
    auto file = files_.Open(path, OpenMode::kReadWrite);
    ASSERT_TRUE(file && (*file)->Write(offset, bytes) && (*file)->Sync());
  }

  FaultyFileSystem files_;
  std::unique_ptr<SegmentLog> log_;
  Ticket durable_ = 0;
};

// Record of "a": 56 + 8 bytes.
TEST_F(RecoveryTest, EveryBitOfAnEarlierGroupIsGuarded) {
  Open();
  AppendGroup({"a"});
  AppendGroup({"b"});
  Kill();
  for (uint64_t offset = 0; offset < 64; ++offset) {
    files_.FlipBit(kFirst, kBase + offset, offset % 8);
    const std::string error = OpenError();
    EXPECT_NE(error.find(kFirst + ", offset 4096: bad record of group 1, although group 2 was "
                                  "written after it at offset 4160"),
              std::string::npos)
        << error;
    files_.FlipBit(kFirst, kBase + offset, offset % 8);
  }
  Open();
  EXPECT_EQ(log_->last(), LogIndex(2));
}

// Whichever sector of the last write did not arrive: of three records of 656 bytes behind one
// of 64.
TEST_F(RecoveryTest, ATornTailIsCutAsAWholeGroupAndStaysAway) {
  constexpr uint64_t kGroup = 64, kEnd = 64 + 3 * 656;
  for (uint64_t sector = 0; sector < kEnd; sector += 512) {
    SCOPED_TRACE(sector);
    ASSERT_TRUE(files_.RemoveAll(kFolder));
    Open();
    AppendGroup({"a"});
    AppendGroup({std::string(600, 'x'), std::string(600, 'y'), std::string(600, 'z')});
    Kill();
    const uint64_t from = std::max(sector, kGroup);
    Overwrite(kFirst, kBase + from, std::string(std::min(sector + 512, kEnd) - from, '\0'));
    Open();
    EXPECT_EQ(EntriesOf(*log_), std::vector<std::string>{"1:a"});
    const auto bytes = files_.Contents(kFirst);
    EXPECT_EQ(bytes->find_first_not_of('\0', kBase + 64), std::string::npos) << "zeros again";
    AppendGroup({"new"});  // Where "x" stood; "y" must not follow it.
    Kill();
    files_.Crash();
    Open();
    EXPECT_EQ(EntriesOf(*log_), (std::vector<std::string>{"1:a", "1:new"}));
    log_ = nullptr;
  }
}

// A sector that did not arrive is one of zeros: anything else is damage, and not to be cut.
TEST_F(RecoveryTest, AFlippedBitInTheLastGroupIsNotTorn) {
  for (const size_t records : {1, 2}) {
    SCOPED_TRACE(records);
    ASSERT_TRUE(files_.RemoveAll(kFolder));
    Open();
    AppendGroup({"a"});
    AppendGroup(records == 1 ? std::vector<std::string>{std::string(600, 'x')}
                             : std::vector<std::string>{std::string(600, 'x'), "y"});
    Kill();
    for (uint64_t bit = 64 * 8; bit < (64 + 656 + (records - 1) * 64) * 8; ++bit) {
      files_.FlipBit(kFirst, kBase + bit / 8, bit % 8);
      const std::string error = OpenError();
      ASSERT_NE(error.find("bad record of group 2, although all its sectors were written"),
                std::string::npos)
          << "bit " << bit << ": " << error;
      files_.FlipBit(kFirst, kBase + bit / 8, bit % 8);
    }
    Open();
    EXPECT_EQ(log_->last(), LogIndex(1 + records));
    log_ = nullptr;
  }
}

// The zeros in the place of a torn group were written, and not synced: a process that starts after
// it sees them, the disk does not have them.
TEST_F(RecoveryTest, ZerosThatAreOnlyInThePageCacheAreWrittenAgain) {
  StopThrows stop_throws;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    FaultyFileSystem files({.seed = seed, .survive_percent = 50});
    Ticket durable = 0;
    const auto kill = [](std::unique_ptr<SegmentLog> log) { log->Abandon(); };
    auto log = TryOpen(files, &durable);
    ASSERT_TRUE(log);
    (*log)->Append(LogIndex(1), {MakeEntry(1, "a")});
    (*log)->Flush();
    (*log)->Append(LogIndex(2), {MakeEntry(1, std::string(3'000, 'x'))});
    files.CutPower(1);
    try {
      (*log)->Flush();
    } catch (const Stopped&) {
    }
    kill(std::move(*log));
    files.Crash();  // Any of its sectors may be there.
    files.FailSync(1 + seed % 6, EIO);
    if (auto first = TryOpen(files, &durable)) kill(std::move(*first));
    auto second = TryOpen(files, &durable);
    ASSERT_TRUE(second) << second.error().message;
    (*second)->Append((*second)->last().Next(), {MakeEntry(1, std::string(1'500, 'y'))});
    files.CutPower(1);
    try {
      (*second)->Flush();
    } catch (const Stopped&) {
    }
    kill(std::move(*second));
    files.Crash();
    const auto third = TryOpen(files, &durable);
    ASSERT_TRUE(third) << third.error().message;
    EXPECT_GE((*third)->last(), LogIndex(1));
    (*third)->Abandon();
  }
}

TEST_F(RecoveryTest, ATailThatWasKnownToBeDurableIsNotTorn) {
  Open();
  AppendGroup({"a"});
  AppendGroup({"b"});
  log_ = nullptr;  // A clean end says so.
  files_.FlipBit(kFirst, kBase + 64 + 60, 0);
  EXPECT_EQ(OpenError(), kFirst +
                             ", offset 4160: bad record of group 2, which is known to have "
                             "been durable");
}

TEST_F(RecoveryTest, ATailThatBecameZerosIsMissed) {
  Open();
  AppendGroup({"a"});
  AppendGroup({"b"});
  log_->SaveHardState({Term(1), NodeId(1)});  // Says it in passing.
  Kill();
  Overwrite(kFirst, kBase + 64, std::string(64, '\0'));
  EXPECT_EQ(OpenError(), kFirst +
                             ", offset 4160: the log ends before group 2, which is known to "
                             "have been durable");
}

TEST_F(RecoveryTest, DamageBeforeALaterSegmentIsFound) {
  Open();
  AppendGroup({std::string(5'000, 'a')});
  AppendGroup({std::string(5'000, 'b')});
  AppendGroup({std::string(5'000, 'c')});  // In the second segment.
  Kill();
  // Within group 2, the last of its segment: torn, if it were the last of all.
  Overwrite(kFirst, kBase + 6'144, std::string(512, '\0'));
  EXPECT_EQ(OpenError(),
            kFirst + ", offset 9152: bad record, although " + kSecond + " was written after it");
}

TEST_F(RecoveryTest, AGroupThatVanishedIsFound) {
  Open();
  AppendGroup({std::string(5'000, 'a')});
  AppendGroup({std::string(5'000, 'b')});
  AppendGroup({std::string(5'000, 'c')});
  Kill();
  Overwrite(kFirst, kBase + 5'056, std::string(5'056, '\0'));
  EXPECT_NE(OpenError().find(kSecond + ", offset 4096: bad record of group 2, although group 3"),
            std::string::npos);
}

// A payload that looks like records of later groups, torn: without the salt its checksums fail, so
// it cannot pass for damage; nor for entries.
TEST_F(RecoveryTest, APayloadCannotPretend) {
  std::string forged;
  for (uint32_t i = 0; i < 20; ++i) {
    AppendRecord({.index = LogIndex(2), .term = Term(9), .group = 3 + i, .group_records = 1},
                 "forged", 0, &forged);
  }
  Open();
  AppendGroup({"a"});
  AppendGroup({forged});
  Kill();
  Overwrite(kFirst, kBase + 64, std::string(512 - 64, '\0'));
  Open();
  EXPECT_EQ(EntriesOf(*log_), std::vector<std::string>{"1:a"});
}

TEST_F(RecoveryTest, ReadingADamagedEntryStops) {
  StopThrows stop_throws;
  Open();
  AppendGroup({"a"});
  AppendGroup({std::string(3'000, 'b')});  // Drives "a" out of memory.
  files_.FlipBit(kFirst, kBase + 56, 1);
  try {
    log_->Read(LogIndex(1));
    FAIL() << "was read";
  } catch (const Stopped& stop) {
    EXPECT_NE(std::string(stop.what()).find(kFirst + ", offset 4096: entry 1 does not read back"),
              std::string::npos)
        << stop.what();
  }
  Kill();
}

TEST_F(RecoveryTest, FilesAreNotMixedUp) {
  Open();
  for (int i = 0; i < 6; ++i) AppendGroup({std::string(5'000, 'a')});
  Kill();
  const std::string third = std::string(kFolder) + "/" + SegmentName(3);
  const std::string aside = std::string(kFolder) + "/aside";

  ASSERT_TRUE(files_.Rename(kSecond, aside));
  EXPECT_EQ(OpenError(), kSecond + ", offset 0: the segment is missing");
  ASSERT_TRUE(files_.Rename(third, kSecond));
  ASSERT_TRUE(files_.Rename(aside, third));
  EXPECT_EQ(OpenError(), kSecond + ", offset 0: the file was written as " + SegmentName(3));
  ASSERT_TRUE(files_.Rename(third, aside));
  ASSERT_TRUE(files_.Rename(kSecond, third));
  ASSERT_TRUE(files_.Rename(aside, kSecond));

  ASSERT_TRUE(files_.Rename(kFirst, aside));
  EXPECT_EQ(OpenError(), kFirst + ", offset 0: the segment is missing");
  ASSERT_TRUE(files_.Rename(aside, kFirst));

  ASSERT_TRUE(files_.Rename(kState, aside));
  EXPECT_NE(OpenError().find("term and vote is missing"), std::string::npos);
  ASSERT_TRUE(files_.Rename(aside, kState));
  Open();
  EXPECT_EQ(log_->last(), LogIndex(6));
}

TEST_F(RecoveryTest, HeadersAreChecked) {
  Open();
  AppendGroup({"a"});
  Kill();
  const std::string whole = *files_.Contents(kFirst);
  const auto with = [&](const SegmentHeader& header) {
    Overwrite(kFirst, 0, EncodeSegmentHeader(header));
    return OpenError();
  };
  EXPECT_EQ(with({8, 1, 4 * kPageBytes}),
            kFirst + ", offset 0: the segment belongs to another log");
  EXPECT_EQ(with({7, 1, 8 * kPageBytes}),
            kFirst + ", offset 16384: the file was written with 32768 bytes");
  Overwrite(kFirst, 8, "\x02");
  EXPECT_EQ(OpenError(), kFirst +
                             ", offset 0: segment has format version 2, this build reads "
                             "version 1");
  Overwrite(kFirst, 0, "NOTMYLOG");
  EXPECT_EQ(OpenError(), kFirst + ", offset 0: not a segment of a Holdfast log");
  Overwrite(kFirst, 0, whole);
  Open();
}

TEST_F(RecoveryTest, WholeRecordsThatMakeNoSenseAreNamed) {
  struct Case {
    RecordHeader header;
    std::string payload;
    const char* error;
  };
  const Case cases[] = {
      {{.type = static_cast<RecordType>(9), .index = LogIndex(2)}, "", "record type 9 is unknown"},
      {{.index = LogIndex(3)}, "", "index 3 in a log of entries 1 to 1"},
      {{.type = RecordType::kCut, .index = LogIndex(9)}, "", "index 9 in a log of entries 1 to 1"},
      {{.index = LogIndex(0)}, "", "no log has an entry 0"},
      {{.index = LogIndex(UINT64_MAX)}, "", "no log has an entry 18446744073709551615"},
      {{.type = RecordType::kReset, .index = LogIndex(0)}, "", "no log has an entry 0"},
      {{.index = LogIndex(2)}, std::string(bounds::kEntryBytesMax + 1, 'x'), "above this build's"},
      {{.index = LogIndex(2)}, std::string(20'000, 'x'), "does not fit into its segment"},
  };
  for (const Case& c : cases) {
    Open();
    if (log_->last() == LogIndex(0)) AppendGroup({"a"});
    Kill();
    RecordHeader header = c.header;
    header.group = 2;
    header.group_records = 1;
    std::string bytes;
    AppendRecord(header, c.payload, SmallOptions().salt, &bytes);
    Overwrite(kFirst, kBase + 64, bytes.substr(0, 8'000));
    const std::string error = OpenError();
    EXPECT_NE(error.find(kFirst + ", offset 4160: "), std::string::npos) << error;
    EXPECT_NE(error.find(c.error), std::string::npos) << error;
    Overwrite(kFirst, kBase + 64, std::string(8'000, '\0'));
  }
}

TEST_F(RecoveryTest, OneRottenCopyOfTheVoteIsHarmlessTwoAreNot) {
  Open();
  log_->SaveHardState({Term(3), NodeId(2)});
  Kill();
  for (const uint64_t page : {1, 2}) {
    files_.FlipBit(kState, page * kPageBytes + 20, 5);
    Open();
    EXPECT_EQ(log_->hard_state(), (HardState{Term(3), NodeId(2)}));
    Kill();
  }
  files_.FlipBit(kState, kPageBytes + 20, 5);
  files_.FlipBit(kState, 2 * kPageBytes + 20, 5);
  EXPECT_EQ(OpenError(), kState + ", offset 4096: both copies of term and vote are damaged");
}

TEST_F(RecoveryTest, TheOnlyGoodCopyOfTheVoteIsNeverTheOneBeingWritten) {
  for (const uint64_t rotten_page : {1, 2}) {
    for (uint64_t cut = 1; cut <= 12; ++cut) {
      for (uint64_t seed = 1; seed <= 10; ++seed) {
        FaultyFileSystem files({.seed = seed, .sector_bytes = 8, .survive_percent = 50});
        auto log = TryOpen(files, &durable_);
        ASSERT_TRUE(log);
        (*log)->SaveHardState({Term(3), NodeId(2)});
        (*log)->Abandon();
        log->reset();
        files.FlipBit(kState, rotten_page * kPageBytes + 20, 5);
        files.CutPower(cut);
        log = TryOpen(files, &durable_);
        if (log) (*log)->Abandon();
        log = Fail(Error{});
        files.Crash();
        log = TryOpen(files, &durable_);
        ASSERT_TRUE(log) << "cut " << cut << ": " << log.error().message;
        EXPECT_EQ((*log)->hard_state(), (HardState{Term(3), NodeId(2)}));
      }
    }
  }
}

// A failed sync, then a restart of the process alone: the page cache shows a group that is not on
// the disk. What the restarted log reports must survive the power failure that follows.
TEST_F(RecoveryTest, AGroupSeenOnlyInThePageCacheIsWrittenAgain) {
  StopThrows stop_throws;
  FaultyFileSystem files({.survive_percent = 0});
  auto log = TryOpen(files, &durable_);
  ASSERT_TRUE(log);
  (*log)->Append(LogIndex(1), {MakeEntry(1, "a")});
  files.FailSync(1, EIO);
  EXPECT_THROW((*log)->Flush(), Stopped);
  log->reset();
  log = TryOpen(files, &durable_);
  ASSERT_TRUE(log);
  ASSERT_EQ((*log)->last(), LogIndex(1));
  (*log)->Abandon();
  log->reset();
  files.Crash();
  log = TryOpen(files, &durable_);
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_EQ((*log)->last(), LogIndex(1));
}

// The same for term and vote, where each of the two slots may be the one that failed. The power
// then fails at every point of the restart.
TEST_F(RecoveryTest, AVoteSeenOnlyInThePageCacheIsSettledBeforeItIsOverwritten) {
  StopThrows stop_throws;
  for (const uint64_t failing_sync : {1, 2}) {
    for (uint64_t cut = 1; cut <= 12; ++cut) {
      for (uint64_t seed = 1; seed <= 10; ++seed) {
        FaultyFileSystem files({.seed = seed, .sector_bytes = 8, .survive_percent = 50});
        auto log = TryOpen(files, &durable_);
        ASSERT_TRUE(log);
        (*log)->SaveHardState({Term(3), NodeId(2)});
        files.FailSync(failing_sync, EIO);
        EXPECT_THROW((*log)->SaveHardState({Term(4), NodeId(1)}), Stopped);
        log->reset();
        files.CutPower(cut);
        log = TryOpen(files, &durable_);
        std::optional<HardState> reported;
        if (log) {
          reported = (*log)->hard_state();
          (*log)->Abandon();
          log->reset();
        }
        files.Crash();
        log = TryOpen(files, &durable_);
        ASSERT_TRUE(log) << "cut " << cut << ": " << log.error().message;
        const HardState found = (*log)->hard_state();
        EXPECT_TRUE(found.term == Term(4) || (!reported && found.term == Term(3)));
      }
    }
  }
}

}  // namespace
}  // namespace holdfast::wal
