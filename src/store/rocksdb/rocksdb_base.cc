#include "src/store/rocksdb/rocksdb_base.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/iterator.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/sst_partitioner.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <utility>

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/base/logging.h"
#include "src/store/rocksdb/folder.h"
#include "src/store/rocksdb/private_files.h"

namespace holdfast::store {
namespace {

constexpr int kBloomBitsPerKey = 10;  // About 1 % of lookups in vain per run.
constexpr int kBackgroundJobs = 2;
constexpr size_t kInfoLogBytes = 1 << 20;
constexpr size_t kManifestBytes = 4 << 20;
// A file's filter is one block of the cache, and what does not fit a shard of it is read anew for
// every lookup: files are small and shards few, so that a filter takes a hundredth of its shard.
constexpr size_t kFileBytes = 16 << 20;
constexpr int kCacheShardBits = 2;
constexpr size_t kTableNumberBytes = 2;  // What stored keys begin with.
// A compaction of runs rewrites most of the level below: with 8 at a time instead of 4 a third less
// is written. A read asks the filter of each; pages of rows took no longer.
constexpr int kRunsToCompact = 8;
// Nothing is ever written to a memtable, so this costs nothing. But RocksDB keeps the filters of
// new runs at hand only up to about this size, and lookups of new ids live on them.
constexpr size_t kMemtableBytes = 64 << 20;
constexpr std::chrono::seconds kLookForDamageMax{2};
constexpr size_t kBackgroundSyncBytes = 1 << 20;  // Compactions write evenly, not in bursts.

rocksdb::Slice Slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view View(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// Opens a run, and reads all of its blocks and rows if `whole`.
rocksdb::Status ReadRun(const std::string& path, bool whole) {
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;  // That is for what callers read.
  rocksdb::Options options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  rocksdb::SstFileReader reader(options);
  rocksdb::Status status = reader.Open(path);
  if (status.ok() && whole) status = reader.VerifyChecksum(rocksdb::ReadOptions());
  if (status.ok() && whole) {
    // What says how blocks are to be read has no checksum that this looks at.
    const std::unique_ptr<rocksdb::Iterator> rows(reader.NewIterator(rocksdb::ReadOptions()));
    for (rows->SeekToFirst(); rows->Valid(); rows->Next()) {
    }
    status = rows->status();
  }
  return status;
}

// ", in FILE": the first damaged run in `folder`, for RocksDB does not always name it, or names the
// manifest. Who asks is about to end the node, which leads perhaps: not for long.
std::string WhichRun(const std::filesystem::path& folder) {
  const auto until = std::chrono::steady_clock::now() + kLookForDamageMax;
  std::vector<std::string> runs;
  std::error_code ignored;
  for (const auto& file : std::filesystem::directory_iterator(folder, ignored)) {
    if (file.path().extension() == ".sst") runs.push_back(file.path());
  }
  std::sort(runs.begin(), runs.end());
  for (const bool whole : {false, true}) {
    for (const std::string& run : runs) {
      if (std::chrono::steady_clock::now() > until) return "; holdfast inspect says in which file";
      if (ReadRun(run, whole).IsCorruption()) return ", in " + run;
    }
  }
  return "";
}

void CheckOk(const rocksdb::Status& status, const char* doing, rocksdb::DB* db = nullptr) {
  if (status.ok()) [[likely]]
    return;
  std::string what = std::string(doing) + ": " + status.ToString();
  if (status.IsCorruption() && db != nullptr && what.find(".sst") == std::string::npos) {
    what += WhichRun(db->GetName());
  }
  if (status.IsNoSpace()) {
    DiskFailed(
        "the store cannot go on: " + what +
        ". The disk is full: free space on the volume of the data folder, then start again.");
  }
  if (status.IsCorruption()) {
    DiskFailed("the store cannot go on: " + what +
               ". It is damaged: move the whole data folder away and start the node, which rejoins "
               "with a new one while all others run.");
  }
  if (status.IsIOError()) {
    DiskFailed("the store cannot go on: " + what +
               ". Look at the kernel's log and the disk's health before you start again.");
  }
  HOLDFAST_CHECK(status.ok(), what);
}

Error DoesNotOpen(const std::filesystem::path& path, const std::filesystem::path& database,
                  const rocksdb::Status& status) {
  std::string what = "does not open: " + status.ToString();
  if (status.IsCorruption() && what.find(".sst") == std::string::npos) what += WhichRun(database);
  // One that is missing may never have been: the file that names it is damaged as likely.
  if (status.IsIOError() && what.find("MANIFEST") != std::string::npos) {
    what += "; the file CURRENT names that one, and one of the two is damaged";
  }
  return FolderError(path, what);
}

// A compaction that fails is not retried behind our back, but for one that finds no room: nobody
// misses its files, and a disk that is full must not end a node that only reads. RocksDB tries
// again after a second, as long as an error is taken back.
class StopOnError : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override {
    if (reason == rocksdb::BackgroundErrorReason::kCompaction && status->IsNoSpace()) {
      if (!told_.exchange(true)) {
        logging::Warn(logging::Component::kStore,
                      "the disk has no room for a compaction; it is tried every second",
                      {{"why", status->ToString()}});
      }
      *status = rocksdb::Status::OK();
      return;
    }
    CheckOk(*status, "RocksDB in the background", db_.load());
  }
  void OnCompactionCompleted(rocksdb::DB* /*db*/, const rocksdb::CompactionJobInfo& job) override {
    if (job.status.ok() && told_.exchange(false)) {
      logging::Info(logging::Component::kStore, "there is room for compactions again");
    }
  }

  void Watch(rocksdb::DB* db) { db_ = db; }

 private:
  std::atomic<rocksdb::DB*> db_{nullptr};
  std::atomic<bool> told_{false};  // Once for a disk that is full, not every second.
};

rocksdb::Options DatabaseOptions(const RocksDbOptions& options) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes, kCacheShardBits);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  table.cache_index_and_filter_blocks = true;  // Within the bound of the cache, too.
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.checksum = rocksdb::kXXH3;
  table.format_version = 5;

  rocksdb::Options db;
  db.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  db.create_if_missing = true;
  db.paranoid_checks = true;
  db.compression = rocksdb::kLZ4Compression;
  db.level_compaction_dynamic_level_bytes = true;
  db.target_file_size_base = kFileBytes;
  db.level0_file_num_compaction_trigger = kRunsToCompact;
  // Compactions end a file where a table ends. So files of a journal, which only grows at its end,
  // move down as they are: no level has anything between their keys.
  db.sst_partitioner_factory = rocksdb::NewSstPartitionerFixedPrefixFactory(kTableNumberBytes);
  db.write_buffer_size = kMemtableBytes;
  db.avoid_flush_during_shutdown = true;
  db.max_background_jobs = kBackgroundJobs;
  db.max_open_files = bounds::kStoreOpenFilesMax;
  db.bytes_per_sync = kBackgroundSyncBytes;
  db.max_manifest_file_size = kManifestBytes;
  db.max_log_file_size = kInfoLogBytes;
  db.keep_log_file_num = 2;
  db.info_log_level = rocksdb::WARN_LEVEL;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  return db;
}

class NoLogger : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

class RocksDbCursor : public Cursor {
 public:
  RocksDbCursor(rocksdb::DB* db, std::string_view prefix)
      : db_(db), lower_(prefix), upper_(prefix), lower_slice_(lower_) {
    while (!upper_.empty() && upper_.back() == '\xff') upper_.pop_back();
    if (!upper_.empty()) ++upper_.back();
    upper_slice_ = upper_;
    rocksdb::ReadOptions read;
    read.iterate_lower_bound = lower_.empty() ? nullptr : &lower_slice_;
    read.iterate_upper_bound = upper_.empty() ? nullptr : &upper_slice_;
    iterator_.reset(db->NewIterator(read));
  }

  void Seek(std::string_view key) override {
    iterator_->Seek(Slice(key));
    Check();
  }
  void SeekForPrev(std::string_view key) override {
    iterator_->SeekForPrev(Slice(key));
    Check();
  }
  void Next() override {
    iterator_->Next();
    Check();
  }
  void Prev() override {
    iterator_->Prev();
    Check();
  }
  bool Valid() const override { return iterator_->Valid(); }
  std::string_view key() const override { return View(iterator_->key()); }
  std::string_view value() const override { return View(iterator_->value()); }

 private:
  // An iterator that meets an error looks as if it had come to the end.
  void Check() const {
    if (!iterator_->Valid()) CheckOk(iterator_->status(), "scanning", db_);
  }

  rocksdb::DB* const db_;
  const std::string lower_;
  std::string upper_;  // The first key behind the prefix; empty when there is none.
  rocksdb::Slice lower_slice_;
  rocksdb::Slice upper_slice_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

}  // namespace

RocksDbBase::RocksDbBase(std::filesystem::path path, RocksDbOptions options)
    : path_(std::move(path)), options_(std::move(options)) {}

RocksDbBase::~RocksDbBase() {
  if (db_ != nullptr) CheckOk(db_->Close(), "closing");
}

Result<std::unique_ptr<RocksDbBase>> RocksDbBase::Open(const std::filesystem::path& path,
                                                       RocksDbOptions options) {
  std::unique_ptr<RocksDbBase> base(new RocksDbBase(path, std::move(options)));
  if (Result<void> prepared = PrepareFolder(path); !prepared) return Fail(prepared.error());
  if (Result<void> opened = base->OpenDatabase(); !opened) return Fail(opened.error());
  // Only now is it certain that no other process is writing a run.
  if (Result<void> emptied = EmptyFolder(path / kIncomingFolder); !emptied) {
    return Fail(emptied.error());
  }
  return base;
}

Result<void> RocksDbBase::OpenDatabase() {
  rocksdb::Options options = DatabaseOptions(options_);
  options.env = options_.env == nullptr ? PrivateFilesEnv() : options_.env;
  const auto listener = std::make_shared<StopOnError>();
  options.listeners.push_back(listener);
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, path_ / kDatabaseFolder, &db);
  if (!status.ok()) return Fail(DoesNotOpen(path_, path_ / kDatabaseFolder, status));
  db_.reset(db);
  listener->Watch(db);
  return {};
}

Result<std::unique_ptr<RocksDbBase>> RocksDbBase::OpenReadOnly(
    const std::filesystem::path& database) {
  std::unique_ptr<RocksDbBase> base(new RocksDbBase(database, {}));
  rocksdb::Options options = DatabaseOptions(base->options_);
  options.create_if_missing = false;
  options.info_log = std::make_shared<NoLogger>();
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, database, &db);
  if (!status.ok()) return Fail(DoesNotOpen(database, database, status));
  base->db_.reset(db);
  return base;
}

Result<void> RocksDbBase::VerifyChecksums() const {
  rocksdb::ReadOptions read;
  read.fill_cache = false;
  const rocksdb::Status status = db_->VerifyChecksum(read);
  if (!status.ok()) return Fail(FolderError(path_, "is damaged: " + status.ToString()));
  return {};
}

std::vector<RocksDbBase::LiveFile> RocksDbBase::LiveFiles() const {
  std::vector<rocksdb::LiveFileMetaData> live;
  db_->GetLiveFilesMetaData(&live);
  std::vector<LiveFile> files;
  for (const rocksdb::LiveFileMetaData& file : live) {
    files.push_back({file.relative_filename, file.size});
  }
  return files;
}

Result<void> RocksDbBase::VerifyFile(const std::string& name) const {
  const auto is_live = [&] {
    const std::vector<LiveFile> files = LiveFiles();
    return std::any_of(files.begin(), files.end(),
                       [&](const LiveFile& file) { return file.name == name; });
  };
  const std::string path = path_ / kDatabaseFolder / name;
  const rocksdb::Status status = ReadRun(path, true);
  if (status.ok() || !is_live()) return {};
  return Fail(FolderError(path, "is damaged: " + status.ToString()));
}

bool RocksDbBase::Get(std::string_view key, std::string* value) const {
  const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), Slice(key), value);
  if (status.IsNotFound()) return false;
  CheckOk(status, "reading", db_.get());
  return true;
}

std::unique_ptr<Cursor> RocksDbBase::NewCursor(std::string_view prefix) const {
  return std::make_unique<RocksDbCursor>(db_.get(), prefix);
}

bool RocksDbBase::WriteRun(const ChangeReader& next, const std::string& file) const {
  std::optional<Change> change = next();
  if (!change.has_value()) return false;
  rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), db_->GetOptions());
  CheckOk(writer.Open(file), "creating a run");
  for (; change.has_value(); change = next()) {
    // The writer refuses keys that do not ascend.
    CheckOk(change->value.has_value() ? writer.Put(Slice(change->key), Slice(*change->value))
                                      : writer.Delete(Slice(change->key)),
            "writing a run");
  }
  CheckOk(writer.Finish(), "finishing a run");  // Ends with an fsync.
  return true;
}

RocksDbBase::Figures RocksDbBase::figures() const {
  const auto ask = [this](const std::string& property) {
    uint64_t value = 0;
    return db_->GetIntProperty(property, &value) ? value : 0;
  };
  const auto level0 = [this] {
    std::string text;
    const bool known = db_->GetProperty("rocksdb.num-files-at-level0", &text);
    return known ? std::strtoull(text.c_str(), nullptr, 10) : 0;
  };
  return {ask("rocksdb.live-sst-files-size"), ask("rocksdb.block-cache-usage"),
          ask("rocksdb.estimate-table-readers-mem"), level0(),
          ask("rocksdb.estimate-pending-compaction-bytes")};
}

void RocksDbBase::Ingest(const ChangeReader& next) {
  const std::string file = path_ / kIncomingFolder / "run.sst";
  if (!WriteRun(next, file)) return;
  if (options_.run_written) options_.run_written();
  rocksdb::IngestExternalFileOptions options;
  options.move_files = true;
  options.write_global_seqno = false;  // The file stays as it was synced.
  options.verify_checksums_before_ingest = true;
  CheckOk(db_->IngestExternalFile({file}, options), "ingesting a run");
}

Result<void> RocksDbBase::Export(const std::string& folder) const {
  rocksdb::Checkpoint* raw = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(db_.get(), &raw);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
  if (status.ok()) status = checkpoint->CreateCheckpoint(folder);
  if (!status.ok()) return Fail(FolderError(folder, "cannot be written: " + status.ToString()));
  return {};
}

}  // namespace holdfast::store
