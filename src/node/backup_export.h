// The backup that an operator reads from this node (docs/operations.md): a checkpoint that holds
// all that was applied when it was asked for, offered like those for peers, one at a time. Who has
// begun one reads its files in pieces; a minute without a question lets go of it.
//
// Thread-safe: callers come on any thread, the loop makes it ready. Nothing here waits but Read,
// which reads the disk.
#pragma once

#include <mutex>
#include <optional>
#include <vector>

#include "holdfast/cluster.pb.h"
#include "src/clock/clock.h"
#include "src/node/checkpoint_exports.h"

namespace holdfast::node {

struct NodeStatus;

// Whom the exports know a backup's reader as: no node has this id.
inline constexpr NodeId kBackupReader{0};

class BackupExport {
 public:
  // Both must outlive this.
  BackupExport(CheckpointExports& exports, const Clock& clock) : exports_(exports), clock_(clock) {}

  // --- Callers; see cluster.proto
  // Refuses a second one (resource_exhausted), and one at a node of no founded cluster.
  Result<void> Begin(const cluster::BeginBackupRequest& request, const NodeStatus& status,
                     cluster::BeginBackupReply* reply);
  // not_found when the session is over, as after a restart of the node.
  Result<void> Read(const cluster::ReadBackupRequest& request, cluster::ReadBackupReply* reply);
  void End(uint64_t session);

  // --- The loop
  struct Wanted {
    uint64_t session = 0;
    LogIndex position;  // To be in it.
  };
  // One that waits to be made.
  std::optional<Wanted> Waiting() const;
  // It is being made from now on; false: nobody wants it any more.
  bool Start(uint64_t session);
  // It cannot be made yet, after all.
  void Again(uint64_t session);
  void Failed(uint64_t session, const Error& error);
  struct Ready {
    CheckpointManifest manifest;  // Complete; its session is that of the exports.
    NodeId node;
    std::vector<NodeId> members;
    uint64_t cluster = 0;
  };
  void Offer(uint64_t session, Ready ready);

 private:
  enum class State : uint8_t { kWanted, kBeingMade, kReady, kFailed };
  struct Session {
    uint64_t number = 0;
    State state = State::kWanted;
    LogIndex position;
    uint64_t used_ms = 0;
    Error failure;
    Ready ready;
  };

  // mutex_ held. Null: it is over.
  Session* Find(uint64_t session);

  CheckpointExports& exports_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::optional<Session> session_;
  uint64_t last_session_ = 0;
};

}  // namespace holdfast::node
