#include "src/client/processed_ids.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "src/base/check.h"

namespace holdfast::client {
namespace {

constexpr int64_t kApplicationId = 0x48466964;  // "HFid"
constexpr int64_t kVersion = 1;
// Looked at with each new id: more than one, so that a window that was made smaller is reached.
constexpr int64_t kForgottenAtOnce = 8;
constexpr uint64_t kIdsMax = 1'000'000'000'000;  // Numbers stay far from the end of 63 bits.
// In the file of locks; rows have numbers from 1.
constexpr int64_t kOpeningLock = 0;
constexpr std::chrono::milliseconds kOpeningPause{10};

// AUTOINCREMENT: the number of a row that is gone is given to no other, whose lock it would be.
constexpr char kCreate[] =
    "PRAGMA application_id = 1212574052;"
    "PRAGMA user_version = 1;"
    "CREATE TABLE processed ("
    "number INTEGER PRIMARY KEY AUTOINCREMENT, "
    "id TEXT NOT NULL UNIQUE, "
    "done INTEGER NOT NULL, "
    "begun INTEGER NOT NULL);";
static_assert(kApplicationId == 1212574052 && kVersion == 1);

int64_t SystemSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Ends with its scope, before the transaction does.
class Statement {
 public:
  Statement(sqlite3* db, const char* sql) {
    code_ = sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;

  Statement& Bind(std::string_view text) {
    if (code_ == SQLITE_OK) {
      code_ = sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()),
                                SQLITE_STATIC);
    }
    return *this;
  }
  Statement& Bind(int64_t number) {
    if (code_ == SQLITE_OK) code_ = sqlite3_bind_int64(statement_, ++bound_, number);
    return *this;
  }
  // SQLITE_ROW, SQLITE_DONE, or what went wrong.
  int Step() { return code_ == SQLITE_OK ? sqlite3_step(statement_) : code_; }
  int64_t Number(int column) { return sqlite3_column_int64(statement_, column); }

 private:
  sqlite3_stmt* statement_ = nullptr;
  int code_;
  int bound_ = 0;
};

// Takes back what is not committed at its end.
class Transaction {
 public:
  explicit Transaction(sqlite3* db) : db_(db) {}
  ~Transaction() {
    if (open()) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  bool open() const { return sqlite3_get_autocommit(db_) == 0; }
  // No other writer from here on.
  int Begin() { return sqlite3_exec(db_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr); }
  int Commit() { return sqlite3_exec(db_, "COMMIT", nullptr, nullptr, nullptr); }

 private:
  sqlite3* db_;
};

}  // namespace

class ProcessedIds::Impl {
 public:
  Impl(std::string path, Options options)
      : path_(std::move(path)),
        options_(std::move(options)),
        now_(options_.now ? options_.now : SystemSeconds) {}
  ~Impl() {
    sqlite3_close(db_);
    if (locks_ >= 0) close(locks_);
  }

  Result<void> Open();
  Result<Claim> Begin(ProcessedIds* owner, std::string_view id);
  Result<Seen> RunOnce(std::string_view id, absl::FunctionRef<Result<void>(sqlite3*)> effect);
  Result<void> Finish(const std::string& id, int64_t number, bool done);
  void LetGo(int64_t number) {
    std::lock_guard lock(mutex_);
    Unlock(number);
  }

 private:
  struct Row {
    int64_t number = 0;  // 0: there is none.
    bool done = false;
  };

  Result<void> Check(int code);
  Result<void> Ready(std::string_view id) const;
  Result<void> PrepareFile();
  Result<int64_t> Number(const char* sql);
  Result<Row> Find(std::string_view id);
  Result<int64_t> Insert(std::string_view id, bool done);
  bool TryLock(int64_t number);
  void Unlock(int64_t number);

  const std::string path_;
  const Options options_;
  const std::function<int64_t()> now_;
  std::mutex mutex_;
  sqlite3* db_ = nullptr;
  int locks_ = -1;
  std::set<int64_t> held_;  // The locks of one open file do not exclude one another.
  // Set by an error of the disk, after which nobody knows what is in the file.
  bool broken_ = false;
  Error why_broken_;
};

// --- Errors, and the file

Result<void> ProcessedIds::Impl::Check(int code) {
  if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW) return {};
  const char* what = db_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db_);
  Error error{ErrorCode::kInternal, path_ + ": " + what, "", "", 0};
  switch (code & 0xff) {
    case SQLITE_BUSY:
      error.code = ErrorCode::kUnavailable;
      error.hint = "another process keeps the file busy; nothing was done";
      error.retry_after_ms = bounds::kRetryAfterMsDefault;
      break;
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      error.hint = "open it anew: SQLite then recovers what is whole";
      broken_ = true;
      why_broken_ = error;
      break;
    default: break;
  }
  return Fail(std::move(error));
}

Result<void> ProcessedIds::Impl::Ready(std::string_view id) const {
  if (broken_) return Fail(why_broken_);
  if (id.empty() || id.size() > bounds::kProcessedIdBytesMax) {
    return Fail(InvalidArgument("id", "must have 1 to " +
                                          std::to_string(bounds::kProcessedIdBytesMax) +
                                          " bytes, has " + std::to_string(id.size())));
  }
  return {};
}

Result<int64_t> ProcessedIds::Impl::Number(const char* sql) {
  Statement statement(db_, sql);
  const int code = statement.Step();
  if (const auto read = Check(code); !read) return Fail(read.error());
  return code == SQLITE_ROW ? statement.Number(0) : 0;
}

Result<void> ProcessedIds::Impl::Open() {
  const std::string locks = path_ + "-claims";
  locks_ = open(locks.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (locks_ < 0) {
    return Fail(Error{ErrorCode::kInternal, locks + ": " + std::strerror(errno), "", "", 0});
  }
  const auto opened = Check(
      sqlite3_open_v2(path_.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr));
  if (!opened) return opened;
  sqlite3_busy_timeout(db_, bounds::kProcessedIdsBusyMsMax);
  // One at a time: a change of the journal's mode does not wait for others as transactions do.
  auto patience = std::chrono::milliseconds(bounds::kProcessedIdsBusyMsMax);
  while (!TryLock(kOpeningLock)) {
    if (patience <= kOpeningPause) {
      return Fail(Error{ErrorCode::kUnavailable, path_ + ": another process is opening it", "",
                        "does that one stand still?", bounds::kRetryAfterMsDefault});
    }
    std::this_thread::sleep_for(kOpeningPause);
    patience -= kOpeningPause;
  }
  auto prepared = PrepareFile();
  Unlock(kOpeningLock);
  return prepared;
}

Result<void> ProcessedIds::Impl::PrepareFile() {
  const auto application = Number("PRAGMA application_id");
  if (!application) return Fail(application.error());
  const auto version = Number("PRAGMA user_version");
  if (!version) return Fail(version.error());
  const auto tables = Number("SELECT count(*) FROM sqlite_schema");
  if (!tables) return Fail(tables.error());
  const bool empty = *application == 0 && *version == 0 && *tables == 0;
  if (!empty && *application != kApplicationId) {
    return Fail(Error{ErrorCode::kInvalidArgument, path_ + ": is not a file of processed ids",
                      "path", "name a file of its own; tables of effects are made after Open", 0});
  }
  if (!empty && *version != kVersion) {
    return Fail(Error{ErrorCode::kInvalidArgument,
                      path_ + ": has version " + std::to_string(*version) +
                          ", and this program knows " + std::to_string(kVersion),
                      "path", "was it made by a newer release?", 0});
  }
  for (const char* setting : {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"}) {
    const auto set = Number(setting);
    if (!set) return Fail(set.error());
  }
  if (!empty) return {};
  Transaction transaction(db_);
  if (const auto begun = Check(transaction.Begin()); !begun) return begun;
  const auto created = Check(sqlite3_exec(db_, kCreate, nullptr, nullptr, nullptr));
  if (!created) return created;
  return Check(transaction.Commit());
}

// --- Locks

bool ProcessedIds::Impl::TryLock(int64_t number) {
  if (held_.contains(number)) return false;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = number;
  lock.l_len = 1;
  if (fcntl(locks_, F_OFD_SETLK, &lock) != 0) return false;
  held_.insert(number);
  return true;
}

void ProcessedIds::Impl::Unlock(int64_t number) {
  struct flock lock {};
  lock.l_type = F_UNLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = number;
  lock.l_len = 1;
  HOLDFAST_CHECK(held_.erase(number) == 1, path_ + ": a claim was let go of twice");
  HOLDFAST_CHECK(fcntl(locks_, F_OFD_SETLK, &lock) == 0, path_ + ": a lock cannot be let go of");
}

// --- Rows

Result<ProcessedIds::Impl::Row> ProcessedIds::Impl::Find(std::string_view id) {
  Statement find(db_, "SELECT number, done FROM processed WHERE id = ?");
  const int code = find.Bind(id).Step();
  if (const auto found = Check(code); !found) return Fail(found.error());
  if (code == SQLITE_DONE) return Row{};
  return Row{find.Number(0), find.Number(1) != 0};
}

// The number of the new row. What is beyond the window goes, some rows at a time.
Result<int64_t> ProcessedIds::Impl::Insert(std::string_view id, bool done) {
  const int64_t now = now_();
  const auto inserted =
      Check(Statement(db_, "INSERT INTO processed (id, done, begun) VALUES (?, ?, ?)")
                .Bind(id)
                .Bind(int64_t{done})
                .Bind(now)
                .Step());
  if (!inserted) return Fail(inserted.error());
  const int64_t number = sqlite3_last_insert_rowid(db_);
  const auto forgotten =
      Check(Statement(db_,
                      "DELETE FROM processed WHERE number IN (SELECT number FROM "
                      "(SELECT number, begun FROM processed ORDER BY number LIMIT ?) "
                      "WHERE number <= ? OR begun < ?)")
                .Bind(kForgottenAtOnce)
                .Bind(number - static_cast<int64_t>(options_.ids_max))
                .Bind(now - options_.age_max_seconds)
                .Step());
  if (!forgotten) return Fail(forgotten.error());
  return number;
}

// --- Claims

Result<Claim> ProcessedIds::Impl::Begin(ProcessedIds* owner, std::string_view id) {
  std::lock_guard lock(mutex_);
  if (const auto ready = Ready(id); !ready) return Fail(ready.error());
  Transaction transaction(db_);
  if (const auto begun = Check(transaction.Begin()); !begun) return Fail(begun.error());
  const auto row = Find(id);
  if (!row) return Fail(row.error());
  if (row->done) return Claim(nullptr, Seen::kDone, "", 0);
  if (row->number != 0) {
    // Who committed it would have said so in the row before letting go of the lock.
    if (!TryLock(row->number)) return Claim(nullptr, Seen::kBusy, "", 0);
    return Claim(owner, Seen::kUnknown, std::string(id), row->number);
  }
  const auto number = Insert(id, false);
  if (!number) return Fail(number.error());
  // Before anybody sees the row.
  if (!TryLock(*number)) {
    return Fail(Error{ErrorCode::kInternal, path_ + "-claims: " + std::strerror(errno), "",
                      "locks of files need a file system of this machine", 0});
  }
  if (const auto committed = Check(transaction.Commit()); !committed) {
    Unlock(*number);
    return Fail(committed.error());
  }
  return Claim(owner, Seen::kNever, std::string(id), *number);
}

Result<void> ProcessedIds::Impl::Finish(const std::string& id, int64_t number, bool done) {
  std::lock_guard lock(mutex_);
  if (const auto ready = Ready(id); !ready) return ready;
  Transaction transaction(db_);
  if (const auto begun = Check(transaction.Begin()); !begun) return begun;
  const auto changed =
      Check(done ? Statement(db_, "UPDATE processed SET done = 1 WHERE id = ?").Bind(id).Step()
                 : Statement(db_, "DELETE FROM processed WHERE number = ?").Bind(number).Step());
  if (!changed) return changed;
  if (done && sqlite3_changes(db_) == 0) {  // It was forgotten meanwhile.
    if (const auto inserted = Insert(id, true); !inserted) return Fail(inserted.error());
  }
  if (const auto committed = Check(transaction.Commit()); !committed) return committed;
  Unlock(number);
  return {};
}

Result<Seen> ProcessedIds::Impl::RunOnce(std::string_view id,
                                         absl::FunctionRef<Result<void>(sqlite3*)> effect) {
  std::lock_guard lock(mutex_);
  if (const auto ready = Ready(id); !ready) return Fail(ready.error());
  Transaction transaction(db_);
  if (const auto begun = Check(transaction.Begin()); !begun) return Fail(begun.error());
  const auto row = Find(id);
  if (!row) return Fail(row.error());
  if (row->done) return Seen::kDone;
  if (row->number != 0) {
    // Begun by a Claim, whose effect is elsewhere.
    if (!TryLock(row->number)) return Seen::kBusy;
    Unlock(row->number);
    return Seen::kUnknown;
  }
  if (auto done = effect(db_); !done) return Fail(std::move(done.error()));
  if (!transaction.open()) {
    return Fail(Error{ErrorCode::kInternal, path_ + ": the effect has ended the transaction", "",
                      "it must leave that to RunOnce, which records the id with it", 0});
  }
  if (const auto number = Insert(id, true); !number) return Fail(number.error());
  if (const auto committed = Check(transaction.Commit()); !committed) {
    return Fail(committed.error());
  }
  return Seen::kNever;
}

// --- What callers hold

Claim::Claim(Claim&& other) noexcept
    : ids_(std::exchange(other.ids_, nullptr)),
      seen_(other.seen_),
      id_(std::move(other.id_)),
      number_(other.number_) {}

Claim::~Claim() {
  if (ids_ != nullptr) ids_->impl_->LetGo(number_);
}

Result<void> Claim::Commit() {
  HOLDFAST_CHECK(mine(), "a claim that is not held was committed");
  auto finished = ids_->impl_->Finish(id_, number_, true);
  if (finished) ids_ = nullptr;
  return finished;
}

Result<void> Claim::Abandon() {
  HOLDFAST_CHECK(mine(), "a claim that is not held was abandoned");
  auto finished = ids_->impl_->Finish(id_, number_, false);
  if (finished) ids_ = nullptr;
  return finished;
}

ProcessedIds::ProcessedIds(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ProcessedIds::~ProcessedIds() = default;

Result<std::unique_ptr<ProcessedIds>> ProcessedIds::Open(const std::string& path, Options options) {
  if (options.ids_max < 1 || options.ids_max > kIdsMax || options.age_max_seconds < 1) {
    return Fail(InvalidArgument("options", "ids_max must be 1 to " + std::to_string(kIdsMax) +
                                               ", age_max_seconds at least 1"));
  }
  auto impl = std::make_unique<Impl>(path, std::move(options));
  if (auto opened = impl->Open(); !opened) return Fail(std::move(opened.error()));
  return std::unique_ptr<ProcessedIds>(new ProcessedIds(std::move(impl)));
}

Result<std::unique_ptr<ProcessedIds>> ProcessedIds::Open(const std::string& path) {
  return Open(path, Options{});
}

Result<Claim> ProcessedIds::Begin(std::string_view id) { return impl_->Begin(this, id); }

Result<Seen> ProcessedIds::RunOnce(std::string_view id,
                                   absl::FunctionRef<Result<void>(sqlite3*)> effect) {
  return impl_->RunOnce(id, effect);
}

}  // namespace holdfast::client
