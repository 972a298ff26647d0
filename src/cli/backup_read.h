// Reads a backup from one running node into a folder: `<folder>.partial`, which gets its name when
// all of it is there, verified and durable.
//
// One thread. Failure: nothing is left but what the Error names.
#pragma once

#include <string>

#include "holdfast/backup.pb.h"
#include "src/base/error.h"
#include "src/base/file_system.h"
#include "src/client/client.h"
#include "src/node/backup_folder.h"

namespace holdfast::cli {

struct BackupReadOptions {
  std::string folder;                    // Not there yet.
  uint64_t after = 0;                    // Holds at least everything up to this log position.
  uint64_t bytes_per_second = 0;         // So that the node's other callers do not suffer.
  std::chrono::milliseconds timeout{0};  // For an answer of the node.
  // Told what is being done; the bytes of all files once known.
  std::function<void(const std::string& what)> tell;
  std::function<void(uint64_t done, uint64_t total)> progress;
};

// Also fills in what only the files tell: the state's time and digest. Durable on return.
Result<BackupManifest> ReadBackupFrom(client::Client& node, FileSystem& files,
                                      const BackupReadOptions& options);

// Whether the database in `database` is what the manifest says: checksums, position and invariants,
// and digest and time where the manifest has them. Fills these in where it has not.
Result<void> CheckDatabase(const std::string& database, BackupManifest* manifest);

}  // namespace holdfast::cli
