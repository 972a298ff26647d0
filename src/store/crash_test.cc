// Crashes of the RocksDB base. The history is fixed: entry n does the same in any life, and writes
// n itself into a row of the store. So whatever a crash leaves must be exactly the model after the
// number of entries that it says.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "src/store/testing/sample.h"

namespace holdfast::store::testing {
namespace {

constexpr uint64_t kSeed = 11;
constexpr char kFolderVariable[] = "HOLDFAST_STORE_TEST_FOLDER";
constexpr char kPipeVariable[] = "HOLDFAST_STORE_TEST_PIPE";
constexpr Options kOptions{.checkpoint_rows = 40, .cache_rows_per_table = 8};

// The number of entries in what `tables` hold.
uint64_t Entries(const SampleTables& tables) {
  return tables.position.Get(0).value_or(Position{}).entries;
}

// The folder opens, and holds the model after some number of entries, which is returned.
uint64_t ExpectConsistent(const std::filesystem::path& folder) {
  Store store(OpenOrDie(folder), kOptions);
  SampleTables tables(store);
  const uint64_t entries = Entries(tables);
  Model model;
  for (uint64_t index = 1; index <= entries; ++index) ApplyEntry(kSeed, index, model);
  EXPECT_EQ(AllRows(store), AllRows(model)) << "after " << entries << " entries";
  return entries;
}

// --- Killed at any moment

// Not a test but the process that gets killed: applies entry after entry, writes a byte into the
// pipe for each, and checkpoints on another thread, as a node does.
TEST(CrashVictim, DISABLED_RunsUntilKilled) {
  const char* folder = getenv(kFolderVariable);
  const char* pipe_name = getenv(kPipeVariable);
  if (folder == nullptr || pipe_name == nullptr) GTEST_SKIP() << "started by KilledAtAnyMoment";
  const int progress = atoi(pipe_name);
  Store store(OpenOrDie(folder), kOptions);
  SampleTables tables(store);
  std::thread checkpoint;
  for (uint64_t index = Entries(tables) + 1;; ++index) {
    bool full;
    {
      absl::MutexLock lock(&store.mutex());
      ApplyEntry(kSeed, index, tables);
      store.EndEntry();
      full = store.delta_rows() >= kOptions.checkpoint_rows;
    }
    if (full) {
      if (checkpoint.joinable()) checkpoint.join();
      absl::MutexLock lock(&store.mutex());
      checkpoint = std::thread(store.BeginCheckpoint());
    }
    if (write(progress, "", 1) != 1) _exit(1);  // Also when the test itself is gone.
  }
}

class Victim {
 public:
  explicit Victim(const std::filesystem::path& folder) {
    int ends[2];
    HOLDFAST_CHECK(pipe(ends) == 0, "no pipe");
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    pid_ = fork();
    HOLDFAST_CHECK(pid_ >= 0, "no fork");
    if (pid_ == 0) {
      // A process of its own: RocksDB's threads do not survive a fork.
      setenv(kFolderVariable, folder.c_str(), 1);
      setenv(kPipeVariable, std::to_string(ends[1]).c_str(), 1);
      execl("/proc/self/exe", "store_test", "--gtest_also_run_disabled_tests", "--gtest_brief=1",
            "--gtest_filter=CrashVictim.*", nullptr);
      _exit(127);
    }
    close(ends[1]);
    progress_ = ends[0];
  }
  ~Victim() { close(progress_); }

  void KillAfter(uint64_t entries) {
    for (char byte; entries > 0; --entries) ASSERT_EQ(read(progress_, &byte, 1), 1);
    kill(pid_, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(pid_, &status, 0), pid_);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself, status " << status;
  }

 private:
  pid_t pid_ = -1;
  int progress_ = -1;
};

TEST(Crash, KilledAtAnyMoment) {
  TemporaryFolder folder;
  Random random(5);
  uint64_t entries = 0;
  for (int life = 0; life < 30 && !HasFatalFailure(); ++life) {
    SCOPED_TRACE("life " + std::to_string(life));
    Victim(folder.path()).KillAfter(1 + random.Below(300));
    const uint64_t survived = ExpectConsistent(folder.path());
    EXPECT_GE(survived, entries) << "what was durable is gone";
    entries = survived;
  }
  EXPECT_GT(entries, 100) << "hardly a checkpoint was finished";
}

// --- Copied at points within a checkpoint

class HookedBase : public Base {
 public:
  HookedBase(std::unique_ptr<Base> base, std::function<void(const char*)> at)
      : base_(std::move(base)), at_(std::move(at)) {}
  bool Get(std::string_view key, std::string* value) const override {
    return base_->Get(key, value);
  }
  std::unique_ptr<Cursor> NewCursor(std::string_view prefix) const override {
    return base_->NewCursor(prefix);
  }
  void Ingest(const ChangeReader& next) override {
    at_("begin");
    uint64_t changes = 0;
    base_->Ingest([&]() -> std::optional<Change> {
      if (changes++ == 5) at_("middle");
      return next();
    });
    at_("end");
  }

 private:
  std::unique_ptr<Base> base_;
  std::function<void(const char*)> at_;
};

TEST(Crash, CopiedAtEveryStepOfACheckpoint) {
  TemporaryFolder folder;
  const std::filesystem::path live = folder.path() / "live";
  std::map<std::string, std::vector<std::filesystem::path>> copies;
  const auto copy = [&](const std::string& step) {
    auto& of_step = copies[step];
    of_step.push_back(folder.path() / (step + std::to_string(of_step.size())));
    std::filesystem::copy(live, of_step.back(), std::filesystem::copy_options::recursive);
  };
  {
    auto base = OpenOrDie(live, {.run_written = [&] { copy("written"); }});
    Store store(std::make_unique<HookedBase>(std::move(base), copy), kOptions);
    SampleTables tables(store);
    // Few enough runs that no compaction moves files while they are copied.
    for (uint64_t index = 1; index <= 60; ++index) {
      std::function<void()> job;
      {
        absl::MutexLock lock(&store.mutex());
        ApplyEntry(kSeed, index, tables);
        store.EndEntry();
        if (index % 20 == 0) job = store.BeginCheckpoint();
      }
      if (job) job();
    }
  }
  for (uint64_t checkpoint = 0; checkpoint < 3; ++checkpoint) {
    for (const char* step : {"begin", "middle", "written"}) {
      ASSERT_EQ(copies[step].size(), 3);
      EXPECT_EQ(ExpectConsistent(copies[step][checkpoint]), 20 * checkpoint) << step;
      EXPECT_TRUE(std::filesystem::is_empty(copies[step][checkpoint] / "incoming"));
    }
    EXPECT_EQ(ExpectConsistent(copies["end"][checkpoint]), 20 * (checkpoint + 1));
  }
  EXPECT_EQ(ExpectConsistent(live), 60);
}

}  // namespace
}  // namespace holdfast::store::testing
