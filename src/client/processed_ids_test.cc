#include "src/client/processed_ids.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace holdfast::client {
namespace {

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::unique_ptr<ProcessedIds> MustOpen(const std::string& path,
                                       ProcessedIds::Options options = {}) {
  auto opened = ProcessedIds::Open(path, std::move(options));
  EXPECT_TRUE(opened) << opened.error().message;
  return opened ? std::move(*opened) : nullptr;
}

Claim MustBegin(ProcessedIds& ids, std::string_view id) {
  auto claim = ids.Begin(id);
  EXPECT_TRUE(claim) << claim.error().message;
  return std::move(*claim);
}

Result<void> Execute(sqlite3* db, const std::string& sql) {
  if (sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return Fail(Error{ErrorCode::kInternal, sqlite3_errmsg(db), "", "", 0});
}

// What a connection of its own reads: the first column of each row.
std::vector<std::string> Query(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  std::vector<std::string> rows;
  EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  sqlite3_exec(
      db, sql.c_str(),
      [](void* to, int, char** columns, char**) {
        static_cast<std::vector<std::string>*>(to)->emplace_back(columns[0] ? columns[0] : "");
        return 0;
      },
      &rows, nullptr);
  sqlite3_close(db);
  return rows;
}

TEST(ProcessedIdsTest, RemembersWhatWasCommittedAndNothingElse) {
  const Folder folder;
  {
    const auto ids = MustOpen(folder / "ids");
    Claim first = MustBegin(*ids, "m1");
    EXPECT_EQ(first.seen(), Seen::kNever);
    EXPECT_TRUE(first.mine());
    ASSERT_TRUE(first.Commit());
    EXPECT_FALSE(first.mine());
    Claim second = MustBegin(*ids, "m2");
    ASSERT_TRUE(second.Abandon());
    EXPECT_EQ(MustBegin(*ids, "m1").seen(), Seen::kDone);
    EXPECT_EQ(MustBegin(*ids, "m2").seen(), Seen::kNever) << "abandoned, and let go of just now";
  }
  const auto ids = MustOpen(folder / "ids");
  EXPECT_EQ(MustBegin(*ids, "m1").seen(), Seen::kDone);
  EXPECT_FALSE(MustBegin(*ids, "m1").mine());
  EXPECT_EQ(MustBegin(*ids, "m2").seen(), Seen::kUnknown) << "its claim was let go of";
  EXPECT_EQ(MustBegin(*ids, "m3").seen(), Seen::kNever);
}

TEST(ProcessedIdsTest, AClaimThatIsHeldKeepsOthersAway) {
  const Folder folder;
  const auto ids = MustOpen(folder / "ids");
  const auto other = MustOpen(folder / "ids");  // As another process would.
  {
    Claim claim = MustBegin(*ids, "m1");
    EXPECT_EQ(MustBegin(*ids, "m1").seen(), Seen::kBusy);
    EXPECT_EQ(MustBegin(*other, "m1").seen(), Seen::kBusy);
    EXPECT_FALSE(MustBegin(*other, "m1").mine());
    const Claim moved = std::move(claim);
    EXPECT_EQ(MustBegin(*other, "m1").seen(), Seen::kBusy);
    EXPECT_EQ(MustBegin(*other, "m2").seen(), Seen::kNever) << "of this id alone";
  }
  Claim taken = MustBegin(*other, "m1");
  EXPECT_EQ(taken.seen(), Seen::kUnknown);
  ASSERT_TRUE(taken.Commit());
  EXPECT_EQ(MustBegin(*ids, "m1").seen(), Seen::kDone);
}

TEST(ProcessedIdsTest, AnEffectInTheFileIsThereWithItsIdOrNotAtAll) {
  const Folder folder;
  const auto ids = MustOpen(folder / "ids");
  const auto ship = [](sqlite3* db) {
    return Execute(db, "CREATE TABLE IF NOT EXISTS shipped (n); INSERT INTO shipped VALUES (1)");
  };
  EXPECT_EQ(*ids->RunOnce("m1", ship), Seen::kNever);
  EXPECT_EQ(*ids->RunOnce("m1", ship), Seen::kDone);
  EXPECT_EQ(Query(folder / "ids", "SELECT count(*) FROM shipped")[0], "1");

  const auto failed = ids->RunOnce("m2", [&](sqlite3* db) -> Result<void> {
    EXPECT_TRUE(ship(db));
    return Fail(NotFound("no such address"));
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "no such address");
  EXPECT_EQ(Query(folder / "ids", "SELECT count(*) FROM shipped")[0], "1");
  EXPECT_EQ(*ids->RunOnce("m2", ship), Seen::kNever);

  const auto ended = ids->RunOnce("m3", [&](sqlite3* db) { return Execute(db, "ROLLBACK"); });
  ASSERT_FALSE(ended);
  EXPECT_EQ(*ids->RunOnce("m3", ship), Seen::kNever);

  // An id that was begun for an effect elsewhere is not for this.
  Claim claim = MustBegin(*ids, "m4");
  EXPECT_EQ(*ids->RunOnce("m4", ship), Seen::kBusy);
  { const Claim gone = std::move(claim); }
  EXPECT_EQ(*ids->RunOnce("m4", ship), Seen::kUnknown);
}

TEST(ProcessedIdsTest, ForgetsTheOldestByCountAndByAge) {
  const Folder folder;
  int64_t now = 1'000'000;
  const auto ids =
      MustOpen(folder / "ids", {.ids_max = 100, .age_max_seconds = 60, .now = [&] { return now; }});
  const auto nothing = [](sqlite3*) -> Result<void> { return {}; };
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_EQ(*ids->RunOnce("m" + std::to_string(i), nothing), Seen::kNever);
  }
  EXPECT_EQ(Query(folder / "ids", "SELECT count(*) FROM processed")[0], "100");
  EXPECT_EQ(*ids->RunOnce("m900", nothing), Seen::kDone);
  EXPECT_EQ(*ids->RunOnce("m899", nothing), Seen::kNever);
  now += 61;
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(ids->RunOnce("n" + std::to_string(i), nothing));
  EXPECT_EQ(Query(folder / "ids", "SELECT count(*) FROM processed")[0], "20");

  // A claim that is older than the window is done all the same.
  Claim slow = MustBegin(*ids, "slow");
  now += 61;
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(ids->RunOnce("o" + std::to_string(i), nothing));
  ASSERT_TRUE(slow.Commit());
  EXPECT_EQ(MustBegin(*ids, "slow").seen(), Seen::kDone);
}

TEST(ProcessedIdsTest, RefusesWhatItCannotKeep) {
  const Folder folder;
  const auto ids = MustOpen(folder / "ids");
  for (const std::string& id : {std::string(), std::string(513, 'x')}) {
    const auto claim = ids->Begin(id);
    ASSERT_FALSE(claim);
    EXPECT_EQ(claim.error().field, "id");
  }
  const std::string odd("a\0b'\xff", 5);
  ASSERT_TRUE(MustBegin(*ids, odd).Commit());
  EXPECT_EQ(MustBegin(*ids, odd).seen(), Seen::kDone);
  EXPECT_EQ(MustBegin(*ids, std::string("a\0b'", 4)).seen(), Seen::kNever);

  std::ofstream(folder / "text") << std::string(10'000, 'x');
  const auto text = ProcessedIds::Open(folder / "text");
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message.find("not a database"), std::string::npos) << text.error().message;
  Query(folder / "others", "CREATE TABLE t (n)");
  const auto others = ProcessedIds::Open(folder / "others");
  ASSERT_FALSE(others);
  EXPECT_NE(others.error().message.find("not a file of processed ids"), std::string::npos);
  Query(folder / "ids", "PRAGMA user_version = 2");
  const auto newer = ProcessedIds::Open(folder / "ids");
  ASSERT_FALSE(newer);
  EXPECT_NE(newer.error().message.find("version 2"), std::string::npos);
  EXPECT_FALSE(ProcessedIds::Open(folder / "no/such/folder"));
  EXPECT_FALSE(ProcessedIds::Open(folder / "x", {.ids_max = 0}));
}

// docs/formats/processed_ids.md: files outlive the build that made them.
TEST(ProcessedIdsTest, TheFileIsAsItsFormatSays) {
  const Folder folder;
  const auto ids = MustOpen(folder / "ids");
  { const Claim claim = MustBegin(*ids, "m1"); }
  EXPECT_EQ(Query(folder / "ids", "SELECT sql FROM sqlite_schema WHERE name = 'processed'"),
            std::vector<std::string>{
                "CREATE TABLE processed (number INTEGER PRIMARY KEY AUTOINCREMENT, "
                "id TEXT NOT NULL UNIQUE, done INTEGER NOT NULL, begun INTEGER NOT NULL)"});
  EXPECT_EQ(Query(folder / "ids", "SELECT number || id || done FROM processed")[0], "1m10");
  EXPECT_EQ(Query(folder / "ids", "PRAGMA application_id")[0], "1212574052");
  EXPECT_EQ(Query(folder / "ids", "PRAGMA user_version")[0], "1");
  EXPECT_EQ(Query(folder / "ids", "PRAGMA journal_mode")[0], "wal");
  const auto durable = ids->RunOnce("m2", [](sqlite3* db) {
    sqlite3_stmt* statement = nullptr;
    sqlite3_prepare_v2(db, "PRAGMA synchronous", -1, &statement, nullptr);
    EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
    EXPECT_EQ(sqlite3_column_int(statement, 0), 2) << "FULL";
    sqlite3_finalize(statement);
    return Result<void>();
  });
  EXPECT_TRUE(durable);
}

// --- Processes that are killed

constexpr int kMessages = 500;
constexpr int kKilled = 40;
constexpr int kStepsFile = 100;  // Where a process that is to be killed writes its steps.

// What a killed process works on: a file of ids with effects in it, and effects outside, a line
// each.
struct Work {
  explicit Work(const std::string& folder)
      : ids(folder + "/ids"), outside(folder + "/outside"), unknown(folder + "/unknown") {}
  std::string ids;
  std::string outside;
  std::string unknown;  // A line for each id that was found begun.
};

std::map<std::string, int> Lines(const std::string& path) {
  std::map<std::string, int> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) ++lines[line];
  return lines;
}

// One write, so that it is there or not whenever the process is killed.
void Append(const std::string& path, const std::string& line) {
  const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  const std::string text = line + "\n";
  EXPECT_EQ(write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  close(file);
}

// Not a test: what the processes of the next one do, until all messages are done. Before each step
// it says so, and waits to be told to go on.
TEST(ProcessedIdsTest, DISABLED_ConsumesUntilItIsKilled) {
  const Work work(std::getenv("HOLDFAST_TEST_FOLDER"));
  const auto step = [] {
    char go = 0;
    EXPECT_EQ(write(kStepsFile, ".", 1), 1);
    EXPECT_EQ(read(kStepsFile, &go, 1), 1);
  };
  const auto ids = MustOpen(work.ids);
  std::mt19937 random(static_cast<uint32_t>(std::atoi(std::getenv("HOLDFAST_TEST_SEED"))));
  std::vector<int> messages;
  for (int i = 0; i < kMessages; ++i) messages.push_back(i);
  std::shuffle(messages.begin(), messages.end(), random);
  bool busy = true;
  while (busy) {  // A message that another is at comes again.
    busy = false;
    for (const int number : messages) {
      const std::string message = std::to_string(number);
      step();
      const auto inside = ids->RunOnce("in-" + message, [&](sqlite3* db) {
        auto done = Execute(db,
                            "CREATE TABLE IF NOT EXISTS effects (id); "
                            "INSERT INTO effects VALUES (" +
                                message + ")");
        step();
        return done;
      });
      ASSERT_TRUE(inside) << inside.error().message;
      Claim claim = MustBegin(*ids, "out-" + message);
      step();
      busy |= claim.seen() == Seen::kBusy;
      if (!claim.mine()) continue;
      const bool unknown = claim.seen() == Seen::kUnknown;
      if (unknown) Append(work.unknown, message);
      if (!unknown || !Lines(work.outside).contains(message)) Append(work.outside, message);
      step();
      ASSERT_TRUE(claim.Commit());
    }
  }
}

struct Child {
  pid_t pid = 0;
  int steps = -1;  // The other end of its steps.
};

Child StartChild(const std::string& folder, uint32_t seed) {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], kStepsFile);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  const std::string in_folder = "HOLDFAST_TEST_FOLDER=" + folder;
  const std::string with_seed = "HOLDFAST_TEST_SEED=" + std::to_string(seed);
  const char* arguments[] = {"processed_ids_child",
                             "--gtest_filter=ProcessedIdsTest.DISABLED_ConsumesUntilItIsKilled",
                             "--gtest_also_run_disabled_tests", nullptr};
  const char* environment[] = {in_folder.c_str(), with_seed.c_str(), nullptr};
  Child child;
  EXPECT_EQ(posix_spawn(&child.pid, "/proc/self/exe", &actions, nullptr,
                        const_cast<char**>(arguments), const_cast<char**>(environment)),
            0);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  child.steps = ends[0];
  return child;
}

// Lets it go so many steps, and kills it somewhere in the one after them. False when it has come to
// its end before.
bool KillAfter(const Child& child, uint32_t steps) {
  char byte = 0;
  bool running = true;
  for (uint32_t i = 0; i <= steps && running; ++i) {
    running = read(child.steps, &byte, 1) == 1 && send(child.steps, "g", 1, MSG_NOSIGNAL) == 1;
  }
  if (running) kill(child.pid, SIGKILL);
  int status = 0;
  EXPECT_EQ(waitpid(child.pid, &status, 0), child.pid);
  close(child.steps);
  return running;
}

// Lets it go to its end.
void ExpectGoodEnd(const Child& child) {
  char byte = 0;
  while (read(child.steps, &byte, 1) == 1 && send(child.steps, "g", 1, MSG_NOSIGNAL) == 1) {
  }
  int status = 0;
  EXPECT_EQ(waitpid(child.pid, &status, 0), child.pid);
  close(child.steps);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(ProcessedIdsTest, KilledProcessesHaveEveryEffectOnce) {
  const Folder folder;
  const Work work(folder / "");
  std::mt19937 random(7);
  uint32_t seed = 0;
  for (int killed = 0; killed < kKilled; ++killed) {
    ASSERT_TRUE(KillAfter(StartChild(folder / "", ++seed), random() % 60));
  }
  EXPECT_FALSE(Query(work.ids, "SELECT 1 FROM processed WHERE done = 0").empty())
      << "nobody was killed with a claim";
  // The rest is done by two at a time.
  const Child first = StartChild(folder / "", ++seed);
  const Child second = StartChild(folder / "", ++seed);
  std::thread other([&] { ExpectGoodEnd(second); });
  ExpectGoodEnd(first);
  other.join();

  EXPECT_FALSE(Lines(work.unknown).empty());
  const auto outside = Lines(work.outside);
  EXPECT_EQ(outside.size(), static_cast<size_t>(kMessages));
  for (const auto& [message, times] : outside) EXPECT_EQ(times, 1) << message;
  EXPECT_EQ(Query(work.ids, "SELECT count(*) FROM effects")[0], std::to_string(kMessages));
  EXPECT_EQ(Query(work.ids, "SELECT count(DISTINCT id) FROM effects")[0],
            std::to_string(kMessages));
}

}  // namespace
}  // namespace holdfast::client
