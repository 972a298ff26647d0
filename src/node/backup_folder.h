// A backup on disk (docs/formats/backup.md): the files of a store as they were at one position of
// the log, and a manifest that says which, with a checksum of each.
//
//   <backup>/manifest    a BackupManifest
//   <backup>/db/         the database
//
// Not thread-safe. Failure: an Error that names the file; what is damaged is never used.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "holdfast/backup.pb.h"
#include "src/base/error.h"
#include "src/base/file_system.h"

namespace holdfast::node {

inline constexpr uint32_t kBackupFormat = 1;
inline constexpr char kBackupManifest[] = "manifest";
inline constexpr char kBackupDatabase[] = "db";

// XXH3-64 of bytes that come one after the other.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  void Add(std::string_view bytes);
  uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A name from outside that becomes one: letters, digits, '-', '_' and '.', as RocksDB's are.
bool IsPlainFileName(const std::string& name);

// "1f0c33aa98d7e412": as a backup's number is shown.
std::string BackupName(uint64_t backup);

std::string EncodeManifest(BackupManifest manifest);
// Takes any bytes. What it answers names a position, a format that this build knows, and files with
// plain names of which none comes twice.
Result<BackupManifest> DecodeManifest(std::string_view bytes);
Result<BackupManifest> ReadManifest(FileSystem& files, const std::string& backup);

// How many bytes of all files have been read; for people.
using BackupProgress = std::function<void(uint64_t bytes_done)>;

// Reads every file, compares size and checksum, and copies it into the folder `to`, durably (not
// the folder's own names), unless `to` is empty. Refuses files that the manifest does not name.
Result<void> ReadFiles(FileSystem& files, const std::string& backup, const BackupManifest& manifest,
                       const std::string& to, const BackupProgress& progress);

}  // namespace holdfast::node
