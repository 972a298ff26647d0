// A node's part in what the log means: when it raises the behaviour, as the leader
// (docs/decisions/0017-versions.md).
#include "src/base/logging.h"
#include "src/node/node.h"

namespace holdfast::node {

void Node::StepBehaviour(uint64_t now_ms) {
  const uint32_t in_force = parts_.machine.behaviour();
  const bool leads = replica_->role() == raft::Role::kLeader;
  const bool on_its_way = stepped_ == replica_->term() && in_force < stepped_to_;
  // The first entry that asks something of the machine says what it means.
  writes_->Hold(leads && in_force == 0 && !on_its_way);
  if (!leads || on_its_way || in_force >= ThisProgram().newest) return;
  // What it found in its log may be a step.
  if (parts_.machine.applied() < replica_->last_at_election()) return;
  std::vector<NodeId> others = replica_->membership().All();
  std::erase(others, options_.raft.id);
  const uint32_t wanted = programs_.Wanted(
      now_ms, in_force, others, [&](NodeId other) { return replica_->IsHeard(now_ms, other); });
  if (wanted == 0 || !writes_->ProposeStep(now_ms, BehaviourOf(wanted))) return;
  stepped_ = replica_->term();
  stepped_to_ = wanted;
  writes_->Hold(false);
  logging::Info(Component::kNode, "raises the behaviour for good: all members can do it",
                {{"version", wanted},
                 {"release", BehaviourOf(wanted).release},
                 {"entry", parts_.log.last().value}});
}

}  // namespace holdfast::node
