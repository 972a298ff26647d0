// The store: typed tables in memory over a base of sorted runs on disk.
//
// Changed rows collect in the *delta* of each table. A checkpoint freezes the deltas, writes them
// as one sorted run on a background thread and hands it to the base in one atomic step; until then
// the log covers them. A lookup goes delta -> frozen delta -> row cache -> base. Memory is bounded
// by delta and cache, not by the history.
//
// Threads: one thread mutates (the apply thread), inside WriteLock; any thread reads inside
// ReadLock. The lock is taken between two log entries, so a reader sees no half-applied entry.
// Failure: an error of the base stops the node; nothing here returns one.
#pragma once

#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/bounds.h"
#include "src/store/base.h"
#include "src/store/digest.h"

namespace holdfast::store {

// Names a table in stored runs, for ever: service id in the high byte (0 is the machine's).
struct TableNumber {
  uint8_t service = 0;
  uint8_t table = 0;
  constexpr auto operator<=>(const TableNumber&) const = default;
};

struct Options {
  size_t checkpoint_rows =
      bounds::kCheckpointRowsDefault;  // Delta rows that call for a checkpoint.
  size_t checkpoint_bytes =
      bounds::kCheckpointBytesDefault;  // Delta bytes in memory that call for one.
  size_t cache_rows_per_table = bounds::kCacheRowsPerTable;  // Per generation; see row_cache.h.
  // Look up what PutNew and EraseKnown take as given, and stop when it is not so: for tests.
  bool check_known = false;
};

class TableBase;  // The type-erased side of a table; see table.h.

// A place in the undo list to roll back to; {} is the beginning of the entry.
struct Savepoint {
  size_t position = 0;
  Digest digest;
};

class Store {
 public:
  explicit Store(std::unique_ptr<Base> base, Options options = {});
  // Tables go before their store, and a checkpoint's job has been run or will never be.
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  absl::Mutex& mutex() const ABSL_LOCK_RETURNED(mutex_) { return mutex_; }

  // --- Apply thread, under the exclusive lock
  Savepoint Mark() const { return Savepoint{undo_.size(), digest_}; }
  // Undoes every Put and Erase made since `mark`, newest first.
  void RollbackTo(Savepoint mark);
  // Forgets the undo list and returns a digest of what the entry changed: of each kept change in
  // order, its table, key and new row. Equal state and equal entries give equal digests anywhere.
  uint64_t EndEntry();

  // --- Checkpoints
  // Whether the delta has grown to a bound, of rows or of bytes, and no checkpoint is under way.
  bool WantsCheckpoint() const;
  // Freezes the delta; call it between two entries (after EndEntry) under the exclusive lock. The
  // returned job is run once on another thread, without the lock: it writes the run, makes it
  // durable, then takes the lock for the moment of dropping the frozen delta. Empty when nothing
  // changed or a checkpoint is still under way. The store must outlive the job.
  std::function<void()> BeginCheckpoint();

  // Learns some of the keys that the base has had since it was opened, so that lookups of new keys
  // need not ask it (key_filter.h); false when all are known. Call it until then on the thread that
  // runs the checkpoints' jobs. Until then, or without, lookups are merely slower.
  bool LearnKeys();

  // Whether so much has changed while a checkpoint is being written that the caller should hold
  // back until it is: memory is bounded by twice the checkpoint's rows and bytes.
  bool Overfull() const {
    return delta_rows_ >= 2 * options_.checkpoint_rows ||
           delta_bytes_ >= 2 * options_.checkpoint_bytes;
  }

  // What has changed since the last checkpoint began, over all tables: rows, and about the memory
  // that they take.
  size_t delta_rows() const { return delta_rows_; }
  size_t delta_bytes() const { return delta_bytes_; }
  const Base& base() const { return *base_; }

  // Every row as (table, encoded key, encoded row) in order of key, newest state: for tests,
  // verification and dumps. Under at least the shared lock.
  void ForEach(const std::function<void(TableNumber, std::string_view key, std::string_view row)>&
                   visit) const;

 private:
  friend class TableBase;

  void FinishCheckpoint();

  const std::unique_ptr<Base> base_;
  const Options options_;
  mutable absl::Mutex mutex_;
  std::vector<TableBase*> tables_;  // In order of number.
  // Of the current entry: whose table each change is, and the digest of them all. What was there
  // before is on the tables' own undo lists.
  std::vector<TableBase*> undo_;
  Digest digest_;
  size_t delta_rows_ = 0;
  size_t delta_bytes_ = 0;
  bool checkpoint_running_ = false;
};

}  // namespace holdfast::store
