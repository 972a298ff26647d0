// A store's base on a simulated disk: runs as files with a checksum, all of it in memory as well.
// It takes the place of RocksDB, whose threads no seed decides, and keeps to the same contract: a
// run is there in full or not at all, and what does not read back as written is found.
#pragma once

#include <memory>
#include <string>

#include "src/base/file_system.h"
#include "src/store/memory/memory_base.h"

namespace holdfast::sim {

class FileBase : public store::Base {
 public:
  // `files` must outlive the base.
  static Result<std::unique_ptr<FileBase>> Open(FileSystem& files, const std::string& folder);

  bool Get(std::string_view key, std::string* value) const override;
  std::unique_ptr<store::Cursor> NewCursor(std::string_view prefix) const override;
  void Ingest(const store::ChangeReader& next) override;

  // The files of now, in a new folder.
  Result<void> Export(const std::string& folder) const;

 private:
  FileBase(FileSystem& files, std::string folder);
  Result<void> Load();
  Result<void> WriteRun(const std::string& name, const std::string& bytes);

  FileSystem& files_;
  const std::string folder_;
  std::shared_ptr<store::MemoryDisk> disk_;
  store::MemoryBase memory_;
  uint64_t last_ = 0;  // The number of the newest run.
  uint64_t runs_ = 0;  // Since the last that holds everything.
};

}  // namespace holdfast::sim
