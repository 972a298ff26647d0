// Checkpoints that this node gives to others: for each peer that asks, a folder of links to the
// files of the store as they were when it asked, and the pieces of them.
//
// Thread-safe. Export and reading take as long as the disk does: never call them on the loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "holdfast/peer.pb.h"
#include "src/base/error.h"
#include "src/base/executor.h"
#include "src/base/file_system.h"
#include "src/base/ids.h"

namespace holdfast::node {

class CheckpointExports {
 public:
  // Links the store's files into a new folder (RocksDbBase::Export).
  using Export = std::function<Result<void>(const std::string& folder)>;

  // What an earlier life left in `folder` is removed. `files` must outlive this; stop `background`
  // before it goes.
  CheckpointExports(FileSystem& files, std::string folder, Executor& background,
                    Export export_store);
  ~CheckpointExports();

  // A manifest with its session and files; the rest is the caller's to fill in. What `peer` had
  // open before is closed. Not while a checkpoint is being written.
  Result<CheckpointManifest> Open(NodeId peer, uint64_t now_ms);
  // A piece of a file, at most kCheckpointPieceBytes. Fails with not_found when the session is
  // over, with invalid_argument when there is no such piece.
  Result<CheckpointPiece> Read(NodeId peer, const CheckpointRequest& request, uint64_t now_ms);
  // Closes what `peer` has open, if it is this session.
  void Close(NodeId peer, uint64_t session);
  // Closes those that have not been read from for `idle_ms`, and says whose they were.
  std::vector<NodeId> CloseIdle(uint64_t now_ms, uint64_t idle_ms);

 private:
  struct Session {
    uint64_t number = 0;
    std::string folder;
    CheckpointManifest manifest;
    uint64_t used_ms = 0;
    // The file that was read last.
    uint32_t open_file = 0;
    std::shared_ptr<File> file;
  };

  // Makes the session's folder and says what is in it.
  Result<void> Fill(Session* session);
  void Remove(const std::string& folder);

  FileSystem& files_;
  const std::string folder_;
  Executor& background_;  // Removes what is no longer offered.
  const Export export_;
  std::mutex mutex_;
  std::map<NodeId, Session> sessions_;
  uint64_t last_session_ = 0;
};

}  // namespace holdfast::node
