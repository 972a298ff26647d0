// A node's part in changes of who the members are (docs/decisions/0015-membership.md).
#include <algorithm>
#include <future>

#include "src/base/bounds.h"
#include "src/base/logging.h"
#include "src/base/reached.h"
#include "src/node/node.h"

namespace holdfast::node {
namespace {

using raft::Membership;

constexpr uint64_t kMisfitMs = 20;       // Between two words to a peer that goes by other members.
constexpr uint64_t kFarewellMs = 5'000;  // For who was removed to hear of it.
constexpr uint64_t kRemovedMsMax = 30'000;  // For who was removed to tell the others.
// What a learner may lack to be made a voter: what comes in while it asks for that.
constexpr uint64_t kPromoteLagMax = 1'000;

void Insert(std::vector<NodeId>* nodes, NodeId node) {
  nodes->insert(std::upper_bound(nodes->begin(), nodes->end(), node), node);
}

Error Refused(std::string why, std::string hint, std::string field = "") {
  return Error{ErrorCode::kInvalidArgument, std::move(why), std::move(field), std::move(hint), 0};
}

}  // namespace

// Who this node is linked with: the members, each where the entry says that added it, or else the
// configuration.
std::map<NodeId, std::string> Node::Peers() const {
  const Membership membership = [this] {
    std::lock_guard lock(founding_mutex_);
    return parts_.founding.membership();
  }();
  std::map<NodeId, std::string> peers;
  for (NodeId member : membership.All()) {
    if (member == options_.raft.id) continue;
    for (const auto* addresses : {&membership.addresses, &options_.addresses}) {
      const auto address = addresses->find(member);
      if (address != addresses->end()) peers.emplace(member, address->second);
    }
  }
  return peers;
}

Result<LogIndex> Node::ChangeMembership(MembershipChange change) {
  auto promise = std::make_shared<std::promise<Result<LogIndex>>>();
  std::future<Result<LogIndex>> proposed = promise->get_future();
  ChangeMembership(std::move(change), [promise = std::move(promise)](Result<LogIndex> result) {
    promise->set_value(std::move(result));
  });
  try {
    return proposed.get();
  } catch (const std::future_error&) {  // The loop took no more events.
    return Fail(Error{ErrorCode::kUnavailable, "the node is stopping", "", "Ask another.", 500});
  }
}

void Node::ChangeMembership(MembershipChange change, std::function<void(Result<LogIndex>)> done) {
  OnLoop([this, change = std::move(change), done = std::move(done)] {
    done(ProposeMembership(change));
  });
}

Result<LogIndex> Node::ProposeMembership(const MembershipChange& change) {
  using Kind = MembershipChange::Kind;
  const std::string node = "node " + change.node.ToString();
  if (!replica_) {
    return Fail(Error{ErrorCode::kUnavailable, "the cluster is not founded yet", "", "", 500});
  }
  Membership next = replica_->membership();
  const LogIndex present = next.index;
  switch (change.kind) {
    case Kind::kAdd:
      if (next.Has(change.node)) {  // It may have moved.
        const std::map<NodeId, std::string> peers = Peers();
        const auto known = peers.find(change.node);
        const bool moved = known != peers.end() && known->second != change.address;
        if (!moved) return present;
        next.addresses[change.node] = change.address;
        break;
      }
      if (next.All().size() >= bounds::kNodesMax) {
        return Fail(Refused("a cluster has at most " + std::to_string(bounds::kNodesMax) + " nodes",
                            "Remove one first."));
      }
      Insert(&next.learners, change.node);
      next.addresses[change.node] = change.address;
      break;
    case Kind::kPromote:
      if (next.IsVoter(change.node)) return present;
      if (!next.Has(change.node)) {
        return Fail(
            Refused(node + " is not a member", "Add it first: holdfast members add.", "node"));
      }
      std::erase(next.learners, change.node);
      Insert(&next.voters, change.node);
      next.incarnations[change.node] = 0;  // Filled in below.
      break;
    case Kind::kRemove:
      if (!next.Has(change.node)) return present;
      if (next.voters == std::vector{change.node}) {
        return Fail(Refused(node + " is the only voter", "Promote another first.", "node"));
      }
      std::erase(next.learners, change.node);
      std::erase(next.voters, change.node);
      next.addresses.erase(change.node);
      next.incarnations.erase(change.node);
      break;
  }
  {
    std::lock_guard lock(founding_mutex_);
    for (auto& [promoted, incarnation] : next.incarnations) {
      const uint64_t known = parts_.founding.IncarnationOf(promoted);
      if (known != 0) incarnation = known;
    }
  }
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  if (replica_->role() != raft::Role::kLeader) {
    return Fail(
        Error{ErrorCode::kUnavailable, "this node does not lead", "", "Ask the leader.", 100});
  }
  if (!next.Has(options_.raft.id)) {
    HOLDFAST_REACHED("node.membership.removed_leader_hands_over");
    replica_->HandOver(now_ms);
    return Fail(Error{ErrorCode::kUnavailable, "this node leads and has to hand over first", "",
                      "Ask the new leader in a moment.", 500});
  }
  const LogIndex match = replica_->MatchOf(change.node);
  if (change.kind == Kind::kPromote &&
      (!replica_->IsHeard(now_ms, change.node) || replica_->IsRejoining(now_ms, change.node) ||
       match.value + kPromoteLagMax < parts_.log.last().value)) {
    return Fail(Error{ErrorCode::kUnavailable,
                      node + " has not caught up: it holds " + match.ToString() + " of " +
                          parts_.log.last().ToString() + " entries",
                      "", "Is it running? Ask again when it has them.", 1'000});
  }
  auto position = replica_->ProposeMembership(now_ms, next);
  if (!position) return Fail(position.error());
  logging::Info(Component::kNode, "proposes other members",
                {{"entry", position->index.value},
                 {"voters", next.voters.size()},
                 {"learners", next.learners.size()}});
  return position->index;
}

void Node::AdoptMembership() {
  const Membership next = *replica_->next_membership();
  const std::map<NodeId, std::string> before = Peers();
  bool lost_voice = false;
  {
    std::lock_guard lock(founding_mutex_);
    const bool rejoining = parts_.founding.rejoining();
    if (auto saved = parts_.founding.Adopt(next); !saved) {
      endings_.fatal("cannot write the identity of this node: " + saved.error().message);
      return;
    }
    lost_voice = parts_.founding.rejoining() && !rejoining;
  }
  if (lost_voice) {  // Another folder was promoted, and this one has taken its place.
    installing_ = true;
    endings_.restart();
    return;
  }
  removed_ = !next.Has(options_.raft.id);
  if (removed_) {
    HOLDFAST_REACHED("node.membership.is_removed");
    logging::Warn(Component::kNode, "removed from the cluster; ends when a majority knows it",
                  {{"entry", next.index.value}});
    frontend_.Stop();  // Nobody would take what comes.
    writes_->Stop();   // They go on elsewhere.
    reads_->Stop();
    link_->SetPeers(Peers());
    BeginFarewell();
    return;
  }
  // Before anything that consensus says under the new membership, on the same links: so it is
  // understood. Who was removed is told as well, and given the time to hear it.
  std::map<NodeId, std::string> all = Peers();
  all.insert(before.begin(), before.end());
  link_->SetPeers(all);
  for (const auto& [peer, address] : all) SayHelloTo(peer);
  if (all.size() > Peers().size()) {
    parts_.loop.PostAfter(kFarewellMs, [this, adopted = next.index] {
      // A later change has a farewell of its own.
      const bool last = !stopped_ && parts_.founding.membership().index == adopted;
      if (last) link_->SetPeers(Peers());
    });
  }
  replica_->Adopt(parts_.clock.MonotonicMs());
  OnLoop([] {});  // Its timer may be due.
}

// The others may be out of reach, or refuse to listen because they know: it does not wait for ever.
void Node::BeginFarewell() {
  {
    std::lock_guard lock(status_mutex_);
    status_.role = raft::Role::kFollower;
    status_.leader = NodeId(0);
    status_.waiting = "was removed from the cluster and tells the others";
  }
  SayHelloAgain(parts_.clock.MonotonicMs());
  parts_.loop.PostAfter(kRemovedMsMax, [this] {
    if (!stopped_ && !installing_) EndRemoved();
  });
}

void Node::EndRemoved() {
  std::lock_guard lock(founding_mutex_);
  endings_.fatal("node " + options_.raft.id.ToString() +
                 " was removed from the cluster, by entry " +
                 parts_.founding.membership().index.ToString() + ".\nIts data folder, " +
                 parts_.folder + ", is of no more use once the others have a leader.");
}

bool Node::Removed() const {
  std::lock_guard lock(founding_mutex_);
  return !parts_.founding.membership().Has(options_.raft.id);
}

// As long as no majority goes by the new membership the old one may need this node, if only to
// hear that it is over.
void Node::NoteHerald(const Identity& peer) {
  Membership own;
  {
    std::lock_guard lock(founding_mutex_);
    own = parts_.founding.membership();
  }
  const NodeId id(peer.node());
  if (!own.IsVoter(id) || peer.founding() || peer.membership_index() < own.index.value) return;
  know_it_.insert(id);
  if (know_it_.size() >= own.Majority()) EndRemoved();
}

// One of the two is behind, and each tells the other what it knows.
void Node::Misfits(NodeId from) {
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  uint64_t& told_ms = misfit_ms_[from];
  if (told_ms != 0 && now_ms < told_ms + kMisfitMs) return;
  told_ms = now_ms;
  SayHelloTo(from);
}

// Under status_mutex_.
void Node::PublishMembers() {
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  const Membership& membership = replica_->membership();
  status_.membership = membership.index;
  status_.voter = membership.IsVoter(status_.id);
  status_.peers.clear();
  const bool leads = replica_->role() == raft::Role::kLeader;
  const auto publish = [&](NodeId member, bool voter) {
    if (member == status_.id) return;
    status_.peers.push_back({member, replica_->MatchOf(member), voter,
                             leads && replica_->IsHeard(now_ms, member),
                             replica_->IsRejoining(now_ms, member), ""});
  };
  for (NodeId member : membership.voters) publish(member, true);
  for (NodeId member : membership.learners) publish(member, false);
}

}  // namespace holdfast::node
