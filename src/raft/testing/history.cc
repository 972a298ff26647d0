#include "src/raft/testing/history.h"

namespace holdfast::raft::sim {
namespace {

std::string Name(NodeId node) { return "node " + node.ToString(); }
std::string Name(LogIndex index, Term term) {
  return "entry " + index.ToString() + " of term " + term.ToString();
}

}  // namespace

void Require(bool condition, const std::string& what) {
  if (!condition) throw Violation(what);
}

void History::NoteLeader(NodeId node, Term term, const wal::Log& log) {
  const auto [leader, inserted] = leaders_.emplace(term, node);
  Require(leader->second == node, "election safety: " + Name(leader->second) + " and " +
                                      Name(node) + " lead term " + term.ToString());
  if (!inserted) return;
  // What lies before its log is in a checkpoint, of what was committed.
  for (uint64_t i = log.first().value; i <= entries_.size(); ++i) {
    const Committed& committed = entries_[i - 1];
    if (committed.in_term >= term) break;  // Committed under a later leader, which is not this one.
    Require(log.TermAt(LogIndex(i)) == committed.entry.term,
            "leader completeness: " + Name(node) + " leads term " + term.ToString() + " without " +
                Name(LogIndex(i), committed.entry.term));
  }
}

void History::NoteCommitted(NodeId node, Term term, const Membership& membership, LogIndex from,
                            LogIndex to, const wal::Log& log) {
  Require(to <= log.last(), Name(node) + " commits entry " + to.ToString() + ", which it lacks");
  for (LogIndex i = from.Next(); i <= to; i = i.Next()) {
    const wal::Entry entry = log.Read(i);
    if (i > last()) {
      Require(IsDurable(membership, i, entry.term),
              Name(node) + " commits " + Name(i, entry.term) + ", not durable on a majority");
      entries_.push_back({entry, term});
      continue;
    }
    const wal::Entry& known = entries_[i.value - 1].entry;
    Require(known.term == entry.term && known.type == entry.type &&
                (known.payload == entry.payload || *known.payload == *entry.payload),
            "state machine safety: " + Name(node) + " commits " + Name(i, entry.term) + " \"" +
                *entry.payload + "\", another committed " + Name(i, known.term) + " \"" +
                *known.payload + "\"");
  }
}

void History::NoteAcknowledged(const Membership& membership, LogIndex index, Term entry_term) {
  Require(index <= last() && entries_[index.value - 1].entry.term == entry_term,
          "acknowledged " + Name(index, entry_term) + " was never committed");
  Require(IsDurable(membership, index, entry_term),
          "acknowledged " + Name(index, entry_term) + " is not durable on a majority");
  ++acknowledged_;
}

void History::CheckNothingLost(const Membership& membership) const {
  for (NodeId node : membership.All()) {
    for (uint64_t i = 1; i <= entries_.size(); ++i) {
      Require(disks_[node.value - 1]->HoldsDurably(LogIndex(i), entries_[i - 1].entry.term),
              Name(node) + " has lost " + Name(LogIndex(i), entries_[i - 1].entry.term));
    }
  }
}

bool History::IsDurable(const Membership& membership, LogIndex index, Term term) const {
  size_t copies = 0;
  for (NodeId voter : membership.voters) {
    const MemoryLog* disk = disks_[voter.value - 1];
    copies += lost_.contains(disk) || disk->HoldsDurably(index, term) ? 1 : 0;
  }
  return copies >= membership.Majority();
}

}  // namespace holdfast::raft::sim
