// All that a node keeps in its folder, opened: who it is, its log, its store, and the machine that
// continues from it.
//
//   <data>/identity      who the node is, and whose cluster it belongs to (identity.h)
//   <data>/log/          the replicated log (wal/segment_log.h)
//   <data>/store/        the store's base
//   <data>/checkpoint/   another node's state, to be taken over at the next start
//
// Opening finishes what a crash cut short, refuses what does not fit together, and never guesses.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/base/file_system.h"
#include "src/node/identity.h"
#include "src/state_machine/machine.h"
#include "src/state_machine/registry.h"
#include "src/store/store.h"
#include "src/wal/segment_log.h"

namespace holdfast::node {

struct NodeStateOptions {
  NodeId id;
  std::vector<NodeId> members;  // `id` included.
  std::string folder;
  uint64_t incarnation = 0;  // Of a new folder: a random number.
  wal::SegmentLogOptions log;
  store::Options store;
  std::string database;  // Where the base keeps the files that a checkpoint replaces.
  std::function<Result<std::unique_ptr<store::Base>>()> open_base;
  // Adds all services. The machine is not there yet, but will be when a call comes.
  std::function<void(state_machine::Registry&, const std::unique_ptr<state_machine::Machine>&)>
      add_services;
};

// Declared in the order in which it is built.
class NodeState {
 public:
  // `files` must outlive the state. `durable` comes from the log's writer, until the log is closed.
  static Result<std::unique_ptr<NodeState>> Open(FileSystem& files, const NodeStateOptions& options,
                                                 wal::SegmentLog::Durable durable);

  Founding& founding() { return *founding_; }
  wal::SegmentLog& log() { return *log_; }
  store::Store& store() { return *store_; }
  state_machine::Registry& registry() { return *registry_; }
  state_machine::Machine& machine() { return *machine_; }

  // Writes what is queued; the last words to `durable` come from within.
  void CloseLog() { log_.reset(); }

 private:
  NodeState() = default;
  Result<void> OpenLog(FileSystem& files, const NodeStateOptions& options,
                       wal::SegmentLog::Durable durable);
  Result<void> TakeOverCheckpoint(FileSystem& files, const NodeStateOptions& options);
  Result<void> OpenMachine(const NodeStateOptions& options);

  std::optional<Founding> founding_;
  std::unique_ptr<wal::SegmentLog> log_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<state_machine::Registry> registry_;
  std::unique_ptr<state_machine::Machine> machine_;
};

}  // namespace holdfast::node
