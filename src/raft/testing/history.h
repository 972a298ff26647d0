// What must hold of a group as a whole, whatever happens to its servers (Raft, figure 3, and what
// clients rely on). Every check throws Violation.
#pragma once

#include <map>
#include <set>
#include <stdexcept>
#include <vector>

#include "src/raft/message.h"
#include "src/raft/testing/memory_log.h"

namespace holdfast::raft::sim {

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};
void Require(bool condition, const std::string& what);

class History {
 public:
  // The disks of all servers, which must outlive this.
  explicit History(std::vector<const MemoryLog*> disks) : disks_(std::move(disks)) {}

  // A disk that was lost counts as holding what it held: what it acknowledged before is counted
  // elsewhere for a while, and rightly so (rejoin.h).
  void NoteLost(const MemoryLog* disk) { lost_.insert(disk); }
  void NoteRejoined(const MemoryLog* disk) { lost_.erase(disk); }

  // Election safety and leader completeness.
  void NoteLeader(NodeId node, Term term, const wal::Log& log);
  // `node`, in `term`, takes the entries of its log up to `to` as committed, after `from`.
  void NoteCommitted(NodeId node, Term term, const Membership& membership, LogIndex from,
                     LogIndex to, const wal::Log& log);
  // A client has been told that its write is the entry at `index`.
  void NoteAcknowledged(const Membership& membership, LogIndex index, Term entry_term);

  // The highest index that any server ever took as committed.
  LogIndex last() const { return LogIndex(entries_.size()); }
  uint64_t acknowledged() const { return acknowledged_; }
  size_t terms_led() const { return leaders_.size(); }
  // Every member's log holds the whole history; for the end of a run.
  void CheckNothingLost(const Membership& membership) const;

 private:
  struct Committed {
    wal::Entry entry;
    Term in_term;  // Of the server that first took it as committed.
  };
  // Whether a majority of the voters holds it.
  bool IsDurable(const Membership& membership, LogIndex index, Term term) const;

  const std::vector<const MemoryLog*> disks_;  // By node.
  std::set<const MemoryLog*> lost_;
  std::map<Term, NodeId> leaders_;
  std::vector<Committed> entries_;
  uint64_t acknowledged_ = 0;
};

}  // namespace holdfast::raft::sim
