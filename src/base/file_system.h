// Files and folders as the durable parts of a node need them: few calls, each saying what survives
// a loss of power. The real one is PosixFileSystem; tests and the simulator use FaultyFileSystem,
// which loses, tears and refuses on purpose.
//
// What survives: the bytes of a file after Sync of the file; a name (created, renamed, removed)
// after SyncFolder of its folder. Everything else may or may not be there after a crash.
//
// Thread-safe: several threads may use one file system; one File takes reads and a write at the
// same time as long as their ranges do not overlap.
// Failure: every call returns an Error whose message names the path and the reason of the operating
// system and whose hint says what a person can do. Nothing is retried: what to do about a failed
// Write or Sync is the caller's to decide, and the log's answer is to stop the node.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"

namespace holdfast {

class File {
 public:
  virtual ~File() = default;  // Closes it; says nothing about durability.

  // Grows the file when it writes past its end.
  virtual Result<void> Write(uint64_t offset, std::string_view bytes) = 0;
  // Fills `into` and returns how much; less than asked for only at the end of the file.
  virtual Result<size_t> Read(uint64_t offset, size_t bytes, char* into) const = 0;
  // Writes real zeros, so that later writes to this range change no metadata.
  virtual Result<void> WriteZeros(uint64_t offset, uint64_t bytes) = 0;
  virtual Result<void> Truncate(uint64_t bytes) = 0;
  virtual Result<uint64_t> Size() const = 0;
  // All writes so far are durable when this succeeds (fdatasync). After a failure nobody knows what
  // is on the disk, and a second Sync that succeeds proves nothing.
  virtual Result<void> Sync() = 0;
};

// Held by one process (and one holder in it) at a time; let go by the destructor.
class FolderLock {
 public:
  virtual ~FolderLock() = default;
};

enum class OpenMode : uint8_t {
  kRead,
  kReadWrite,
  kCreate,  // For reading and writing; an existing file is emptied.
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  // Names (not paths) of everything in the folder, sorted.
  virtual Result<std::vector<std::string>> List(const std::string& folder) = 0;
  // Replaces `to` atomically. Both lie in one folder.
  virtual Result<void> Rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> Remove(const std::string& path) = 0;
  virtual Result<void> SyncFolder(const std::string& folder) = 0;
  // The folder and what lacks above it, readable by the owner only; durable on return. Fine when it
  // is there already.
  virtual Result<void> CreateFolders(const std::string& folder) = 0;
  virtual Result<std::unique_ptr<FolderLock>> Lock(const std::string& folder) = 0;

  virtual Result<bool> Exists(const std::string& path) = 0;
  // The folder with all that is in it; fine when it is not there. After a crash some may be left.
  virtual Result<void> RemoveAll(const std::string& folder) = 0;
  // Atomic; `to` is not there yet. Durable after SyncFolder of the folder that `to` lies in.
  virtual Result<void> MoveFolder(const std::string& from, const std::string& to) = 0;
  // What is left on the disk with `folder`, which exists.
  virtual Result<uint64_t> FreeBytes(const std::string& folder) = 0;
};

// The operating system's files. Folders are created 0700 and files 0600.
class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Result<std::vector<std::string>> List(const std::string& folder) override;
  Result<void> Rename(const std::string& from, const std::string& to) override;
  Result<void> Remove(const std::string& path) override;
  Result<void> SyncFolder(const std::string& folder) override;
  Result<void> CreateFolders(const std::string& folder) override;
  Result<std::unique_ptr<FolderLock>> Lock(const std::string& folder) override;
  Result<bool> Exists(const std::string& path) override;
  Result<void> RemoveAll(const std::string& folder) override;
  Result<void> MoveFolder(const std::string& from, const std::string& to) override;
  Result<uint64_t> FreeBytes(const std::string& folder) override;
};

// The whole file, or an Error when it is longer than `bytes_max`.
Result<std::string> ReadFile(FileSystem& files, const std::string& path, size_t bytes_max);
// The file holds all of `bytes` or what it held before, whatever happens; durable on return.
// Goes through a neighbour with ".tmp" appended to its name.
Result<void> ReplaceFile(FileSystem& files, const std::string& path, std::string_view bytes);

// An Error for a failed call on `path`: what was tried, the system's reason, and what to do.
Error FileError(const std::string& path, const std::string& what, int errno_value);

}  // namespace holdfast
