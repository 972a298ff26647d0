#include "src/wal/scrub.h"

#include "src/wal/log_testing.h"

namespace holdfast::wal {
namespace {

class ScrubTest : public ::testing::Test {
 protected:
  ScrubTest() {
    log_ = *TryOpen(files_, &durable_);
    for (uint64_t i = 1; i <= 30; ++i) {
      log_->Append(LogIndex(i), {MakeEntry(1, std::string(1'000, 'x'))});
      log_->Flush();
    }
    log_->Append(LogIndex(25), {MakeEntry(2, "in place of others")});
    log_->Flush();
  }
  // What is damaged; empty: nothing.
  std::string Scrub() {
    for (auto next = log_->ToScrub(0); next; next = log_->ToScrub(next->segment.sequence + 1)) {
      const auto checked = ScrubSegment(*next, log_->salt(), [this](uint64_t bytes) {
        read_ += bytes;
        return true;
      });
      if (!checked) return checked.error().message;
    }
    return "";
  }
  void FlipAt(const Segment& segment, uint64_t offset) {
    char byte = 0;
    ASSERT_TRUE(segment.file->Read(offset, 1, &byte));
    byte = static_cast<char>(byte ^ 4);
    ASSERT_TRUE(segment.file->Write(offset, {&byte, 1}));
  }

  FaultyFileSystem files_;
  Ticket durable_ = 0;
  std::unique_ptr<SegmentLog> log_;
  uint64_t read_ = 0;
};

TEST_F(ScrubTest, AWholeLogIsGoodAlsoWhileItGrows) {
  EXPECT_EQ(Scrub(), "");
  EXPECT_GE(read_, 30'000u);
  log_->Append(LogIndex(26), {MakeEntry(2, "not written yet")});
  EXPECT_EQ(Scrub(), "");
  log_->Flush();
  EXPECT_EQ(Scrub(), "");
  log_ = nullptr;
  log_ = *TryOpen(files_, &durable_);
  EXPECT_EQ(Scrub(), "") << "after a restart";
}

// Every byte that is durable, in the files before the last and in what the last one holds.
TEST_F(ScrubTest, AFlippedBitIsNamedWithItsFileAndPlace) {
  size_t found = 0;
  for (auto next = log_->ToScrub(0); next; next = log_->ToScrub(next->segment.sequence + 1)) {
    const Segment& segment = next->segment;
    std::string bytes(segment.bytes, '\0');
    ASSERT_TRUE(segment.file->Read(0, bytes.size(), bytes.data()));
    const uint64_t end = bytes.find_last_not_of('\0');
    for (uint64_t offset = kSegmentHeaderBytes; offset <= end; offset += 61) {
      FlipAt(segment, offset);
      const std::string what = Scrub();
      EXPECT_NE(what.find(segment.path + ", offset "), std::string::npos) << offset << what;
      FlipAt(segment, offset);
      ++found;
    }
  }
  EXPECT_GT(found, 400u);
  EXPECT_EQ(Scrub(), "");
}

TEST_F(ScrubTest, AFileThatTheLogHasLetGoOfIsStillReadable) {
  const auto first = log_->ToScrub(0);
  log_->TruncatePrefix(LogIndex(20));
  while (log_->WritePending()) {  // The files go.
  }
  EXPECT_GT(log_->ToScrub(0)->segment.sequence, first->segment.sequence);
  EXPECT_TRUE(ScrubSegment(*first, log_->salt(), [](uint64_t) { return true; }));
}

}  // namespace
}  // namespace holdfast::wal
