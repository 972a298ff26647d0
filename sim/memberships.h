// Who the members of a simulated cluster are, as the agreed log says, and which of its memberships
// still have a say.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "src/base/ids.h"
#include "src/raft/message.h"

namespace holdfast::sim {

class Memberships {
 public:
  // An entry of the agreed log that names the members. In order of their indices.
  void Agreed(const raft::Membership& membership);
  // That a leader of `term` goes by the membership of this index. False: another one leads it
  // already by another.
  bool Leads(Term term, LogIndex membership);
  // An entry was agreed on that is no membership.
  void Agreed(LogIndex index, Term term);

  bool empty() const { return known_.empty(); }
  const raft::Membership& last() const { return known_.rbegin()->second; }
  const raft::Membership* Find(LogIndex index) const;
  // Whether the log says that `node` is out, by an entry behind `since`.
  bool IsRemoved(NodeId node, LogIndex since) const;

  // One of which has committed the entry: the one before it in the log, or that which the leader of
  // its term went by, who had not heard yet that it was over.
  std::vector<const raft::Membership*> Of(LogIndex index, Term term) const;

  // Those that can still elect a leader: the last one, and the one before until the last has
  // committed something.
  std::vector<raft::Membership> InForce() const;

 private:
  std::map<LogIndex, raft::Membership> known_;
  std::map<Term, LogIndex> led_by_;
  bool settled_ = false;  // The last has committed something.
};

}  // namespace holdfast::sim
