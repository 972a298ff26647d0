#include "src/node/node_state.h"

#include <algorithm>
#include <utility>

#include "src/base/bounds.h"
#include "src/node/checkpoint_install.h"

namespace holdfast::node {

Result<std::unique_ptr<NodeState>> NodeState::Open(FileSystem& files,
                                                   const NodeStateOptions& options,
                                                   wal::SegmentLog::Durable durable) {
  const std::vector<NodeId>& members = options.members;
  if (members.size() > bounds::kNodesMax) {
    return Fail(InvalidArgument(
        "members", "a cluster has at most " + std::to_string(bounds::kNodesMax) + " nodes"));
  }
  if (std::find(members.begin(), members.end(), options.id) == members.end()) {
    return Fail(InvalidArgument(
        "members", "node " + options.id.ToString() + " is not one of the cluster's members"));
  }
  std::unique_ptr<NodeState> state(new NodeState());
  auto founding = Founding::Open(files, options.folder, options.id, members, options.incarnation);
  if (!founding) return Fail(founding.error());
  state->founding_.emplace(std::move(*founding));
  if (auto done = state->OpenLog(files, options, std::move(durable)); !done) {
    return Fail(done.error());
  }
  if (auto done = state->TakeOverCheckpoint(files, options); !done) return Fail(done.error());
  if (auto done = state->OpenMachine(options); !done) return Fail(done.error());
  return state;
}

Result<void> NodeState::OpenLog(FileSystem& files, const NodeStateOptions& options,
                                wal::SegmentLog::Durable durable) {
  auto log = wal::SegmentLog::Open(files, options.folder + "/log", options.log, std::move(durable));
  if (!log) return Fail(log.error());
  log_ = std::move(*log);
  if (!founding_->founded() || log_->last().value != 0) return {};
  return Fail(Error{
      ErrorCode::kInternal,
      "the folder " + options.folder + " belongs to a founded cluster, but its log is empty", "",
      "Put the log back if it was moved. Do not start the node without it: it would have "
      "forgotten what it promised. The other nodes go on.",
      0});
}

Result<void> NodeState::TakeOverCheckpoint(FileSystem& files, const NodeStateOptions& options) {
  // A fetch that was cut short begins anew.
  if (auto removed = files.RemoveAll(options.folder + "/" + kCheckpointIncomingFolder); !removed) {
    return removed;
  }
  const std::string checkpoint = options.folder + "/" + kCheckpointFolder;
  auto pending = PendingCheckpoint(files, checkpoint, *log_);
  if (!pending) return Fail(pending.error());
  if (!*pending) return {};
  if (auto done = InstallStore(files, checkpoint, options.database); !done) return done;
  InstallLog(*log_, **pending);
  return FinishInstall(files, checkpoint);
}

Result<void> NodeState::OpenMachine(const NodeStateOptions& options) {
  auto base = options.open_base();
  if (!base) return Fail(base.error());
  store_ = std::make_unique<store::Store>(std::move(*base), options.store);
  registry_ = std::make_unique<state_machine::Registry>(*store_);
  options.add_services(*registry_, machine_);
  registry_->Finish();
  machine_ = std::make_unique<state_machine::Machine>(*store_, *registry_);
  if (auto fits = machine_->Fits("this node"); !fits) return fits;
  if (machine_->applied().Next() >= log_->first()) return {};
  return Fail(Error{ErrorCode::kInternal,
                    "the store in " + options.folder + " ends at entry " +
                        machine_->applied().ToString() + ", its log begins at " +
                        log_->first().ToString(),
                    "",
                    "Put back what was removed. If it is lost, remove the whole folder: the node "
                    "rejoins and fetches what it lacks.",
                    0});
}

}  // namespace holdfast::node
