#include "src/node/backup_export.h"

#include "src/base/behaviour.h"
#include "src/base/bounds.h"
#include "src/node/node.h"
#include "src/store/rocksdb/rocksdb_base.h"

namespace holdfast::node {
namespace {

Error Over() {
  return Error{ErrorCode::kNotFound, "this node does not offer that backup any more", "",
               "The node was restarted, or nobody asked for a minute. Begin the backup anew.", 0};
}

}  // namespace

BackupExport::Session* BackupExport::Find(uint64_t session) {
  if (!session_ || session_->number != session) return nullptr;
  session_->used_ms = clock_.MonotonicMs();
  return &*session_;
}

Result<void> BackupExport::Begin(const cluster::BeginBackupRequest& request,
                                 const NodeStatus& status, cluster::BeginBackupReply* reply) {
  if (!status.founded) {
    return Fail(Error{ErrorCode::kUnavailable, "this node's cluster is not founded yet", "",
                      "Start all of its nodes.", 0});
  }
  std::lock_guard lock(mutex_);
  const uint64_t now_ms = clock_.MonotonicMs();
  if (request.session() == 0) {
    if (session_ && session_->state != State::kFailed &&
        now_ms < session_->used_ms + bounds::kCheckpointIdleMsMax) {
      return Fail(Error{ErrorCode::kResourceExhausted,
                        "another backup is being read from this node", "",
                        "Wait for it, or take yours from another node. One that was broken off is "
                        "over a minute later.",
                        0});
    }
    session_ = Session();
    session_->number = ++last_session_;
    session_->position = std::max(status.applied, LogIndex(request.after()));
  }
  Session* session = Find(request.session() == 0 ? last_session_ : request.session());
  if (session == nullptr) return Fail(Over());
  if (session->state == State::kFailed) return Fail(session->failure);
  reply->set_session(session->number);
  reply->set_node(status.id.value);
  reply->set_applied(status.applied.value);
  reply->set_ready(session->state == State::kReady);
  if (!reply->ready()) return {};
  const Ready& ready = session->ready;
  reply->set_position(ready.manifest.index());
  reply->set_position_term(ready.manifest.index_term());
  reply->set_term(ready.manifest.leader_term());
  for (NodeId member : ready.members) reply->add_members(member.value);
  reply->set_cluster(ready.cluster);
  reply->set_store_format(store::kStoreFormat);
  reply->set_version(ThisProgram().release);
  for (const CheckpointFile& file : ready.manifest.files()) {
    auto* out = reply->add_files();
    out->set_name(file.name());
    out->set_bytes(file.bytes());
  }
  return {};
}

Result<void> BackupExport::Read(const cluster::ReadBackupRequest& request,
                                cluster::ReadBackupReply* reply) {
  CheckpointRequest piece;
  {
    std::lock_guard lock(mutex_);
    const Session* session = Find(request.session());
    if (session == nullptr || session->state != State::kReady) return Fail(Over());
    piece.set_session(session->ready.manifest.session());
  }
  piece.set_file(request.file());
  piece.set_offset(request.offset());
  piece.set_bytes(request.bytes());
  auto read = exports_.Read(kBackupReader, piece, clock_.MonotonicMs());
  if (!read) return Fail(read.error());
  *reply->mutable_data() = std::move(*read->mutable_data());
  reply->set_checksum(read->checksum());
  return {};
}

void BackupExport::End(uint64_t session) {
  std::lock_guard lock(mutex_);
  if (Find(session) == nullptr) return;
  if (session_->state == State::kReady) {
    exports_.Close(kBackupReader, session_->ready.manifest.session());
  }
  session_.reset();
}

std::optional<BackupExport::Wanted> BackupExport::Waiting() const {
  std::lock_guard lock(mutex_);
  if (!session_ || session_->state != State::kWanted) return std::nullopt;
  // Nobody asks for it any more.
  if (clock_.MonotonicMs() >= session_->used_ms + bounds::kCheckpointIdleMsMax) return std::nullopt;
  return Wanted{session_->number, session_->position};
}

bool BackupExport::Start(uint64_t session) {
  std::lock_guard lock(mutex_);
  if (!session_ || session_->number != session) return false;
  session_->state = State::kBeingMade;
  return true;
}

void BackupExport::Again(uint64_t session) {
  std::lock_guard lock(mutex_);
  if (session_ && session_->number == session) session_->state = State::kWanted;
}

void BackupExport::Failed(uint64_t session, const Error& error) {
  std::lock_guard lock(mutex_);
  if (!session_ || session_->number != session) return;
  session_->state = State::kFailed;
  session_->failure = error;
}

void BackupExport::Offer(uint64_t session, Ready ready) {
  std::lock_guard lock(mutex_);
  if (!session_ || session_->number != session) {
    exports_.Close(kBackupReader, ready.manifest.session());
    return;
  }
  session_->ready = std::move(ready);
  session_->state = State::kReady;
}

}  // namespace holdfast::node
