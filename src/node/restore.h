// Makes the data folder of a member of a new cluster that begins with a backup's state: a store as
// it was, an empty log that goes on behind the backup's position, in a term above the backup's, and
// an identity that names the backup as its origin. Why that is safe: docs/decisions/0016.
//
//   <data>/restore.partial/    what is being made; removed at the end
//
// Everything is verified before anything is put in place; `identity` comes last, by a rename, and
// without it no node starts. A restore that was cut short is begun anew by the next one.
#pragma once

#include <functional>
#include <string>

#include "holdfast/backup.pb.h"
#include "src/base/error.h"
#include "src/base/file_system.h"
#include "src/base/ids.h"
#include "src/node/backup_folder.h"

namespace holdfast::node {

struct RestoreOptions {
  std::string backup;
  std::string data;  // Not there, or empty.
  NodeId node;
  uint64_t incarnation = 0;  // A random number.
  uint64_t log_segment_bytes = 0;
  // Makes the store's own folder in `store` around the files in `store`/db, and checks them by
  // their own checksums and the manifest.
  std::function<Result<void>(const std::string& store, const BackupManifest& manifest)> check_store;
  BackupProgress progress;
};

// Durable on return.
Result<void> Restore(FileSystem& files, const RestoreOptions& options,
                     const BackupManifest& manifest);

}  // namespace holdfast::node
