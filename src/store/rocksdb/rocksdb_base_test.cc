#include "src/store/rocksdb/rocksdb_base.h"

#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <sys/stat.h>

#include <chrono>
#include <condition_variable>
#include <fstream>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "src/store/testing/sample.h"

namespace holdfast::store::testing {
namespace {

namespace fs = std::filesystem;

using Run = std::vector<std::pair<std::string, std::optional<std::string>>>;

void Ingest(Base& base, const Run& run) {
  base.Ingest([&run, next = size_t{0}]() mutable -> std::optional<Change> {
    if (next == run.size()) return std::nullopt;
    const auto& [key, value] = run[next++];
    return Change{key, value.has_value() ? std::optional<std::string_view>(*value) : std::nullopt};
  });
}

std::vector<std::string> Keys(Cursor& cursor) {
  std::vector<std::string> keys;
  for (cursor.Seek(""); cursor.Valid(); cursor.Next()) keys.emplace_back(cursor.key());
  return keys;
}

// The broken invariant that `act` runs into; empty when it runs through. Not a death test: the
// process that dies would leave its folder behind.
std::string BrokenInvariant(const std::function<void()>& act) {
  SetCheckHandler([](const std::string& report) { throw std::runtime_error(report); });
  std::string report;
  try {
    act();
  } catch (const std::runtime_error& broken) {
    report = broken.what();
  }
  SetCheckHandler(nullptr);
  return report;
}

mode_t ModeOf(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 0777;
}

// What both bases promise.
class BaseTest : public ::testing::TestWithParam<const char*> {
 protected:
  TemporaryFolder folder_;
  std::unique_ptr<Base> base_ = GetParam() == std::string("memory")
                                    ? std::unique_ptr<Base>(std::make_unique<MemoryBase>())
                                    : OpenOrDie(folder_.path() / "store");
};

TEST_P(BaseTest, TakesRunsAndGivesThemBack) {
  Ingest(*base_, {{"a", "1"}, {"b", "2"}, {"c", "3"}});
  Ingest(*base_, {{"a", std::nullopt}, {"b", "new"}, {"d", ""}});
  Ingest(*base_, {});
  std::string value;
  EXPECT_FALSE(base_->Get("a", &value));
  ASSERT_TRUE(base_->Get("b", &value));
  EXPECT_EQ(value, "new");
  ASSERT_TRUE(base_->Get("d", &value));
  EXPECT_EQ(value, "");
  EXPECT_EQ(Keys(*base_->NewCursor("")), (std::vector<std::string>{"b", "c", "d"}));
}

TEST_P(BaseTest, CursorsKeepToTheirPrefix) {
  Ingest(*base_, {{"a\xff", ""}, {"b", ""}, {"b1", ""}, {"b2", ""}, {"c", ""}, {"\xff\xff", ""}});
  std::unique_ptr<Cursor> cursor = base_->NewCursor("b");
  EXPECT_EQ(Keys(*cursor), (std::vector<std::string>{"b", "b1", "b2"}));
  cursor->SeekForPrev("b1x");
  ASSERT_TRUE(cursor->Valid());
  EXPECT_EQ(cursor->key(), "b1");
  cursor->Prev();
  ASSERT_TRUE(cursor->Valid());
  EXPECT_EQ(cursor->key(), "b");
  cursor->Prev();
  EXPECT_FALSE(cursor->Valid());
  EXPECT_EQ(Keys(*base_->NewCursor("\xff")), (std::vector<std::string>{"\xff\xff"}));
  EXPECT_EQ(Keys(*base_->NewCursor("a")), (std::vector<std::string>{"a\xff"}));
}

TEST_P(BaseTest, CursorsKeepTheStateOfTheirCreation) {
  Ingest(*base_, {{"a", "1"}, {"b", "1"}});
  std::unique_ptr<Cursor> before = base_->NewCursor("");
  Ingest(*base_, {{"a", "2"}, {"b", std::nullopt}, {"c", "2"}});
  EXPECT_EQ(Keys(*before), (std::vector<std::string>{"a", "b"}));
  before->Seek("a");
  EXPECT_EQ(before->value(), "1");
}

TEST_P(BaseTest, StopsOnARunOutOfOrder) {
  const std::string report = BrokenInvariant([&] { Ingest(*base_, {{"b", "1"}, {"a", "1"}}); });
  EXPECT_NE(report.find("broken invariant"), std::string::npos) << report;
  EXPECT_EQ(Keys(*base_->NewCursor("")), std::vector<std::string>()) << "half a run was taken";
}

INSTANTIATE_TEST_SUITE_P(Bases, BaseTest, ::testing::Values("memory", "rocksdb"),
                         [](const auto& base) { return std::string(base.param); });

// --- The folder

TEST(RocksDbBase, KeepsRunsOverReopening) {
  TemporaryFolder folder;
  for (int life = 0; life < 3; ++life) {
    std::unique_ptr<RocksDbBase> base = OpenOrDie(folder.path());
    EXPECT_EQ(Keys(*base->NewCursor("")).size(), static_cast<size_t>(life));
    Ingest(*base, {{"key " + std::to_string(life), "value"}});
  }
}

TEST(RocksDbBase, IsPrivate) {
  TemporaryFolder folder;
  const mode_t umask_before = umask(0);
  const std::unique_ptr<RocksDbBase> base = OpenOrDie(folder.path() / "store");
  Ingest(*base, {{"key", "value"}});
  umask(umask_before);
  EXPECT_EQ(ModeOf(folder.path() / "store"), 0700);
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path() / "store")) {
    EXPECT_EQ(ModeOf(entry.path()), entry.is_directory() ? 0700 : 0600) << entry.path();
    files += entry.is_directory() ? 0 : 1;
  }
  EXPECT_GT(files, 5);
}

TEST(RocksDbBase, AFolderOfFormatOneBecomesOneOfFormatTwo) {
  TemporaryFolder folder;
  std::ofstream(folder.path() / "FORMAT") << "holdfast store 1\n";
  ASSERT_TRUE(RocksDbBase::Open(folder.path()));
  std::string text;
  std::getline(std::ifstream(folder.path() / "FORMAT"), text);
  EXPECT_EQ(text, "holdfast store 2");
}

TEST(RocksDbBase, RefusesWhatItDoesNotKnow) {
  const auto error_with = [](const std::string& file, const std::string& text) {
    TemporaryFolder folder;
    std::ofstream(folder.path() / file) << text;
    auto base = RocksDbBase::Open(folder.path());
    return base.has_value() ? std::string() : base.error().message;
  };
  using ::testing::internal::RE;
  EXPECT_TRUE(RE::PartialMatch(error_with("FORMAT", "holdfast store 3\n"), "has format 3"));
  EXPECT_TRUE(RE::PartialMatch(error_with("FORMAT", "holdfast store x\n"), "damaged FORMAT"));
  EXPECT_TRUE(RE::PartialMatch(error_with("FORMAT", "holdfast store 2"), "damaged FORMAT"));
  EXPECT_TRUE(RE::PartialMatch(error_with("FORMAT", "something"), "is not a Holdfast store"));
  EXPECT_TRUE(RE::PartialMatch(error_with("letter.txt", "Dear"), "holds files but no FORMAT"));
  EXPECT_EQ(error_with("FORMAT", "holdfast store 1\n"), "");
  EXPECT_EQ(error_with("FORMAT", "holdfast store 2\n"), "");
  // A crash while the folder was created.
  EXPECT_EQ(error_with("FORMAT.new", "holdf"), "");
}

TEST(RocksDbBase, RefusesASecondOwner) {
  TemporaryFolder folder;
  const std::unique_ptr<RocksDbBase> base = OpenOrDie(folder.path());
  auto second = RocksDbBase::Open(folder.path());
  ASSERT_FALSE(second.has_value());
  EXPECT_NE(second.error().message.find("lock"), std::string::npos) << second.error().message;
}

TEST(RocksDbBase, RefusesAFolderItCannotCreate) {
  TemporaryFolder folder;
  auto base = RocksDbBase::Open(folder.path() / "no" / "such");
  ASSERT_FALSE(base.has_value());
  EXPECT_NE(base.error().message.find("cannot be created"), std::string::npos);
}

TEST(RocksDbBase, RemovesTheRunOfACrash) {
  TemporaryFolder folder;
  OpenOrDie(folder.path());
  const fs::path stale = folder.path() / "incoming" / "run.sst";
  std::ofstream(stale) << "half a run";
  const std::unique_ptr<RocksDbBase> base = OpenOrDie(folder.path());
  EXPECT_FALSE(fs::exists(stale));
}

// A flipped bit in a run is found when the row is read, and stops the node.
// A disk that has no room for what compactions write, as long as it is told so.
class FullDisk : public rocksdb::FileSystemWrapper {
 public:
  FullDisk() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FullDisk"; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (name.find("/db/") != std::string::npos && name.ends_with(".sst")) {
      std::unique_lock lock(mutex_);
      ++asked_;
      changed_.notify_all();
      if (full_) return rocksdb::IOStatus::NoSpace("no room for " + name);
    }
    return target()->NewWritableFile(name, options, file, debug);
  }

  void SetFull(bool full) {
    std::unique_lock lock(mutex_);
    full_ = full;
  }
  // Until a compaction has asked for so many files.
  bool WaitAsked(int times) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return asked_ >= times; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool full_ = true;
  int asked_ = 0;
};

// What went wrong: the node ended, though it lacked nothing that it had to read or to acknowledge.
TEST(RocksDbBase, ACompactionThatFindsNoRoomIsTriedAgain) {
  TemporaryFolder folder;
  const auto disk = std::make_shared<FullDisk>();
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(disk);
  RocksDbOptions options;
  options.env = env.get();
  auto base = RocksDbBase::Open(folder.path() / "store", options);
  ASSERT_TRUE(base) << base.error().message;
  constexpr int kRuns = 9;  // One more than are compacted at a time.
  for (int run = 0; run < kRuns; ++run) {
    Ingest(**base, {{"every", std::to_string(run)}, {"run " + std::to_string(run), "x"}});
  }
  ASSERT_TRUE(disk->WaitAsked(2)) << "it gave up";
  std::string value;
  ASSERT_TRUE((*base)->Get("every", &value));
  EXPECT_EQ(value, std::to_string(kRuns - 1));
  EXPECT_GE((*base)->figures().level0_files, kRuns - 1u);
  Ingest(**base, {{"late", "y"}});

  disk->SetFull(false);
  ASSERT_TRUE(disk->WaitAsked(3));
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while ((*base)->figures().level0_files > 1 && std::chrono::steady_clock::now() < until) {
    std::this_thread::yield();
  }
  EXPECT_LE((*base)->figures().level0_files, 1u);
  EXPECT_EQ(Keys(*(*base)->NewCursor("")).size(), kRuns + 2u);
}

TEST(RocksDbBase, StopsOnADamagedRun) {
  TemporaryFolder folder;
  Ingest(*OpenOrDie(folder.path()), {{"key", std::string(1'000, 'x')}});
  for (const auto& entry : fs::directory_iterator(folder.path() / "db")) {
    if (entry.path().extension() != ".sst") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(10);
    file.put('?');
  }
  const std::unique_ptr<RocksDbBase> base = OpenOrDie(folder.path());
  const std::string report = BrokenInvariant([&] {
    std::string value;
    base->Get("key", &value);
  });
  EXPECT_NE(report.find("checksum mismatch"), std::string::npos) << report;
}

// What went wrong: "properties unsorted", and no word of where.
TEST(RocksDbBase, NamesTheFileWhateverBitOfItHasFlipped) {
  TemporaryFolder folder;
  const fs::path store = folder.path() / "store";
  Ingest(*OpenOrDie(store), {{"key", "a value"}, {"other", "value"}});
  fs::path run;
  for (const auto& entry : fs::directory_iterator(store / "db")) {
    if (entry.path().extension() == ".sst") run = entry.path();
  }
  ASSERT_FALSE(run.empty());
  size_t noticed = 0;
  for (uint64_t at = 0; at < fs::file_size(run); at += 11) {
    const auto flip = [&] {
      std::fstream file(run, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(static_cast<std::streamoff>(at));
      const char byte = static_cast<char>(file.get() ^ 4);
      file.seekp(static_cast<std::streamoff>(at));
      file.put(byte);
    };
    flip();
    std::string report;
    if (auto base = RocksDbBase::Open(store)) {
      report = BrokenInvariant([&] { Keys(*(*base)->NewCursor("")); });
    } else {
      report = base.error().message;
    }
    noticed += report.empty() ? 0 : 1;
    // Of this number RocksDB compares two copies, in different files: either may be the damaged
    // one.
    if (report.find("global seqno") == std::string::npos) {
      EXPECT_TRUE(report.empty() || report.find(run.filename()) != std::string::npos) << report;
    }
    flip();
  }
  EXPECT_GT(noticed, 10u);
}

}  // namespace
}  // namespace holdfast::store::testing
