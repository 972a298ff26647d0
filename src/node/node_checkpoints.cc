// A node's part in checkpoints: when one is due, giving them to others, fetching one.
#include <spdlog/spdlog.h>

#include "src/base/bounds.h"
#include "src/base/reached.h"
#include "src/node/checkpoint_install.h"
#include "src/node/node.h"
#include "src/node/wire.h"

namespace holdfast::node {

void Node::StepCheckpoints(uint64_t now_ms) {
  if (now_ms >= checkpoint_ms_ + options_.checkpoint_interval_ms) {
    checkpoint_ms_ = now_ms;
    applier_.CheckpointSoon();
  }
  for (NodeId peer : exports_.CloseIdle(now_ms, bounds::kCheckpointIdleMsMax)) {
    replica_->HoldFor(peer, LogIndex(0));
  }
  if (const auto& behind = replica_->behind();
      behind && !fetch_.active() && now_ms >= fetch_.earliest_ms()) {
    fetch_.Begin(now_ms, behind->leader);
  }
  fetch_.Step(now_ms);
  StepBackup();
}

void Node::SendCheckpoint(NodeId to, CheckpointReply reply) {
  PeerFrame frame;
  *frame.mutable_checkpoint_reply() = std::move(reply);
  link_->Send(to, std::move(frame));
}

void Node::HandleCheckpointRequest(NodeId from, const CheckpointRequest& request) {
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  CheckpointReply refusal;
  if (request.session() != 0) {
    parts_.reads.Post([this, from, request, now_ms] {
      auto piece = exports_.Read(from, request, now_ms);
      CheckpointReply reply;
      if (piece) {
        *reply.mutable_piece() = std::move(*piece);
      } else {
        *reply.mutable_error() = ToWire(piece.error());
      }
      SendCheckpoint(from, std::move(reply));
    });
    return;
  }
  if (replica_->role() != raft::Role::kLeader) {
    *refusal.mutable_error() =
        ToWire(Error{ErrorCode::kUnavailable, "this node does not lead", "", "", 0});
    SendCheckpoint(from, std::move(refusal));
    return;
  }
  // From now on the log keeps what comes after the checkpoint that is about to be given out.
  replica_->HoldFor(from, replica_->checkpoint());
  // On the executor that writes checkpoints: so none is being written, and the position is that of
  // the last one.
  parts_.background.Post([this, from, now_ms, term = replica_->term()] {
    auto manifest = exports_.Open(from, now_ms);
    const LogIndex index = applier_.checkpoint();
    OnLoop([this, from, term, index, manifest = std::move(manifest)]() mutable {
      CheckpointReply reply;
      if (!manifest) {
        replica_->HoldFor(from, LogIndex(0));
        *reply.mutable_error() = ToWire(manifest.error());
      } else if (replica_->role() != raft::Role::kLeader || replica_->term() != term) {
        *reply.mutable_error() =
            ToWire(Error{ErrorCode::kUnavailable, "this node no longer leads", "", "", 0});
      } else {
        manifest->set_index(index.value);
        manifest->set_index_term(parts_.log.TermAt(index).value);
        manifest->set_leader_term(term.value);
        *reply.mutable_manifest() = std::move(*manifest);
      }
      SendCheckpoint(from, std::move(reply));
    });
  });
}

// A backup that was asked for is made from a checkpoint that holds all that had been applied then;
// one that was under way at the time may not, and another is begun behind it.
void Node::StepBackup() {
  const auto wanted = backup_.Waiting();
  if (!wanted) return;
  if (applier_.checkpoint() >= wanted->position) {
    if (backup_.Start(wanted->session)) MakeBackup(wanted->session);
  } else if (parts_.machine.applied() >= wanted->position) {
    applier_.CheckpointSoon();
  }
}

void Node::MakeBackup(uint64_t session) {
  // On the executor that writes checkpoints, as for a peer.
  parts_.background.Post([this, session] {
    auto files = exports_.Open(kBackupReader, parts_.clock.MonotonicMs());
    const LogIndex index = applier_.checkpoint();
    OnLoop([this, session, index, files = std::move(files)]() mutable {
      if (!files) {
        backup_.Failed(session, files.error());
        return;
      }
      files->set_index(index.value);
      files->set_index_term(parts_.log.TermAt(index).value);
      files->set_leader_term(replica_->term().value);
      if (files->index_term() == 0) {
        backup_.Again(session);  // Another checkpoint came between, and the log was cut behind it.
        return;
      }
      BackupExport::Ready ready;
      ready.manifest = std::move(*files);
      ready.node = options_.raft.id;
      ready.members = replica_->membership().voters;
      ready.cluster = Greeting().identity().cluster();
      backup_.Offer(session, std::move(ready));
    });
  });
}

// The checkpoint is complete and durable: nothing from now on is acknowledged or voted that a start
// with it would not know.
void Node::CheckpointFetched(const CheckpointManifest& manifest) {
  const LogIndex index(manifest.index());
  if (index <= replica_->committed() || parts_.log.TermAt(index) == Term(manifest.index_term())) {
    HOLDFAST_REACHED("node.checkpoint.no_longer_needed");
    spdlog::info("checkpoint: no longer needed, the log has caught up");
    parts_.background.Post([this] {
      auto removed = FinishInstall(parts_.files, parts_.folder + "/" + kCheckpointFolder);
      if (!removed) spdlog::warn("{}", removed.error().message);
    });
    return;
  }
  installing_ = true;
  endings_.restart();
}

}  // namespace holdfast::node
