#include "src/node/restore.h"

#include <algorithm>

#include "src/node/identity.h"
#include "src/wal/segment_log.h"

namespace holdfast::node {
namespace {

constexpr char kPartial[] = "restore.partial";
constexpr char kStore[] = "store";
constexpr char kLog[] = "log";
constexpr char kIdentity[] = "identity";
constexpr char kLostAndFound[] = "lost+found";

// Empties the folder of what an earlier restore left, and refuses one that holds anything else.
Result<void> PrepareData(FileSystem& files, const std::string& data) {
  if (auto made = files.CreateFolders(data); !made) return made;
  const auto names = files.List(data);
  if (!names) return Fail(names.error());
  const auto has = [&](const char* name) {
    return std::find(names->begin(), names->end(), name) != names->end();
  };
  const bool unfinished = has(kPartial) && !has(kIdentity);
  for (const std::string& name : *names) {
    const bool ours = unfinished && (name == kPartial || name == kStore || name == kLog);
    if (ours || name == kLostAndFound) continue;
    return Fail(Error{ErrorCode::kInvalidArgument, data + " is not empty: it holds " + name, "",
                      "Name a new or an empty folder. Nothing was written into this one.", 0});
  }
  if (!unfinished) return {};
  // The mark that they are a restore's leftovers goes last.
  for (const char* name : {kStore, kLog, kPartial}) {
    if (auto removed = files.RemoveAll(data + "/" + name); !removed) return removed;
  }
  return files.SyncFolder(data);
}

// As consensus would have it after it took a snapshot and lost nothing else.
Result<void> MakeLog(FileSystem& files, const std::string& folder, uint64_t segment_bytes,
                     const BackupManifest& manifest) {
  wal::SegmentLogOptions options;
  options.segment_bytes = segment_bytes;
  options.threaded = false;
  auto log = wal::SegmentLog::Open(files, folder, options, [](wal::Ticket) {});
  if (!log) return Fail(log.error());
  (*log)->SaveHardState({Term(manifest.term() + 1), NodeId(0)});
  (*log)->Reset(LogIndex(manifest.index()).Next(), Term(manifest.index_term()));
  (*log)->Flush();
  return {};
}

}  // namespace

Result<void> Restore(FileSystem& files, const RestoreOptions& options,
                     const BackupManifest& manifest) {
  const std::string& data = options.data;
  if (auto prepared = PrepareData(files, data); !prepared) return prepared;
  const std::string partial = data + "/" + kPartial;
  const std::string store = partial + "/" + kStore;
  const std::string database = store + "/" + kBackupDatabase;
  if (auto made = files.CreateFolders(database); !made) return made;
  auto copied = ReadFiles(files, options.backup, manifest, database, options.progress);
  if (!copied) return copied;
  if (auto synced = files.SyncFolder(database); !synced) return synced;
  if (auto checked = options.check_store(store, manifest); !checked) return checked;
  if (auto made = MakeLog(files, partial + "/" + kLog, options.log_segment_bytes, manifest);
      !made) {
    return made;
  }
  Origin origin;
  origin.set_backup(manifest.backup());
  origin.set_index(manifest.index());
  origin.set_index_term(manifest.index_term());
  for (const char* name : {kStore, kLog}) {
    if (auto moved = files.MoveFolder(partial + "/" + name, data + "/" + name); !moved) {
      return moved;
    }
  }
  if (auto synced = files.SyncFolder(data); !synced) return synced;
  if (auto made = Founding::Create(files, data, options.node, options.incarnation, origin); !made) {
    return made;
  }
  if (auto removed = files.RemoveAll(partial); !removed) return removed;
  return files.SyncFolder(data);
}

}  // namespace holdfast::node
