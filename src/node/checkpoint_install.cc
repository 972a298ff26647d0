#include "src/node/checkpoint_install.h"

#include <spdlog/spdlog.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>

#include "src/base/bounds.h"
#include "src/base/reached.h"

namespace holdfast::node {
namespace {

constexpr char kManifest[] = "manifest";
constexpr char kUseless[] = ".old";  // Behind the name of a checkpoint that is being removed.
// A disk that is full to the brim helps nobody.
constexpr uint64_t kSpareBytes = 256 << 20;
constexpr size_t kManifestBytesMax = bounds::kCheckpointFilesMax * 128;

uint64_t ChecksumOf(CheckpointManifest manifest) {
  manifest.clear_checksum();
  const std::string bytes = manifest.SerializeAsString();
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string Parent(const std::string& path) { return std::filesystem::path(path).parent_path(); }

}  // namespace

bool NamesPosition(const CheckpointManifest& manifest) {
  return manifest.index() != 0 && manifest.index() < wal::kNumberMax && manifest.index_term() != 0;
}

std::string EncodePending(CheckpointManifest manifest) {
  manifest.set_checksum(ChecksumOf(manifest));
  return manifest.SerializeAsString();
}

std::optional<CheckpointManifest> DecodePending(std::string_view bytes) {
  CheckpointManifest manifest;
  if (!manifest.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return std::nullopt;
  // What earlier builds have written has none, nothing that they did not know, and all they wrote.
  const bool has_none = manifest.checksum() == 0 && manifest.leader_term() != 0 &&
                        manifest.files_size() > 0 &&
                        manifest.GetReflection()->GetUnknownFields(manifest).empty();
  if (!has_none && manifest.checksum() != ChecksumOf(manifest)) return std::nullopt;
  if (!NamesPosition(manifest)) return std::nullopt;
  return manifest;
}

Result<void> PrepareIncoming(FileSystem& files, const std::string& incoming, uint64_t bytes) {
  if (auto removed = files.RemoveAll(incoming); !removed) return removed;
  const auto free_bytes = files.FreeBytes(Parent(incoming));
  if (free_bytes && *free_bytes < bytes + kSpareBytes) {
    return Fail(Error{ErrorCode::kResourceExhausted,
                      "the checkpoint takes " + std::to_string(bytes >> 20) +
                          " MiB, the disk has " + std::to_string(*free_bytes >> 20) + " MiB left",
                      "", "Make room on the disk; the node goes on by itself.", 0});
  }
  return files.CreateFolders(incoming + "/" + kCheckpointStoreFolder);
}

Result<void> CompleteIncoming(FileSystem& files, const std::string& incoming,
                              const std::string& complete, const CheckpointManifest& manifest) {
  if (auto synced = files.SyncFolder(incoming + "/" + kCheckpointStoreFolder); !synced) {
    return synced;
  }
  auto written = ReplaceFile(files, incoming + "/" + kManifest, EncodePending(manifest));
  if (!written) return written;
  const auto before = files.Exists(complete);
  if (!before) return Fail(before.error());
  if (*before) {
    if (auto removed = FinishInstall(files, complete); !removed) return removed;
  }
  if (auto moved = files.MoveFolder(incoming, complete); !moved) return moved;
  return files.SyncFolder(Parent(complete));
}

Result<CheckpointManifest> ReadPending(FileSystem& files, const std::string& complete) {
  auto bytes = ReadFile(files, complete + "/" + kManifest, kManifestBytesMax);
  if (!bytes) return Fail(bytes.error());
  auto manifest = DecodePending(*bytes);
  if (!manifest) {
    return Fail(Error{ErrorCode::kInternal, complete + "/" + kManifest + " is damaged", "",
                      "Run holdfast repair: the node comes back from the others.", 0});
  }
  return *std::move(manifest);
}

Result<std::optional<CheckpointManifest>> PendingCheckpoint(FileSystem& files,
                                                            const std::string& complete,
                                                            const wal::Log& log) {
  if (auto removed = files.RemoveAll(complete + kUseless); !removed) return Fail(removed.error());
  const auto waits = files.Exists(complete);
  if (!waits) return Fail(waits.error());
  if (!*waits) return std::nullopt;
  const auto read = ReadPending(files, complete);
  if (!read) return Fail(read.error());
  const CheckpointManifest& manifest = *read;
  const LogIndex index(manifest.index());
  const auto has_store = files.Exists(complete + "/" + kCheckpointStoreFolder);
  if (!has_store) return Fail(has_store.error());
  const bool begun = !*has_store;
  const bool held = index < log.first() || log.TermAt(index) == Term(manifest.index_term());
  if (begun || !held) return manifest;
  HOLDFAST_REACHED("node.install.held_already");
  if (auto finished = FinishInstall(files, complete); !finished) return Fail(finished.error());
  return std::nullopt;
}

Result<void> InstallStore(FileSystem& files, const std::string& complete,
                          const std::string& database) {
  const std::string fetched = complete + "/" + kCheckpointStoreFolder;
  const auto waits = files.Exists(fetched);
  if (!waits) return Fail(waits.error());
  if (!*waits) {  // Done by a start that was cut short.
    HOLDFAST_REACHED("node.install.goes_on_after_a_crash");
    return {};
  }
  if (auto removed = files.RemoveAll(database); !removed) return removed;
  if (auto made = files.CreateFolders(Parent(database)); !made) return made;
  if (auto moved = files.MoveFolder(fetched, database); !moved) return moved;
  if (auto synced = files.SyncFolder(Parent(database)); !synced) return synced;
  return files.SyncFolder(complete);
}

void InstallLog(wal::SegmentLog& log, const CheckpointManifest& manifest) {
  const LogIndex index(manifest.index());
  const Term term(manifest.index_term());
  wal::HardState state = log.hard_state();
  // Leaders of older terms may lack what the checkpoint holds: none of them is to be believed.
  if (state.term.value < manifest.leader_term()) {
    log.SaveHardState({Term(manifest.leader_term()), NodeId(0)});
  }
  if (log.TermAt(index) == term) return;
  log.Reset(index.Next(), term);
  log.Flush();
  spdlog::info("checkpoint: installed; the log goes on at entry {}", index.Next().value);
}

// Under another name first: half of a checkpoint must never look like one.
Result<void> FinishInstall(FileSystem& files, const std::string& complete) {
  const std::string useless = complete + kUseless;
  if (auto removed = files.RemoveAll(useless); !removed) return removed;
  if (auto moved = files.MoveFolder(complete, useless); !moved) return moved;
  if (auto synced = files.SyncFolder(Parent(complete)); !synced) return synced;
  return files.RemoveAll(useless);
}

}  // namespace holdfast::node
