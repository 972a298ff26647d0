// Who the members of a simulated cluster are: what nodes go by, what their disks hold, and what the
// operator may do without breaking the rule that no majority of disks is lost.
#include <algorithm>

#include "sim/cluster.h"
#include "src/base/testing/stopped.h"

namespace holdfast::sim {
namespace {

using raft::Membership;

std::string Name(NodeId node) { return "node " + node.ToString(); }

void Insert(std::vector<NodeId>* nodes, NodeId node) {
  if (std::find(nodes->begin(), nodes->end(), node) != nodes->end()) return;
  nodes->insert(std::upper_bound(nodes->begin(), nodes->end(), node), node);
}

// What a node makes of the change.
Membership Changed(Membership membership, const node::MembershipChange& change) {
  using Kind = node::MembershipChange::Kind;
  std::erase(membership.learners, change.node);
  if (change.kind == Kind::kRemove) std::erase(membership.voters, change.node);
  if (change.kind == Kind::kPromote) Insert(&membership.voters, change.node);
  if (change.kind == Kind::kAdd && !membership.IsVoter(change.node)) {
    Insert(&membership.learners, change.node);
  }
  return membership;
}

std::vector<Membership> ProposedIn(const wal::Log& log, LogIndex after) {
  std::vector<Membership> proposed;
  try {
    for (LogIndex i = std::max(log.first(), after.Next()); i <= log.last(); i = i.Next()) {
      if (log.TypeAt(i) != wal::EntryType::kConfiguration) continue;
      proposed.push_back(Membership::Decode(*log.Read(i).payload, i));
    }
  } catch (const testing::Stopped&) {
    // A rotten disk; a majority has them as well.
  }
  return proposed;
}

}  // namespace

std::optional<Membership> Cluster::Members() const {
  const NodeId leader = Leader();
  if (leader.value == 0) return std::nullopt;
  return At(leader).life->state->founding().membership();
}

void Cluster::Commission(NodeId node) {
  Machine& machine = At(node);
  Drop(node, false);
  ReplaceDisk(machine);
  machine.use = Use::kInUse;
  machine.off = false;
  machine.lost = false;  // It has promised nothing.
  machine.held.clear();
  world_.Trace(Name(node) + " is made ready");
  Start(node);
}

void Cluster::TakeOff(NodeId node) {
  world_.Trace(Name(node) + " is taken off for good");
  Kill(node);
  At(node).off = true;
}

void Cluster::Retire(NodeId node) {
  At(node).use = Use::kRetired;
  At(node).lost = At(node).rotten = false;
}

void Cluster::Revive(NodeId node) {
  if (IsInUse(node) && (!At(node).off || heals_)) Start(node);
}

bool Cluster::ChangeMembers(NodeId node, const node::MembershipChange& change,
                            std::function<void(Result<LogIndex>)> done) {
  Machine& machine = At(node);
  if (!machine.life) return false;
  const Membership next = Changed(machine.life->state->founding().membership(), change);
  if (!IsSafe(next, 0)) return false;
  machine.asked.push_back(next);
  const std::weak_ptr<Life> life = machine.life;
  Run(node, life, [this, node, life, change, done = std::move(done)] {
    At(node).life->node->ChangeMembership(change, [=, this](Result<LogIndex> result) {
      if (life.expired()) return;
      if (At(node).life == life.lock()) At(node).asked.clear();
      world_.events.After(world_.random.Between(20, 300),
                          [done, result = std::move(result)] { done(result); });
    });
  });
  return true;
}

// --- What nodes go by

void Cluster::ObserveMembership(Machine& machine) {
  Life& life = *machine.life;
  const node::Founding& founding = life.state->founding();
  if (!founding.founded()) return;
  const LogIndex index(std::max<uint64_t>(founding.identity().membership_index(), 1));
  if (index == life.membership) return;
  life.membership = index;
  const Membership membership = founding.membership();
  checker_.GoesBy(machine.id, membership);
  if (!membership.Has(machine.id)) life.left = life.node->status().committed;
}

void Cluster::Answers(Machine& machine, const state_machine::Method& method,
                      const node::CallOptions& options, const node::Reply& reply) {
  if (!reply.body) return;
  ObserveApplied(machine, machine.life->node->standing().term);  // The entry was just now.
  const bool writes = method.kind() == WRITE;
  if (writes) checker_.Acknowledges(machine.id, reply.position);
  const bool fresh = writes || options.consistency == Consistency::kLinearizable;
  const std::optional<LogIndex>& left = machine.life->left;
  Require(!fresh || !left || reply.position <= *left,
          Name(machine.id) + " was removed, and answers at entry " + reply.position.ToString());
}

// --- What disks hold

bool Cluster::Holds(NodeId node, LogIndex index, Term term) const {
  const Machine& machine = At(node);
  const auto holds = [&](const Holdings& disk) { return disk.Holds(index, term); };
  if (std::any_of(machine.held.begin(), machine.held.end(), holds)) return true;
  if (machine.life) return HoldsDurably(machine.life->state->log(), *machine.files, index, term);
  return machine.holds && machine.holds->Holds(index, term);
}

// The disk is lost, or not to be relied on from now on.
void Cluster::NoteDisk(Machine& machine) {
  if (machine.life) machine.held.emplace_back(machine.life->state->log(), *machine.files);
  if (!machine.life && machine.holds) machine.held.push_back(*machine.holds);
}

void Cluster::NoteLife(Machine& machine) {
  machine.holds.emplace(machine.life->state->log(), *machine.files);
  machine.proposed = ProposedIn(machine.life->state->log(), checker_.last());
  machine.asked.clear();
}

std::vector<Membership> Cluster::Memberships() const {
  std::vector<Membership> all = checker_.memberships().InForce();
  if (all.empty()) all.push_back(Membership{machines_.front()->members});
  for (const auto& machine : machines_) {
    if (machine->use != Use::kInUse) continue;
    const LogIndex agreed = checker_.last();
    const std::vector<Membership> proposed =
        machine->life ? ProposedIn(machine->life->state->log(), agreed) : machine->proposed;
    for (const Membership& each : proposed) {
      if (each.index > agreed) all.push_back(each);
    }
    all.insert(all.end(), machine->asked.begin(), machine->asked.end());
  }
  return all;
}

bool Cluster::IsSafe(const Membership& membership, size_t more) const {
  const auto lost = [this](NodeId voter) { return IsLost(voter); };
  const std::vector<NodeId>& voters = membership.voters;
  const auto count = static_cast<size_t>(std::count_if(voters.begin(), voters.end(), lost)) + more;
  return count == 0 || 2 * count < voters.size();
}

bool Cluster::MayLose(const Machine& machine) const {
  if (machine.lost || machine.rotten) return true;
  const std::vector<Membership> all = Memberships();
  return std::all_of(all.begin(), all.end(), [&](const Membership& membership) {
    return !membership.IsVoter(machine.id) || IsSafe(membership, 1);
  });
}

}  // namespace holdfast::sim
