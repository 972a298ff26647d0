// Who a node is, and how a cluster comes to be.
//
// A data folder gets a random *incarnation* when it is created. A new cluster is founded once its
// members have all seen one another's: the list of founders is its identity. Afterwards a majority
// is enough for everything. A folder that was lost and begun anew has another incarnation: it is
// recognised, takes the lost one's place, and has no voice until it has caught up, for it has
// forgotten votes and entries that it had promised to keep (docs/decisions/0005, 0010). The lost
// one, should it turn up again, is refused.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/peer.pb.h"
#include "src/base/error.h"
#include "src/base/file_system.h"
#include "src/base/ids.h"

namespace holdfast::node {

// One thread.
class Founding {
 public:
  // Reads the folder's identity, or gives it one (durably). `members` includes `self`.
  // `incarnation` is what a new folder gets. Refuses a folder that belongs to another node.
  static Result<Founding> Open(FileSystem& files, const std::string& folder, NodeId self,
                               std::vector<NodeId> members, uint64_t incarnation);

  const Identity& identity() const { return identity_; }
  bool founded() const { return identity_.founders_size() > 0; }

  // A peer says who it is. An Error refuses it, in words for the peer's log. That a peer's folder
  // takes the place of a lost one is durable on return.
  Result<void> Meet(const Identity& peer);
  // The founders, once all are known (each has been met, or a founded peer told of them); empty
  // while some are missing.
  std::optional<std::vector<Member>> Founders() const;
  // Makes the founding, or that this folder takes the place of a lost one, durable. The log must
  // hold its first entry before.
  Result<void> Found();
  bool rejoining() const { return identity_.rejoining(); }
  // Makes it durable that this node has caught up.
  Result<void> Rejoined();
  // Set when a peer knows of a folder that has taken the place of this one: this node must not go
  // on, for the operator to read.
  const std::string& outcast() const { return outcast_; }

 private:
  Founding(FileSystem& files, std::string folder, std::vector<NodeId> members)
      : files_(&files), folder_(std::move(folder)), members_(std::move(members)) {}

  // The cluster exists already: joins it as one of its founders, or says why that cannot be.
  Result<void> Join(const Identity& peer);
  Result<void> MeetReplacement(const Identity& peer);
  Result<void> Save(Identity next);

  FileSystem* files_;
  std::string folder_;
  std::vector<NodeId> members_;
  Identity identity_;
  std::map<NodeId, uint64_t> met_;  // Incarnations, our own included.
  bool known_ = false;              // The cluster is founded, by us or without us: met_ is final.
  std::string outcast_;
};

}  // namespace holdfast::node
