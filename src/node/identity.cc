#include "src/node/identity.h"

#include <xxhash.h>

#include <algorithm>

#include "src/base/bounds.h"
#include "src/base/check.h"

namespace holdfast::node {
namespace {

constexpr uint32_t kFormat = 1;

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

bool AreThose(const std::map<NodeId, uint64_t>& founders, const std::vector<NodeId>& members) {
  return std::equal(founders.begin(), founders.end(), members.begin(), members.end(),
                    [](const auto& founder, NodeId member) { return founder.first == member; });
}

// The same on every founder, and as good as unique: a hash over random numbers.
uint64_t NameOf(const std::vector<Member>& founders) {
  std::string bytes;
  for (const Member& founder : founders) bytes += founder.SerializeAsString();
  return std::max<uint64_t>(XXH3_64bits(bytes.data(), bytes.size()), 1);
}

bool Exists(FileSystem& files, const std::string& folder, const std::string& name) {
  auto names = files.List(folder);
  return names && std::find(names->begin(), names->end(), name) != names->end();
}

}  // namespace

Result<Founding> Founding::Open(FileSystem& files, const std::string& folder, NodeId self,
                                std::vector<NodeId> members, uint64_t incarnation) {
  if (auto made = files.CreateFolders(folder); !made) return Fail(made.error());
  Founding founding(files, folder, std::move(members));
  Identity& identity = founding.identity_;
  if (Exists(files, folder, "identity")) {
    auto bytes = ReadFile(files, PathIn(folder), bounds::kIdentityBytesMax);
    if (!bytes) return Fail(bytes.error());
    if (!identity.ParseFromString(*bytes) || identity.format() == 0) {
      return Fail(Refused(PathIn(folder) + " is damaged",
                          "Do not start this node; the others go on without it."));
    }
    if (identity.format() > kFormat) {
      return Fail(Refused(folder + " was written by a newer Holdfast",
                          "Start the version that wrote it, or a newer one."));
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
    if (auto saved = ReplaceFile(files, PathIn(folder), identity.SerializeAsString()); !saved) {
      return Fail(saved.error());
    }
  }
  if (founding.founded()) {
    founding.met_ = FoundersOf(identity);
    if (!AreThose(founding.met_, founding.members_)) {
      return Fail(Refused(folder + " belongs to a cluster of other members than --members names",
                          "Start the node with the members that it was founded with."));
    }
  }
  founding.met_[self] = identity.incarnation();
  founding.known_ = founding.founded();
  return founding;
}

Result<void> Founding::Meet(const Identity& peer) {
  const NodeId id(peer.node());
  if (std::find(members_.begin(), members_.end(), id) == members_.end()) {
    return Fail(Refused("node " + id.ToString() + " is not a member", "Check --members."));
  }
  if (!known_) {
    if (peer.founders_size() > 0) return Join(peer);
    // It takes a lost folder's place. To welcome it is to have that on record, which this node
    // cannot before it knows the cluster itself.
    if (peer.rejoining()) {
      return Fail(Refused("this node is new, too, and knows nothing of the cluster yet", ""));
    }
    met_[id] = peer.incarnation();
    return {};
  }
  if (peer.cluster() != 0 && identity_.cluster() != 0 && peer.cluster() != identity_.cluster()) {
    return Fail(Refused("node " + id.ToString() + " belongs to another cluster", ""));
  }
  if (met_[id] != peer.incarnation()) {
    if (peer.rejoining() && founded()) return MeetReplacement(peer);
    return Fail(Refused(
        "node " + id.ToString() + " has another data folder than the one that the cluster knows",
        ""));
  }
  if (peer.founders_size() == 0 || rejoining()) return {};
  std::map<NodeId, uint64_t> theirs = FoundersOf(peer);
  const NodeId self(identity_.node());
  if (theirs.contains(self) && theirs[self] != identity_.incarnation()) {
    outcast_ = "Another data folder has taken the place of " + folder_ + " as node " +
               self.ToString() + " and has made promises that this one knows nothing of.";
    return Fail(Refused(outcast_, ""));
  }
  return {};
}

Result<void> Founding::MeetReplacement(const Identity& peer) {
  Identity next = identity_;
  for (Member& member : *next.mutable_founders()) {
    if (member.node() == peer.node()) member.set_incarnation(peer.incarnation());
  }
  if (auto saved = Save(std::move(next)); !saved) return saved;
  met_[NodeId(peer.node())] = peer.incarnation();
  return {};
}

Result<void> Founding::Join(const Identity& peer) {
  std::map<NodeId, uint64_t> founders = FoundersOf(peer);
  if (!AreThose(founders, members_)) {
    return Fail(Refused("node " + std::to_string(peer.node()) +
                            " belongs to a cluster of other members than --members names",
                        "Check --members."));
  }
  // Either we were there when it was founded, or our folder is new. The latter is made durable
  // before anyone hears of it: peers put the new incarnation on record, and after a crash it would
  // look as if it had been there from the beginning.
  uint64_t& own = founders[NodeId(identity_.node())];
  Identity next = identity_;
  next.set_cluster(peer.cluster());
  if (own != identity_.incarnation() && !identity_.rejoining()) {
    next.set_rejoining(true);
    if (auto saved = Save(std::move(next)); !saved) return saved;
  } else {
    identity_ = std::move(next);
  }
  own = identity_.incarnation();
  met_ = std::move(founders);
  known_ = true;
  return {};
}

std::optional<std::vector<Member>> Founding::Founders() const {
  std::vector<Member> founders;
  for (NodeId id : members_) {
    auto met = met_.find(id);
    if (met == met_.end()) return std::nullopt;
    Member member;
    member.set_node(id.value);
    member.set_incarnation(met->second);
    founders.push_back(std::move(member));
  }
  return founders;
}

Result<void> Founding::Found() {
  const auto founders = Founders();
  HOLDFAST_CHECK(founders.has_value() && !founded(), "founding without all members, or twice");
  Identity next = identity_;
  for (const Member& founder : *founders) *next.add_founders() = founder;
  if (next.cluster() == 0) next.set_cluster(NameOf(*founders));
  if (auto saved = Save(std::move(next)); !saved) return saved;
  known_ = true;
  return {};
}

Result<void> Founding::Rejoined() {
  Identity next = identity_;
  next.set_rejoining(false);
  return Save(std::move(next));
}

// What is not durable is not known: a peer is told yes only on what a restart remembers.
Result<void> Founding::Save(Identity next) {
  auto saved = ReplaceFile(*files_, PathIn(folder_), next.SerializeAsString());
  if (saved) identity_ = std::move(next);
  return saved;
}

}  // namespace holdfast::node
