// A fetched checkpoint takes the place of a node's state, when the node starts.
//
//   <data>/incoming/     a checkpoint being fetched; of no meaning after a restart
//   <data>/checkpoint/   one that is complete: `manifest` and the files of the store in `db/`
//   <data>/checkpoint.old/   one that is being removed; of no meaning
//
// The node stops, the store's files are replaced, the log is made to go on behind them, and the
// folder is removed. Each step can be repeated, so a crash at any point is finished by the next
// start. Why by a restart: a server that starts from a snapshot is what Raft knows anyway, and
// nothing that runs has to have its state pulled away from under it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "holdfast/peer.pb.h"
#include "src/base/error.h"
#include "src/base/file_system.h"
#include "src/wal/segment_log.h"

namespace holdfast::node {

inline constexpr char kCheckpointFolder[] = "checkpoint";        // Complete, to be installed.
inline constexpr char kCheckpointIncomingFolder[] = "incoming";  // Being fetched.
inline constexpr char kCheckpointStoreFolder[] = "db";

// Whether the manifest says where in a log its checkpoint stands. It may come from anywhere.
bool NamesPosition(const CheckpointManifest& manifest);

// --- As it is stored: docs/formats/checkpoint.md
std::string EncodePending(CheckpointManifest manifest);
// Takes any bytes; nullopt: they are no manifest, or not as they were written.
std::optional<CheckpointManifest> DecodePending(std::string_view bytes);

// --- Fetching
// Empties `incoming` and makes sure that `bytes` fit on the disk.
Result<void> PrepareIncoming(FileSystem& files, const std::string& incoming, uint64_t bytes);
// All files are written and synced: durable under its new name on return.
Result<void> CompleteIncoming(FileSystem& files, const std::string& incoming,
                              const std::string& complete, const CheckpointManifest& manifest);

// --- Starting
// The manifest of what waits in `complete`; an Error that names the file when it is damaged.
Result<CheckpointManifest> ReadPending(FileSystem& files, const std::string& complete);
// What waits in `complete` for a log like this one, if anything: a checkpoint whose last entry the
// log, or the state before it, holds is not needed.
Result<std::optional<CheckpointManifest>> PendingCheckpoint(FileSystem& files,
                                                            const std::string& complete,
                                                            const wal::Log& log);
// Replaces the database in `database` by that of the checkpoint. Neither is open.
Result<void> InstallStore(FileSystem& files, const std::string& complete,
                          const std::string& database);
// Then: the log goes on behind the checkpoint, unless it holds its last entry.
void InstallLog(wal::SegmentLog& log, const CheckpointManifest& manifest);
// Then: nothing is left to do.
Result<void> FinishInstall(FileSystem& files, const std::string& complete);

}  // namespace holdfast::node
