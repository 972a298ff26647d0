// Who a node is, and how a cluster comes to be.
//
// A data folder gets a random *incarnation* when it is created. A member of a new cluster that has
// met all others *proposes* them, with their incarnations, as its founders; it records that first,
// and the others, told of it, take the proposal over. The cluster is founded once all have recorded
// the same one: the list is its identity. Afterwards a majority is enough for everything. A folder
// that was lost and begun anew has another incarnation: it is recognised, takes the lost one's
// place, and has no voice until it has caught up, for it has forgotten votes and entries that it
// had promised to keep (docs/decisions/0005, 0010). The lost one, should it turn up again, is
// refused.
//
// From then on the log says who the members are; the membership in force is kept here, because a
// node that goes by it must not forget that (docs/decisions/0015). The folder of a node that was
// added is known by the entry that made it a voter: before, it had no vote and promised nothing.
//
// Invariant: at most one list is ever founded, unless every member has lost a folder. To be founded
// a list needs the word of all that they have it on record, and a folder puts one on record, once;
// but for a folder that then hears of a founded list without having agreed to it: that one's
// predecessor has. Different lists are proposed only when a folder is lost meanwhile. When they
// stand against one another the cluster is not founded: it holds nothing yet, and is begun anew.
//
// A folder made from a backup begins with its state (restore.h), and says so as its *origin*. Only
// folders of one origin found a cluster, so all begin with the same state. A folder that begins
// with nothing still takes a lost one's place in a founded one: it has no voice before it has all.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "holdfast/peer.pb.h"
#include "src/base/error.h"
#include "src/base/file_system.h"
#include "src/base/ids.h"
#include "src/raft/message.h"

namespace holdfast::node {

// Of what this program writes. Not 3: a flipped bit would make it 1, which has no checksum.
inline constexpr uint32_t kIdentityFormat = 4;

// Whether a node may say this of itself; MembershipOf is for what does only.
bool MakesSense(const Identity& identity);
// The membership that the node goes by; that of the founders when it names no other.
raft::Membership MembershipOf(const Identity& identity);

// One thread.
class Founding {
 public:
  // Reads the folder's identity, or gives it one (durably). `members` includes `self`.
  // `incarnation` is what a new folder gets. Refuses a folder that belongs to another node.
  static Result<Founding> Open(FileSystem& files, const std::string& folder, NodeId self,
                               std::vector<NodeId> members, uint64_t incarnation);

  // Of a folder that is only looked at. Fails when it is damaged, or of a newer format.
  static Result<Identity> Read(FileSystem& files, const std::string& folder);
  // Gives a folder that has none an identity, for a member of a cluster that begins with `origin`.
  // Durable on return.
  static Result<void> Create(FileSystem& files, const std::string& folder, NodeId self,
                             uint64_t incarnation, const Origin& origin);

  const Identity& identity() const { return identity_; }
  // In force; before the founding that which is to be.
  raft::Membership membership() const;
  // What the log begins with.
  raft::Membership founding_membership() const;
  bool founded() const { return proposed() && !identity_.founding(); }

  // A peer says who it is. An Error refuses it, in words for the peer's log. What it changes in our
  // own identity is durable on return, and is to be told to the others.
  Result<void> Meet(const Identity& peer);
  // Before the founding the configuration says who the members are, and must say the same
  // everywhere.
  Result<void> CompareMembers(const Hello& hello) const;
  // A later membership comes into force. Durable on return. When another folder than this one has
  // the vote of this node by it, this one is `rejoining` from then on.
  Result<void> Adopt(const raft::Membership& membership);
  // Whether all members have recorded the list that this one has, most of them with the folders
  // that it names (no leader could be elected else), or one says that it is founded.
  bool agreed() const {
    return exists_ || (agreed_.size() == members_.size() && 2 * voices_.size() > members_.size());
  }
  // Why it is not agreed, for people, to follow "the cluster is new and".
  std::string Waiting() const;
  // Makes the founding durable, once agreed. The log must hold its first entry before.
  Result<void> Found();
  bool rejoining() const { return identity_.rejoining(); }
  // Makes it durable that this node has caught up.
  Result<void> Rejoined();
  // Set when a peer knows of a folder that has taken the place of this one: this node must not go
  // on, for the operator to read.
  const std::string& outcast() const { return outcast_; }
  // The folder that `node` was last known to have; 0: none.
  uint64_t IncarnationOf(NodeId node) const;

 private:
  Founding(FileSystem& files, std::string folder, std::vector<NodeId> members)
      : files_(&files), folder_(std::move(folder)), members_(std::move(members)) {}

  bool proposed() const { return identity_.founders_size() > 0; }
  Result<void> CheckMember(const Identity& peer) const;
  Result<void> ProposeIfComplete();
  // Takes the list of `peer` over, as one of its founders or in the place of one.
  Result<void> Join(const Identity& peer);
  // That `peer` begins with what this folder does, or that this one has nothing and takes a lost
  // folder's place in the peer's list.
  Result<void> CheckOrigin(const Identity& peer, bool takes_place);
  void Agrees(const Identity& member);
  Result<void> LearnFolders(const Identity& peer);
  Result<void> MeetReplacement(const Identity& peer);
  Result<void> Save(Identity next);

  FileSystem* files_;
  std::string folder_;
  std::vector<NodeId> members_;
  Identity identity_;
  std::map<NodeId, uint64_t> met_;  // Incarnations, our own included; the list once there is one.
  // By which membership each last said who it is, since the start.
  std::map<NodeId, LogIndex> heard_by_;
  // Members by a later membership than ours, their folders, and by which they said so: not on
  // record before it is, for before the first change the record says who the members are.
  std::map<NodeId, std::pair<uint64_t, LogIndex>> newcomers_;
  std::set<NodeId> agreed_;  // Who has recorded our list, we included ...
  std::set<NodeId> voices_;  // ... and is not rejoining.
  bool exists_ = false;      // Somebody has founded the cluster with it.
  // Peers that begin with something else, as they last said; for people.
  std::map<uint64_t, std::string> other_origins_;
  std::string outcast_;
};

}  // namespace holdfast::node
