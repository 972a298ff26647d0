#include "sim/operator.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

using raft::Membership;

constexpr uint64_t kAttemptsMax = 60;

}  // namespace

Operator::Operator(World& world, Cluster& cluster, const OperatorOptions& options)
    : world_(world), cluster_(cluster), options_(options) {
  PlanLater(options.pause_ms);
}

void Operator::PlanLater(uint64_t mean_ms) {
  world_.events.After(world_.random.Between(1, 2 * mean_ms) * 1000,
                      [this, alive = std::weak_ptr(alive_)] {
                        if (!alive.expired() && !finishing_) Plan();
                      });
}

NodeId Operator::Any(const std::vector<NodeId>& nodes) {
  return nodes[world_.random.Between(0, nodes.size() - 1)];
}

// One that was never a member rather than one that was.
NodeId Operator::Spare() {
  NodeId retired;
  for (uint64_t id = 1; id <= cluster_.size(); ++id) {
    if (cluster_.IsInUse(NodeId(id))) continue;
    if (!cluster_.IsRetired(NodeId(id))) return NodeId(id);
    retired = NodeId(id);
  }
  return retired;
}

void Operator::Plan() {
  const auto members = cluster_.Members();
  if (!members) {
    PlanLater(options_.pause_ms);
    return;
  }
  const size_t voters = members->voters.size();
  if (target_ == 0 || (target_ == voters && world_.random.OneIn(3))) {
    target_ = options_.voters.Draw(world_.random);
  }
  const NodeId spare = Spare();
  if (world_.random.OneIn(8)) {  // What makes no sense now, or nothing of it.
    const auto kind = static_cast<Kind>(world_.random.Between(1, 2));
    Step(kind, Any(members->All()));
  } else if (!members->learners.empty() && world_.random.OneIn(2)) {
    Step(voters < target_ ? Kind::kPromote : Kind::kRemove, Any(members->learners));
  } else if (voters < target_ && spare.value != 0) {
    Step(Kind::kAdd, spare);
    if (!world_.random.OneIn(6)) Step(Kind::kPromote, spare);
  } else if (voters > target_) {
    const NodeId leader = cluster_.Leader();
    Step(Kind::kRemove, world_.random.OneIn(3) ? leader : Any(members->voters));
  } else if (spare.value != 0) {
    PlanReplacement(*members);
  }
  Next();
}

void Operator::PlanReplacement(const Membership& members) {
  const NodeId dead = Any(members.voters);
  const NodeId spare = Spare();
  // Dead or alive.
  if (members.voters.size() > 2 && world_.random.OneIn(2)) cluster_.TakeOff(dead);
  const bool remove_first = world_.random.OneIn(3) && members.voters.size() > 1;
  if (remove_first) Step(Kind::kRemove, dead);
  Step(Kind::kAdd, spare);
  Step(Kind::kPromote, spare);
  if (!remove_first) Step(Kind::kRemove, dead);
}

void Operator::Step(Kind kind, NodeId node) {
  node::MembershipChange change;
  change.kind = kind;
  change.node = node;
  if (kind == Kind::kAdd) change.address = Cluster::Address(node);
  steps_.push_back(change);
}

void Operator::Next() {
  attempts_ = 0;
  agreed_ = LogIndex(0);
  if (steps_.empty() || finishing_) {
    PlanLater(options_.pause_ms);
    return;
  }
  const node::MembershipChange& change = steps_.front();
  if (change.kind == Kind::kAdd && !cluster_.IsInUse(change.node)) cluster_.Commission(change.node);
  if (change.kind != Kind::kAdd && world_.random.Percent(options_.wipe_percent)) LoseADisk(change);
  Ask();
}

// Around the change: of the node whose vote is given or taken, or of another.
void Operator::LoseADisk(const node::MembershipChange& change) {
  const uint64_t us = world_.random.Between(0, options_.wipe_within_ms * 1000);
  world_.events.After(us, [this, node = change.node, alive = std::weak_ptr(alive_)] {
    if (alive.expired() || finishing_) return;
    const auto members = cluster_.Members();
    const bool others = members && world_.random.OneIn(2);
    cluster_.Wipe(others ? Any(members->voters) : node);
  });
}

bool Operator::IsSo(const Membership& members, const node::MembershipChange& change) {
  switch (change.kind) {
    case Kind::kAdd: return members.Has(change.node);
    case Kind::kPromote: return members.IsVoter(change.node);
    case Kind::kRemove: return !members.Has(change.node);
  }
  return false;
}

void Operator::Ask() {
  const node::MembershipChange& change = steps_.front();
  const auto members = cluster_.Members();
  if (members && agreed_.value != 0 && members->index >= agreed_ && IsSo(*members, change)) {
    world_.Trace("the operator sees that it is so");
    ++changes_;
    if (change.kind == Kind::kRemove) cluster_.Retire(change.node);
    steps_.pop_front();
    Next();
    return;
  }
  if (finishing_) return;
  if (++attempts_ > kAttemptsMax) {
    steps_.clear();
    PlanLater(options_.pause_ms);
    return;
  }
  const NodeId leader = cluster_.Leader();
  const uint64_t attempt = ++attempt_;
  if (leader.value != 0) {
    static constexpr const char* kWords[] = {"add", "promote", "remove"};
    world_.Trace(std::string("the operator asks node ") + leader.ToString() + " to " +
                 kWords[static_cast<size_t>(change.kind)] + " node " + change.node.ToString());
    const bool asked = cluster_.ChangeMembers(
        leader, change,
        [this, attempt, alive = std::weak_ptr(alive_)](const Result<LogIndex>& result) {
          if (!alive.expired()) Answered(attempt, result);
        });
    if (!asked) world_.Trace("which would be no good while so many disks are lost");
  }
  AskLater();
}

void Operator::AskLater() {
  world_.events.After(world_.random.Between(20, 250) * 1000,
                      [this, alive = std::weak_ptr(alive_), attempt = attempt_] {
                        if (!alive.expired() && attempt == attempt_) Ask();
                      });
}

void Operator::Answered(uint64_t attempt, const Result<LogIndex>& result) {
  if (attempt != attempt_) return;
  if (result) {
    agreed_ = *result;
    return;
  }
  ++refused_;
  world_.Trace("and is told: " + result.error().message);
  if (result.error().code != ErrorCode::kInvalidArgument) return;
  ++attempt_;
  steps_.clear();
  PlanLater(options_.pause_ms);
}

}  // namespace holdfast::sim
