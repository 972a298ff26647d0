#include "src/node/identity.h"

#include <xxhash.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/base/node_list.h"
#include "src/base/reached.h"
#include "src/wal/format.h"

namespace holdfast::node {
namespace {

constexpr uint32_t kFormat = kIdentityFormat;
constexpr uint32_t kFirstWithChecksum = 2;

// With its checksum, as it is stored.
std::string Encoded(Identity identity) {
  identity.clear_checksum();
  const std::string bytes = identity.SerializeAsString();
  identity.set_checksum(XXH3_64bits(bytes.data(), bytes.size()));
  return identity.SerializeAsString();
}

bool Decode(const std::string& bytes, Identity* identity) {
  if (!identity->ParseFromString(bytes) || identity->format() == 0) return false;
  if (identity->format() > kFormat) return true;  // To be refused by name.
  if (identity->format() >= kFirstWithChecksum && Encoded(*identity) != bytes) return false;
  identity->clear_checksum();
  identity->set_format(kFormat);
  return MakesSense(*identity);
}

std::string PathIn(const std::string& folder) { return folder + "/identity"; }

Error Refused(std::string message, std::string hint) {
  return Error{ErrorCode::kInvalidArgument, std::move(message), "", std::move(hint), 0};
}

std::map<NodeId, uint64_t> FoundersOf(const Identity& identity) {
  std::map<NodeId, uint64_t> founders;
  for (const Member& founder : identity.founders()) {
    founders[NodeId(founder.node())] = founder.incarnation();
  }
  return founders;
}

void SetFounders(const std::map<NodeId, uint64_t>& founders, Identity* identity) {
  identity->clear_founders();
  for (const auto& [node, incarnation] : founders) {
    Member* founder = identity->add_founders();
    founder->set_node(node.value);
    founder->set_incarnation(incarnation);
  }
}

std::vector<NodeId> NodesIn(const std::map<NodeId, uint64_t>& founders) {
  std::vector<NodeId> nodes;
  for (const auto& [node, incarnation] : founders) nodes.push_back(node);
  return nodes;
}

bool AreThose(const std::map<NodeId, uint64_t>& founders, const std::vector<NodeId>& members) {
  return std::equal(founders.begin(), founders.end(), members.begin(), members.end(),
                    [](const auto& founder, NodeId member) { return founder.first == member; });
}

bool SameOrigin(const Identity& a, const Identity& b) {
  return a.has_origin() == b.has_origin() && a.origin().backup() == b.origin().backup() &&
         a.origin().index() == b.origin().index() &&
         a.origin().index_term() == b.origin().index_term();
}

std::string OriginText(const Identity& identity) {
  if (!identity.has_origin()) return "with nothing";
  char id[17];
  std::snprintf(id, sizeof(id), "%016" PRIx64, identity.origin().backup());
  return std::string("with backup ") + id + " at position " +
         std::to_string(identity.origin().index());
}

// As good as unique: a hash over random numbers.
uint64_t NameOf(const Identity& identity) {
  std::string bytes;
  for (const Member& founder : identity.founders()) bytes += founder.SerializeAsString();
  if (identity.has_origin()) bytes += identity.origin().SerializeAsString();
  return std::max<uint64_t>(XXH3_64bits(bytes.data(), bytes.size()), 1);
}

}  // namespace

Result<Founding> Founding::Open(FileSystem& files, const std::string& folder, NodeId self,
                                std::vector<NodeId> members, uint64_t incarnation) {
  if (auto made = files.CreateFolders(folder); !made) return Fail(made.error());
  Founding founding(files, folder, std::move(members));
  Identity& identity = founding.identity_;
  const auto exists = files.Exists(PathIn(folder));
  if (!exists) return Fail(exists.error());
  if (*exists) {
    auto bytes = ReadFile(files, PathIn(folder), bounds::kIdentityBytesMax);
    if (!bytes) return Fail(bytes.error());
    if (!Decode(*bytes, &identity)) {
      return Fail(Refused(PathIn(folder) + " is damaged",
                          "Move the whole data folder away: the node rejoins with a new one, while "
                          "all others run."));
    }
    if (identity.format() > kFormat) {
      return Fail(Refused(folder + " was written by a newer Holdfast, or is damaged",
                          "Start the version that wrote it, or a newer one; when there is none, "
                          "move the folder away: the node rejoins with a new one."));
    }
    if (identity.node() != self.value) {
      return Fail(Refused(folder + " belongs to node " + std::to_string(identity.node()) +
                              ", not to node " + self.ToString(),
                          "Check --id and --data."));
    }
  } else {
    identity.set_format(kFormat);
    identity.set_node(self.value);
    identity.set_incarnation(incarnation);
    if (auto saved = ReplaceFile(files, PathIn(folder), Encoded(identity)); !saved) {
      return Fail(saved.error());
    }
  }
  founding.met_[self] = identity.incarnation();
  if (founding.proposed()) {
    founding.met_ = FoundersOf(identity);
    if (identity.membership_index() == 0 && !AreThose(founding.met_, founding.members_)) {
      return Fail(Refused(folder + " belongs to a cluster of nodes " +
                              NodeList(NodesIn(founding.met_)) + ", cluster.members names others",
                          "Start the node with the members that it was founded with; holdfast "
                          "members adds and removes."));
    }
    founding.Agrees(identity);
  } else if (auto proposed = founding.ProposeIfComplete(); !proposed) {
    return Fail(proposed.error());
  }
  return founding;
}

// Who has founders belongs to a cluster, and stands in the list with the folder that it has.
bool MakesSense(const Identity& identity) {
  const auto& founders = identity.founders();
  const bool changed = identity.membership_index() != 0;
  const auto is_membership = [](const MembershipEntry& entry) {
    return raft::Membership::IsEncoded(entry.SerializeAsString());
  };
  if (changed &&
      (founders.empty() || identity.membership_index() >= wal::kNumberMax ||
       !is_membership(identity.membership()) || !is_membership(identity.founding_membership()))) {
    return false;
  }
  if (founders.empty()) return identity.cluster() == 0;
  return identity.cluster() != 0 &&
         std::any_of(founders.begin(), founders.end(), [&](const Member& founder) {
           return founder.node() == identity.node() &&
                  founder.incarnation() == identity.incarnation();
         });
}

raft::Membership MembershipOf(const Identity& identity) {
  if (identity.membership_index() == 0) return {NodesIn(FoundersOf(identity))};
  return raft::Membership::Decode(identity.membership().SerializeAsString(),
                                  LogIndex(identity.membership_index()));
}

raft::Membership Founding::membership() const {
  return proposed() ? MembershipOf(identity_) : raft::Membership{members_};
}

raft::Membership Founding::founding_membership() const {
  if (identity_.membership_index() == 0) return membership();
  return raft::Membership::Decode(identity_.founding_membership().SerializeAsString());
}

Result<void> Founding::Adopt(const raft::Membership& membership) {
  Identity next = identity_;
  const bool parsed =
      next.mutable_founding_membership()->ParseFromString(founding_membership().Encode()) &&
      next.mutable_membership()->ParseFromString(membership.Encode());
  HOLDFAST_CHECK(parsed, "a membership that is none");
  next.set_membership_index(membership.index.value);
  std::map<NodeId, uint64_t> met = met_;
  const std::map<NodeId, uint64_t> known = this->membership().incarnations;
  for (const auto& [node, incarnation] : membership.incarnations) {
    // What is not new may be outdated: a folder that was replaced since is known by its hellos.
    const auto before = known.find(node);
    if (before != known.end() && before->second == incarnation) continue;
    if (node.value == identity_.node()) {
      if (incarnation != identity_.incarnation()) {
        HOLDFAST_REACHED("node.identity.another_folder_was_promoted");
        next.set_rejoining(true);
      }
    } else if (const auto it = met.emplace(node, incarnation).first; it->second != incarnation) {
      // One of the two has replaced the other, and it was proposed before, or is news. Who is in
      // use says hello when it goes by this membership, and has no voice in it unless it is named.
      const auto heard = heard_by_.find(node);
      if (heard == heard_by_.end() || heard->second < membership.index) {
        HOLDFAST_REACHED("node.identity.forgets_a_folder");
        met.erase(it);
      }
    }
  }
  for (const auto& [node, newcomer] : newcomers_) {
    if (membership.Has(node)) met[node] = newcomer.first;
  }
  std::erase_if(met, [&](const auto& each) {
    return !membership.Has(each.first) && each.first.value != identity_.node();
  });
  SetFounders(met, &next);
  if (auto saved = Save(std::move(next)); !saved) return saved;
  met_ = std::move(met);
  for (const auto& [node, newcomer] : std::exchange(newcomers_, {})) {
    heard_by_[node] = newcomer.second;
  }
  return {};
}

uint64_t Founding::IncarnationOf(NodeId node) const {
  const auto known = met_.find(node);
  return known == met_.end() ? 0 : known->second;
}

Result<void> Founding::CompareMembers(const Hello& hello) const {
  const bool peer_founded = hello.identity().founders_size() > 0 && !hello.identity().founding();
  if (founded() || peer_founded) return {};  // The log says who they are.
  std::vector<NodeId> named;
  for (const uint64_t member : hello.members()) named.push_back(NodeId(member));
  std::sort(named.begin(), named.end());
  if (named == members_) return {};
  return Fail(Refused("node " + std::to_string(hello.identity().node()) + " names the members " +
                          NodeList(named) + ", node " + std::to_string(identity_.node()) +
                          " names " + NodeList(members_) + ": check cluster.members of both",
                      ""));
}

Result<void> Founding::CheckMember(const Identity& peer) const {
  const NodeId id(peer.node());
  const NodeId self(identity_.node());
  const std::string node = "node " + id.ToString();
  const bool peer_founded = peer.founders_size() > 0 && !peer.founding();
  if (peer_founded && (!founded() || peer.membership_index() > identity_.membership_index())) {
    // It knows better who the members are.
    if (founded() || MembershipOf(peer).Has(self)) return {};
    return Fail(Refused("node " + self.ToString() + " is not a member of the cluster of " + node,
                        "Add it: holdfast members add."));
  }
  // Who was removed itself has only that to say, and listens to all.
  if (membership().Has(id) || !membership().Has(self)) return {};
  return Fail(Refused(node + " is not a member of the cluster of node " + self.ToString() +
                          (founded() ? ", or was removed from it" : ": check cluster.members"),
                      ""));
}

Result<Identity> Founding::Read(FileSystem& files, const std::string& folder) {
  auto bytes = ReadFile(files, PathIn(folder), bounds::kIdentityBytesMax);
  if (!bytes) return Fail(bytes.error());
  Identity identity;
  if (!Decode(*bytes, &identity)) return Fail(Refused(PathIn(folder) + " is damaged", ""));
  if (identity.format() > kFormat) {
    return Fail(Refused(folder + " was written by a newer Holdfast, or is damaged", ""));
  }
  return identity;
}

Result<void> Founding::Create(FileSystem& files, const std::string& folder, NodeId self,
                              uint64_t incarnation, const Origin& origin) {
  Identity identity;
  identity.set_format(kFormat);
  identity.set_node(self.value);
  identity.set_incarnation(incarnation);
  *identity.mutable_origin() = origin;
  return ReplaceFile(files, PathIn(folder), Encoded(identity));
}

Result<void> Founding::Meet(const Identity& peer) {
  const NodeId id(peer.node());
  if (id.value == identity_.node()) return Fail(Refused("it says that it is this node", ""));
  if (!MakesSense(peer)) return Fail(Refused("what it says of itself makes no sense", ""));
  if (auto member = CheckMember(peer); !member) return member;
  const bool proposes = peer.founders_size() > 0;
  if (!proposes && !proposed()) {
    if (auto same = CheckOrigin(peer, /*takes_place=*/false); !same) return same;
    met_[id] = peer.incarnation();
    return ProposeIfComplete();
  }
  const bool differs = proposes && peer.cluster() != identity_.cluster();
  if (differs && (!proposed() || (!founded() && !peer.founding()))) {
    if (auto joined = Join(peer); !joined) return joined;
  } else if (differs && !founded()) {
    return Fail(
        Refused("node " + id.ToString() +
                    " has put other folders on record as founders: one was lost meanwhile",
                "Stop all nodes, remove all their data folders, which hold nothing yet, and "
                "start them again."));
  } else if (differs) {
    return Fail(Refused("node " + id.ToString() + " belongs to another cluster", ""));
  }
  if (proposes) {
    if (auto learnt = LearnFolders(peer); !learnt) return learnt;
  }
  if (founded() && !membership().Has(id)) {
    newcomers_[id] = {peer.incarnation(), LogIndex(peer.membership_index())};
    return {};
  }
  if (IncarnationOf(id) != peer.incarnation()) {
    // The first folder of a member that was added.
    const bool is_new = founded() && IncarnationOf(id) == 0;
    if (!peer.rejoining() && !is_new) {
      return Fail(Refused(
          "node " + id.ToString() + " has another data folder than the one that the cluster knows",
          ""));
    }
    if (auto met = MeetReplacement(peer); !met) return met;
  }
  heard_by_[id] = LogIndex(peer.membership_index());
  if (!proposes) return {};
  Agrees(peer);
  if (rejoining()) return {};
  const NodeId self(identity_.node());
  // Voters know of every folder that took another's place: each had to answer it. A learner that
  // was away may not, nor one that has lost its own folder and asks itself.
  if (!membership().IsVoter(id) || peer.rejoining() ||
      peer.membership_index() < identity_.membership_index()) {
    return {};
  }
  const std::map<NodeId, uint64_t> theirs = FoundersOf(peer);
  const auto own = theirs.find(self);
  if (own != theirs.end() && own->second != identity_.incarnation()) {
    // A learner's folder is known to those only that it has met. Who told this one of the cluster
    // had not met the one before, or it would have come back as one that was lost at once.
    if (!membership().IsVoter(self) && !MembershipOf(peer).IsVoter(self)) {
      HOLDFAST_REACHED("node.identity.learner_takes_a_place");
      Identity next = identity_;
      next.set_rejoining(true);
      return Save(std::move(next));
    }
    outcast_ = "Another data folder has taken the place of " + folder_ + " as node " +
               self.ToString() + " and has made promises that this one knows nothing of.";
    return Fail(Refused(outcast_, ""));
  }
  return {};
}

// As a learner, which has nothing to promise, or without a voice, this node takes a voter's word
// for whose folders were replaced: it was away, or was told of the cluster by one that had been.
// What was said by those themselves it does not take back.
Result<void> Founding::LearnFolders(const Identity& peer) {
  const raft::Membership members = membership();
  const NodeId self(identity_.node());
  if (!founded() || (members.IsVoter(self) && !rejoining()) ||
      !members.IsVoter(NodeId(peer.node())) || peer.rejoining() || peer.founding() ||
      peer.membership_index() < identity_.membership_index()) {
    return {};
  }
  std::map<NodeId, uint64_t> met = met_;
  for (const auto& [node, incarnation] : FoundersOf(peer)) {
    const bool is_second_hand = node.value != peer.node() && heard_by_.contains(node);
    if (node != self && members.Has(node) && !is_second_hand) met[node] = incarnation;
  }
  if (met == met_) return {};
  HOLDFAST_REACHED("node.identity.learner_believes_a_voter");
  Identity next = identity_;
  SetFounders(met, &next);
  if (auto saved = Save(std::move(next)); !saved) return saved;
  met_ = std::move(met);
  return {};
}

Result<void> Founding::MeetReplacement(const Identity& peer) {
  std::map<NodeId, uint64_t> met = met_;
  met[NodeId(peer.node())] = peer.incarnation();
  Identity next = identity_;
  SetFounders(met, &next);
  if (auto saved = Save(std::move(next)); !saved) return saved;
  met_ = std::move(met);
  return {};
}

Result<void> Founding::ProposeIfComplete() {
  if (met_.size() < members_.size()) return {};
  Identity next = identity_;
  SetFounders(met_, &next);
  next.set_cluster(NameOf(next));
  next.set_founding(true);
  if (auto saved = Save(std::move(next)); !saved) return saved;
  Agrees(identity_);
  return {};
}

Result<void> Founding::Join(const Identity& peer) {
  std::map<NodeId, uint64_t> founders = FoundersOf(peer);
  if (peer.membership_index() == 0 && !AreThose(founders, members_)) {
    return Fail(Refused("node " + std::to_string(peer.node()) + " belongs to a cluster of nodes " +
                            NodeList(NodesIn(founders)) +
                            ", cluster.members of this one names others",
                        "Check cluster.members of both."));
  }
  uint64_t& own = founders[NodeId(identity_.node())];
  if (auto same = CheckOrigin(peer, own != identity_.incarnation()); !same) return same;
  Identity next = identity_;
  if (peer.has_origin()) *next.mutable_origin() = peer.origin();
  // Then our folder is new where the list is not. That is durable before anyone hears of it: peers
  // put our incarnation on record, and after a crash we would look like a founder.
  const bool votes = MembershipOf(peer).IsVoter(NodeId(identity_.node()));
  if (own != identity_.incarnation() && (votes || own != 0)) next.set_rejoining(true);
  own = identity_.incarnation();
  SetFounders(founders, &next);
  next.set_cluster(peer.cluster());
  next.set_founding(true);
  if (peer.membership_index() != 0) {
    next.set_membership_index(peer.membership_index());
    *next.mutable_membership() = peer.membership();
    *next.mutable_founding_membership() = peer.founding_membership();
  }
  if (auto saved = Save(std::move(next)); !saved) return saved;
  met_ = std::move(founders);
  other_origins_.clear();
  agreed_.clear();
  voices_.clear();
  exists_ = false;
  Agrees(identity_);
  return {};
}

Result<void> Founding::CheckOrigin(const Identity& peer, bool takes_place) {
  const bool fits = SameOrigin(peer, identity_) || (takes_place && !identity_.has_origin());
  if (fits) {
    other_origins_.erase(peer.node());
    return {};
  }
  std::string& told = other_origins_[peer.node()];
  told = "node " + std::to_string(peer.node()) + " begins " + OriginText(peer) + ", node " +
         std::to_string(identity_.node()) + " " + OriginText(identity_);
  return Fail(Refused(told,
                      "Restore the same backup for every member, or for none: stop the node, "
                      "remove its folder, and restore or start it anew."));
}

std::string Founding::Waiting() const {
  if (!other_origins_.empty()) return other_origins_.begin()->second;
  std::vector<NodeId> missing;
  for (NodeId member : members_) {
    const bool heard = proposed() ? agreed_.contains(member) : met_.contains(member);
    if (!heard) missing.push_back(member);
  }
  if (!missing.empty()) return "waits for the word of nodes " + NodeList(missing);
  return "most of its data folders were lost before it was founded: stop all nodes, remove all "
         "data "
         "folders, which hold nothing yet, and start them again";
}

void Founding::Agrees(const Identity& member) {
  const NodeId id(member.node());
  agreed_.insert(id);
  if (member.rejoining()) {
    voices_.erase(id);
  } else {
    voices_.insert(id);
  }
  exists_ |= !member.founding();
}

Result<void> Founding::Found() {
  HOLDFAST_CHECK(agreed() && !founded(), "founding without the others' word, or twice");
  Identity next = identity_;
  next.set_founding(false);
  return Save(std::move(next));
}

Result<void> Founding::Rejoined() {
  Identity next = identity_;
  next.set_rejoining(false);
  return Save(std::move(next));
}

// What is not durable is not known: a peer is told yes only on what a restart remembers.
Result<void> Founding::Save(Identity next) {
  const std::string bytes = Encoded(next);
  HOLDFAST_CHECK(bytes.size() <= bounds::kIdentityBytesMax, "an identity that no start would read");
  auto saved = ReplaceFile(*files_, PathIn(folder_), bytes);
  if (saved) identity_ = std::move(next);
  return saved;
}

}  // namespace holdfast::node
