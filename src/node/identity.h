// Who a node is, and how a cluster comes to be.
//
// A data folder gets a random *incarnation* when it is created. A new cluster is founded once its
// members have all seen one another's: the list of founders is its identity. Afterwards a majority
// is enough for everything; but a folder that was wiped has another incarnation, is recognised, and
// does not vote: it would have forgotten votes and entries that it had promised to keep
// (docs/decisions/0005-founding.md).
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

  // A peer says who it is. An Error refuses it, in words for the peer's log.
  Result<void> Meet(const Identity& peer);
  // The founders, once all are known (each has been met, or a founded peer told of them); empty
  // while some are missing.
  std::optional<std::vector<Member>> Founders() const;
  // Makes the founding durable. The log must hold its first entry before.
  Result<void> Found();
  // Set when a founded peer does not count this folder among the founders: this node must not go
  // on, for the operator to read.
  const std::string& outcast() const { return outcast_; }

 private:
  Founding(FileSystem& files, std::string folder, std::vector<NodeId> members)
      : files_(&files), folder_(std::move(folder)), members_(std::move(members)) {}

  // The cluster exists already: joins it as one of its founders, or says why that cannot be.
  Result<void> Join(const Identity& peer);

  FileSystem* files_;
  std::string folder_;
  std::vector<NodeId> members_;
  Identity identity_;
  std::map<NodeId, uint64_t> met_;  // Incarnations, our own included.
  bool known_ = false;              // The cluster is founded, by us or without us: met_ is final.
  std::string outcast_;
};

}  // namespace holdfast::node
