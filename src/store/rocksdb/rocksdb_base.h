// The base on disk: a RocksDB whose only writes are whole runs. Its memtable and its log stay
// empty; what is not in a run yet is covered by Holdfast's own log.
//
//   <path>/FORMAT      "holdfast store 2": who wrote the folder; see docs/formats/store.md
//   <path>/incoming/   the run being written; whatever a crash leaves there is removed on open
//   <path>/db/         RocksDB's own files
//
// Ingest writes a run as one sorted file beside the database, makes it durable and hands it over in
// one step, so after a crash a run is there in full or not at all. The folder is private (0700,
// files 0600) and locked against a second process.
//
// Failure: Open returns what a person can act on. Later, a failed write or fsync, in the foreground
// or in a compaction, and a checksum that does not match stop the node. A compaction that finds no
// room on the disk waits until there is some: what it was to replace is there.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"
#include "src/store/base.h"

namespace rocksdb {
class DB;
class Env;
}  // namespace rocksdb

namespace holdfast::store {

inline constexpr int kStoreFormat = 2;

struct RocksDbOptions {
  size_t block_cache_bytes = 128 << 20;  // Data, index and filter blocks together.
  // Called between writing a run and handing it over: tests of a crash at that point.
  std::function<void()> run_written;
  rocksdb::Env* env = nullptr;  // Another than PrivateFilesEnv(): tests of a disk's faults.
};

class RocksDbBase : public Base {
 public:
  // Creates the folder if need be; its parent must exist.
  static Result<std::unique_ptr<RocksDbBase>> Open(const std::filesystem::path& path,
                                                   RocksDbOptions options = {});
  // The database in `database`, which nobody writes to, as it is: nothing is written, not even a
  // line of RocksDB's own log. Ingest must not be called.
  static Result<std::unique_ptr<RocksDbBase>> OpenReadOnly(const std::filesystem::path& database);
  ~RocksDbBase() override;

  bool Get(std::string_view key, std::string* value) const override;
  std::unique_ptr<Cursor> NewCursor(std::string_view prefix) const override;
  void Ingest(const ChangeReader& next) override;
  // Links all that has been ingested into the new folder `folder`, on the same file system: the
  // files of a database that Open finds when they lie in `<path>/db`. Not while an Ingest is under
  // way. Fails when the disk does.
  Result<void> Export(const std::string& folder) const;

  // Reads every block of every live file, and compares checksums. Names the file and the place that
  // is damaged. As slow as the disk; reads and runs go on.
  Result<void> VerifyChecksums() const;

  // A live file, by its name in the database's folder.
  struct LiveFile {
    std::string name;
    uint64_t bytes = 0;
  };
  std::vector<LiveFile> LiveFiles() const;
  // As VerifyChecksums, of one of them; one that is gone by now is good. Any thread.
  Result<void> VerifyFile(const std::string& name) const;

  // What RocksDB says of itself; 0 where it does not. Any thread.
  struct Figures {
    uint64_t runs_bytes = 0;         // Live files.
    uint64_t block_cache_bytes = 0;  // In memory.
    uint64_t readers_bytes = 0;      // Indexes and filters in memory, outside the block cache.
    uint64_t level0_files = 0;       // Runs that no compaction has merged yet.
    uint64_t compaction_bytes = 0;   // Waiting to be compacted, an estimate.
  };
  Figures figures() const;

 private:
  RocksDbBase(std::filesystem::path path, RocksDbOptions options);
  Result<void> OpenDatabase();
  // False when there is nothing to write.
  bool WriteRun(const ChangeReader& next, const std::string& file) const;

  const std::filesystem::path path_;
  const RocksDbOptions options_;
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace holdfast::store
