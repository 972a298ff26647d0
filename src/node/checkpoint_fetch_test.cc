// Fetching a checkpoint from a peer that does well, badly, or nothing; and the peer's own side.
#include "src/node/checkpoint_fetch.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <xxhash.h>

#include <filesystem>
#include <fstream>

#include "src/base/file_system_faulty.h"
#include "src/base/testing/queue_executor.h"
#include "src/node/checkpoint_exports.h"
#include "src/node/checkpoint_install.h"
#include "src/raft/testing/memory_log.h"
#include "tests/support/temp_folder.h"

namespace holdfast::node {
namespace {

namespace fs = std::filesystem;

constexpr NodeId kLeader{1}, kStranger{2};

class CheckpointFetchTest : public ::testing::Test {
 protected:
  CheckpointFetchTest()
      : exports_(files_, folder_.path() + "/exports", queue_, [this](const std::string& to) {
          fs::copy(folder_.path() + "/store", to);
          return Result<void>();
        }) {
    spdlog::set_level(spdlog::level::off);
    fs::create_directory(folder_.path() + "/store");
    Restart(bounds::kCheckpointBytesPerSecond);
  }
  ~CheckpointFetchTest() override { spdlog::set_level(spdlog::level::info); }

  void Restart(uint64_t bytes_per_second) {
    fetch_.emplace(CheckpointFetch::Parts{
        files_, Incoming(), Complete(), queue_, [this](Task task) { queue_.Post(std::move(task)); },
        [this](NodeId, CheckpointRequest request) {
          if (is_linked_) asked_.push_back(std::move(request));
          return is_linked_;
        },
        [this](const CheckpointManifest& manifest) { done_ = manifest; }, bytes_per_second});
  }
  std::string Incoming() { return folder_.path() + "/incoming"; }
  std::string Complete() { return folder_.path() + "/checkpoint"; }
  void PutFile(const std::string& name, size_t bytes) {
    std::string data(bytes, '\0');
    for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<char>(i * 31 + i / 977);
    std::ofstream(folder_.path() + "/store/" + name) << data;
    stored_[name] = data;
  }
  static std::string Read(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  CheckpointReply AnswerTo(const CheckpointRequest& request) {
    CheckpointReply reply;
    if (request.session() == 0) {
      auto manifest = exports_.Open(kLeader, now_ms_);
      EXPECT_TRUE(manifest);
      manifest->set_index(7);
      manifest->set_index_term(3);
      manifest->set_leader_term(4);
      *reply.mutable_manifest() = *manifest;
    } else {
      auto piece = exports_.Read(kLeader, request, now_ms_);
      EXPECT_TRUE(piece);
      *reply.mutable_piece() = *piece;
    }
    return reply;
  }
  // Answers until nothing more is asked; `spoil` may change each answer.
  void Serve(const std::function<void(CheckpointReply&)>& spoil = nullptr) {
    queue_.RunAll();
    while (!asked_.empty() && fetch_->active()) {
      EXPECT_LE(asked_.size(), bounds::kCheckpointPiecesInFlight);
      const CheckpointRequest request = asked_.front();
      asked_.erase(asked_.begin());
      CheckpointReply reply = AnswerTo(request);
      if (spoil) spoil(reply);
      fetch_->Receive(now_ms_, kLeader, std::move(reply));
      queue_.RunAll();
    }
    asked_.clear();
  }

  testing::TempFolder folder_;
  PosixFileSystem files_;
  testing::QueueExecutor queue_;
  CheckpointExports exports_;
  std::optional<CheckpointFetch> fetch_;
  std::vector<CheckpointRequest> asked_;
  bool is_linked_ = true;
  std::optional<CheckpointManifest> done_;
  std::map<std::string, std::string> stored_;
  uint64_t now_ms_ = 1'000;
};

TEST_F(CheckpointFetchTest, FetchesEveryFileByteByByte) {
  PutFile("000007.sst", 3 * bounds::kCheckpointPieceBytes + 11);
  PutFile("CURRENT", 16);
  PutFile("EMPTY", 0);
  fetch_->Begin(now_ms_, kLeader);
  Serve();
  ASSERT_TRUE(done_);
  EXPECT_EQ(done_->index(), 7u);
  EXPECT_FALSE(fetch_->active());
  EXPECT_FALSE(fs::exists(Incoming()));
  for (const auto& [name, data] : stored_)
    EXPECT_EQ(Read(Complete() + "/db/" + name), data) << name;
}

TEST_F(CheckpointFetchTest, TheNextStartInstallsIt) {
  PutFile("000007.sst", 100);
  fetch_->Begin(now_ms_, kLeader);
  Serve();
  const std::string data = folder_.path() + "/node";
  const auto open_log = [&] {
    auto log = wal::SegmentLog::Open(files_, data + "/log", {}, [](wal::Ticket) {});
    EXPECT_TRUE(log);
    return std::move(*log);
  };
  fs::create_directories(data + "/store/db");
  std::ofstream(data + "/store/db/old") << "old";
  // As often as a crash may cut it short.
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto log = open_log();
    auto pending = PendingCheckpoint(files_, Complete(), *log);
    ASSERT_TRUE(pending && *pending);
    ASSERT_TRUE(InstallStore(files_, Complete(), data + "/store/db"));
    InstallLog(*log, **pending);
    EXPECT_EQ(log->first(), LogIndex(8));
    EXPECT_EQ(log->TermAt(LogIndex(7)), Term(3));
    EXPECT_EQ(log->hard_state().term, Term(4));
    EXPECT_FALSE(fs::exists(data + "/store/db/old"));
    EXPECT_EQ(Read(data + "/store/db/000007.sst"), stored_["000007.sst"]);
  }
  ASSERT_TRUE(FinishInstall(files_, Complete()));
  auto log = open_log();
  auto pending = PendingCheckpoint(files_, Complete(), *log);
  EXPECT_TRUE(pending && !*pending);
}

TEST_F(CheckpointFetchTest, AStartWhoseLogHoldsItDropsIt) {
  PutFile("000007.sst", 100);
  fetch_->Begin(now_ms_, kLeader);
  Serve();
  auto log = wal::SegmentLog::Open(files_, folder_.path() + "/log", {}, [](wal::Ticket) {});
  ASSERT_TRUE(log);
  (*log)->Reset(LogIndex(7), Term(2));
  (*log)->Append(LogIndex(7), {wal::Entry{Term(3), wal::EntryType::kBarrier, nullptr}});
  auto pending = PendingCheckpoint(files_, Complete(), **log);
  EXPECT_TRUE(pending && !*pending);
  EXPECT_FALSE(fs::exists(Complete()));
}

// At whatever change of names the power goes: it is there in full, or it is not there.
TEST(CheckpointInstallTest, ACrashWhileItIsRemovedLeavesNoHalf) {
  CheckpointManifest manifest;
  manifest.set_index(7);
  manifest.set_index_term(3);
  bool was_there = false;
  bool was_gone = false;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    FaultyFileSystem files({.seed = seed});
    ASSERT_TRUE(files.CreateFolders("/data/checkpoint/db"));
    ASSERT_TRUE(ReplaceFile(files, "/data/checkpoint/manifest", EncodePending(manifest)));
    ASSERT_TRUE(ReplaceFile(files, "/data/checkpoint/db/000007.sst", "rows"));
    files.CutPower(seed % 9 + 1);
    static_cast<void>(FinishInstall(files, "/data/checkpoint"));
    files.Crash();
    raft::sim::MemoryLog log;
    const auto pending = PendingCheckpoint(files, "/data/checkpoint", log);
    ASSERT_TRUE(pending) << pending.error().message;
    (*pending ? was_there : was_gone) = true;
    if (*pending) {
      EXPECT_TRUE(*files.Exists("/data/checkpoint/db/000007.sst")) << seed;
    }
  }
  EXPECT_TRUE(was_there && was_gone);
}

TEST_F(CheckpointFetchTest, ABadPieceEndsIt) {
  const std::function<void(CheckpointPiece&)> spoilers[] = {
      [](CheckpointPiece& p) { p.mutable_data()->front() ^= 1; },
      [](CheckpointPiece& p) { p.set_offset(p.offset() + 1); },
      [](CheckpointPiece& p) { p.set_file(p.file() + 1); },
      [](CheckpointPiece& p) {
        p.mutable_data()->pop_back();
        p.set_checksum(XXH3_64bits(p.data().data(), p.data().size()));
      }};
  PutFile("000007.sst", 1'000);
  for (const auto& spoil : spoilers) {
    fetch_->Begin(now_ms_, kLeader);
    Serve([&](CheckpointReply& reply) {
      if (reply.has_piece()) spoil(*reply.mutable_piece());
    });
    EXPECT_FALSE(fetch_->active());
    EXPECT_FALSE(done_);
    EXPECT_GT(fetch_->earliest_ms(), now_ms_) << "not at once again";
    EXPECT_FALSE(fs::exists(Incoming())) << "it takes no room while it waits";
  }
  fetch_->Begin(now_ms_, kLeader);
  Serve();
  EXPECT_TRUE(done_) << "a better peer is believed";
}

TEST_F(CheckpointFetchTest, ABadManifestEndsIt) {
  const std::function<void(CheckpointManifest&)> spoilers[] = {
      [](CheckpointManifest& m) { m.set_index(0); },
      [](CheckpointManifest& m) { m.set_index(UINT64_MAX); },
      [](CheckpointManifest& m) { m.set_index_term(0); },
      [](CheckpointManifest& m) { m.clear_files(); },
      [](CheckpointManifest& m) { *m.add_files() = m.files(0); },
      [](CheckpointManifest& m) { m.mutable_files(0)->set_name("../identity"); },
      [](CheckpointManifest& m) { m.mutable_files(0)->set_name("a/b"); },
      [](CheckpointManifest& m) { m.mutable_files(0)->set_name(".hidden"); },
      [](CheckpointManifest& m) { m.mutable_files(0)->set_name(""); },
      [](CheckpointManifest& m) { m.mutable_files(0)->set_name(std::string(65, 'x')); },
      // More than any disk: it says so before the first piece.
      [](CheckpointManifest& m) { m.mutable_files(0)->set_bytes(uint64_t{1} << 60); }};
  PutFile("000007.sst", 1'000);
  for (const auto& spoil : spoilers) {
    fetch_->Begin(now_ms_, kLeader);
    Serve([&](CheckpointReply& reply) {
      if (reply.has_manifest()) spoil(*reply.mutable_manifest());
    });
    EXPECT_FALSE(fetch_->active());
    EXPECT_FALSE(done_);
  }
}

TEST_F(CheckpointFetchTest, GivesUpOnALeaderThatIsSilentOrGone) {
  PutFile("000007.sst", 1'000);
  fetch_->Begin(now_ms_, kLeader);
  fetch_->Step(now_ms_ + 29'000);
  EXPECT_TRUE(fetch_->active());
  fetch_->Step(now_ms_ + 31'000);
  EXPECT_FALSE(fetch_->active());

  fetch_->Begin(now_ms_, kLeader);
  fetch_->LinkDown(now_ms_, kStranger);
  EXPECT_TRUE(fetch_->active());
  fetch_->LinkDown(now_ms_, kLeader);
  EXPECT_FALSE(fetch_->active());

  fetch_->Begin(now_ms_, kLeader);
  CheckpointReply reply;
  reply.mutable_error()->set_message("this node does not lead");
  fetch_->Receive(now_ms_, kStranger, reply);
  EXPECT_TRUE(fetch_->active());
  fetch_->Receive(now_ms_, kLeader, reply);
  EXPECT_FALSE(fetch_->active());
}

// Found by simulation: the leader was down when the fetch began, and nobody told that its link was.
TEST_F(CheckpointFetchTest, DoesNotWaitForALeaderThatIsNotThere) {
  PutFile("000007.sst", 2 * bounds::kCheckpointPieceBytes);
  is_linked_ = false;
  fetch_->Begin(now_ms_, kLeader);
  EXPECT_FALSE(fetch_->active());
  EXPECT_LE(fetch_->earliest_ms(), now_ms_ + 1'000);

  is_linked_ = true;
  fetch_->Begin(now_ms_, kLeader);
  EXPECT_TRUE(fetch_->active());
  Serve([this](CheckpointReply& reply) { is_linked_ = !reply.has_manifest(); });
  EXPECT_FALSE(fetch_->active()) << "the link broke between the manifest and the first piece";
  EXPECT_FALSE(done_);
}

// Found by simulation: the pieces behind one whose file could not be opened were written to no
// file.
TEST_F(CheckpointFetchTest, ADiskThatRefusesEndsTheFetchAndNotTheNode) {
  PutFile("000007.sst", 3 * bounds::kCheckpointPieceBytes);
  fetch_->Begin(now_ms_, kLeader);
  fetch_->Receive(now_ms_, kLeader, AnswerTo(asked_.front()));
  queue_.RunAll();
  ASSERT_GE(asked_.size(), 3u);
  fs::create_directories(Incoming() + "/db/000007.sst");  // In the place of the file.
  for (size_t i = 1; i < asked_.size(); ++i) {
    fetch_->Receive(now_ms_, kLeader, AnswerTo(asked_[i]));
  }
  queue_.RunAll();
  EXPECT_FALSE(fetch_->active());
  EXPECT_FALSE(done_);
}

TEST_F(CheckpointFetchTest, KeepsItsPace) {
  PutFile("000007.sst", 8 * bounds::kCheckpointPieceBytes);
  Restart(bounds::kCheckpointPieceBytes);  // One piece a second.
  fetch_->Begin(now_ms_, kLeader);
  Serve();
  EXPECT_TRUE(fetch_->active()) << "the first piece, and no more for now";
  size_t rounds = 0;
  for (; fetch_->active() && rounds < 20; ++rounds) {
    now_ms_ += 1'000;
    fetch_->Step(now_ms_);
    Serve();
  }
  EXPECT_TRUE(done_);
  EXPECT_GE(rounds, 6u);
  EXPECT_LE(rounds, 9u);
}

TEST_F(CheckpointFetchTest, ExportsAnswerOnlyWhatTheyOffer) {
  PutFile("000007.sst", 1'000);
  auto manifest = exports_.Open(kLeader, now_ms_);
  ASSERT_TRUE(manifest);
  CheckpointRequest request;
  request.set_session(manifest->session());
  request.set_bytes(10);
  EXPECT_TRUE(exports_.Read(kLeader, request, now_ms_));
  EXPECT_FALSE(exports_.Read(kStranger, request, now_ms_)) << "another's session";
  request.set_offset(1'001);
  EXPECT_FALSE(exports_.Read(kLeader, request, now_ms_));
  request.set_offset(0);
  request.set_file(1);
  EXPECT_FALSE(exports_.Read(kLeader, request, now_ms_));
  request.set_file(0);
  request.set_bytes(bounds::kCheckpointPieceBytes + 1);
  EXPECT_FALSE(exports_.Read(kLeader, request, now_ms_));
  request.set_bytes(10);
  EXPECT_TRUE(exports_.CloseIdle(now_ms_ + 50, 100).empty());
  EXPECT_EQ(exports_.CloseIdle(now_ms_ + 100, 100), std::vector<NodeId>{kLeader});
  EXPECT_FALSE(exports_.Read(kLeader, request, now_ms_));
  queue_.RunAll();
  EXPECT_TRUE(fs::is_empty(folder_.path() + "/exports"));
}

// What went wrong: each attempt left its links, which kept deleted runs on a disk that was full.
TEST_F(CheckpointFetchTest, AnExportThatFailsLeavesNothing) {
  CheckpointExports failing(files_, folder_.path() + "/failed", queue_, [](const std::string& to) {
    fs::create_directory(to);
    std::ofstream(to + "/000007.sst") << "some of it";
    return Result<void>(Fail(Error{ErrorCode::kInternal, "no room", "", "", 0}));
  });
  EXPECT_FALSE(failing.Open(kLeader, now_ms_));
  queue_.RunAll();
  EXPECT_TRUE(fs::is_empty(folder_.path() + "/failed"));
}

}  // namespace
}  // namespace holdfast::node
