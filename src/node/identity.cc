#include "src/node/identity.h"

#include <algorithm>

#include "src/base/check.h"

namespace holdfast::node {
namespace {

constexpr uint32_t kFormat = 1;
constexpr size_t kIdentityBytesMax = 4096;

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
    auto bytes = ReadFile(files, PathIn(folder), kIdentityBytesMax);
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
    met_[id] = peer.incarnation();
    return {};
  }
  if (met_[id] != peer.incarnation()) {
    return Fail(Refused("node " + id.ToString() +
                            " has another data folder than the one the "
                            "cluster was founded with",
                        ""));
  }
  if (peer.founders_size() > 0 && FoundersOf(peer) != met_) {
    return Fail(Refused("node " + id.ToString() + " belongs to another cluster", ""));
  }
  return {};
}

Result<void> Founding::Join(const Identity& peer) {
  std::map<NodeId, uint64_t> founders = FoundersOf(peer);
  if (!AreThose(founders, members_)) {
    return Fail(Refused("node " + std::to_string(peer.node()) +
                            " belongs to a cluster of other members than --members names",
                        "Check --members."));
  }
  // Either we were there when it was founded, or our folder is new.
  if (founders[NodeId(identity_.node())] != identity_.incarnation()) {
    outcast_ = "The data folder " + folder_ +
               " is new, but the cluster was founded with another "
               "one for node " +
               std::to_string(identity_.node()) + ".";
    return Fail(Refused(outcast_, ""));
  }
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
  for (const Member& founder : *founders) *identity_.add_founders() = founder;
  known_ = true;
  return ReplaceFile(*files_, PathIn(folder_), identity_.SerializeAsString());
}

}  // namespace holdfast::node
