// A file system that reads another and writes nothing: what is written, synced, renamed or removed
// is taken for done and dropped. So code that recovers a folder can be run for what it finds, and
// the folder stays as it was. Locks are real.
//
// What was "written" is not read back. A new file or folder is refused: it would be read.
#pragma once

#include "src/base/file_system.h"

namespace holdfast {

class ReadOnlyFileSystem final : public FileSystem {
 public:
  // `files` must outlive this.
  explicit ReadOnlyFileSystem(FileSystem& files) : files_(files) {}

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Result<std::vector<std::string>> List(const std::string& folder) override {
    return files_.List(folder);
  }
  Result<void> Rename(const std::string&, const std::string&) override { return {}; }
  Result<void> Remove(const std::string&) override { return {}; }
  Result<void> SyncFolder(const std::string&) override { return {}; }
  Result<void> CreateFolders(const std::string& folder) override;
  Result<std::unique_ptr<FolderLock>> Lock(const std::string& folder) override {
    return files_.Lock(folder);
  }
  Result<bool> Exists(const std::string& path) override { return files_.Exists(path); }
  Result<void> RemoveAll(const std::string&) override { return {}; }
  Result<void> MoveFolder(const std::string&, const std::string&) override { return {}; }
  Result<uint64_t> FreeBytes(const std::string& folder) override {
    return files_.FreeBytes(folder);
  }

 private:
  FileSystem& files_;
};

}  // namespace holdfast
