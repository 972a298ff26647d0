// Fetches a leader's checkpoint, piece by piece, into a folder of its own, while the node goes on
// as it is. When it is complete and durable the folder gets the name under which the next start
// installs it (checkpoint_install.h).
//
// The loop owns it; the disk is written on the background executor. Few pieces are under way at a
// time, which bounds memory, and so many a second that the leader's work does not suffer.
// Failure: a fetch that fails (a full disk, a leader that is gone, a checksum) leaves nothing
// behind; the leader's next message begins another.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "holdfast/peer.pb.h"
#include "src/base/bounds.h"
#include "src/base/error.h"
#include "src/base/executor.h"
#include "src/base/file_system.h"
#include "src/base/ids.h"

namespace holdfast::node {

class CheckpointFetch {
 public:
  struct Parts {
    FileSystem& files;
    std::string incoming;  // Folder to fetch into; emptied first.
    std::string complete;  // What it is renamed to. Both in one folder.
    Executor& background;
    std::function<void(Task)> on_loop;  // Posts to the loop.
    // False: there is no link to the leader, and nobody will say that one broke.
    std::function<bool(NodeId leader, CheckpointRequest request)> send;
    // Of the fetch under way: it is complete.
    std::function<void(const CheckpointManifest&)> done;
    uint64_t bytes_per_second = bounds::kCheckpointBytesPerSecond;
  };
  explicit CheckpointFetch(Parts parts);

  bool active() const { return state_ != nullptr; }
  NodeId leader() const { return leader_; }
  // When the next attempt may begin: not at once after a failure.
  uint64_t earliest_ms() const { return earliest_ms_; }

  void Begin(uint64_t now_ms, NodeId leader);
  void Receive(uint64_t now_ms, NodeId from, CheckpointReply reply);
  void LinkDown(uint64_t now_ms, NodeId to);
  // Call now and then: asks for what the pace allows, and gives up on a leader that is silent.
  void Step(uint64_t now_ms);

 private:
  struct State;
  struct Piece {
    uint32_t file;
    uint64_t offset;
    uint32_t bytes;
  };

  void Accept(uint64_t now_ms, const CheckpointManifest& manifest);
  void Accept(uint64_t now_ms, CheckpointPiece piece);
  void Ask(uint64_t now_ms);
  bool Send(uint64_t now_ms, CheckpointRequest request);
  void Written(uint64_t now_ms, const std::shared_ptr<State>& state, size_t bytes,
               const Result<void>& result);
  bool HasAll() const;
  void Complete();
  void GiveUp(uint64_t now_ms, const std::string& why);

  Parts parts_;
  NodeId leader_;
  uint64_t earliest_ms_ = 0;
  std::shared_ptr<State> state_;  // Of the fetch under way; shared with the background's tasks.
};

}  // namespace holdfast::node
