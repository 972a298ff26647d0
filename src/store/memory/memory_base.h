// A base in memory: for the simulator, and to compare the RocksDB base with.
#pragma once

#include <absl/synchronization/mutex.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "src/store/base.h"

namespace holdfast::store {

// What survives a simulated crash: hand it to the base of the next life. Thread-safe.
class MemoryDisk {
 public:
  using Rows = std::map<std::string, std::string, std::less<>>;

  std::shared_ptr<const Rows> rows() const {
    absl::MutexLock lock(&mutex_);
    return rows_;
  }
  void Replace(std::shared_ptr<const Rows> rows) {
    absl::MutexLock lock(&mutex_);
    rows_.swap(rows);
  }

 private:
  mutable absl::Mutex mutex_;
  std::shared_ptr<const Rows> rows_ ABSL_GUARDED_BY(mutex_) = std::make_shared<const Rows>();
};

// Every run makes a new map, so that readers keep theirs; meant for states that are small enough.
class MemoryBase : public Base {
 public:
  explicit MemoryBase(std::shared_ptr<MemoryDisk> disk = std::make_shared<MemoryDisk>())
      : disk_(std::move(disk)) {}

  bool Get(std::string_view key, std::string* value) const override;
  std::unique_ptr<Cursor> NewCursor(std::string_view prefix) const override;
  void Ingest(const ChangeReader& next) override;

 private:
  const std::shared_ptr<MemoryDisk> disk_;
};

}  // namespace holdfast::store
