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

void History::NoteCommitted(NodeId node, Term term, LogIndex from, LogIndex to,
                            const wal::Log& log) {
  Require(to <= log.last(), Name(node) + " commits entry " + to.ToString() + ", which it lacks");
  for (LogIndex i = from.Next(); i <= to; i = i.Next()) {
    const wal::Entry entry = log.Read(i);
    if (i > last()) {
      Require(DurableCopies(i, entry.term) * 2 > disks_.size(),
              Name(node) + " commits " + Name(i, entry.term) + ", durable on " +
                  std::to_string(DurableCopies(i, entry.term)) + " of " +
                  std::to_string(disks_.size()));
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

void History::NoteAcknowledged(LogIndex index, Term entry_term) {
  Require(index <= last() && entries_[index.value - 1].entry.term == entry_term,
          "acknowledged " + Name(index, entry_term) + " was never committed");
  Require(DurableCopies(index, entry_term) * 2 > disks_.size(),
          "acknowledged " + Name(index, entry_term) + " is not durable on a majority");
  ++acknowledged_;
}

void History::CheckNothingLost() const {
  for (const MemoryLog* disk : disks_) {
    for (uint64_t i = 1; i <= entries_.size(); ++i) {
      Require(disk->HoldsDurably(LogIndex(i), entries_[i - 1].entry.term),
              "a disk has lost " + Name(LogIndex(i), entries_[i - 1].entry.term));
    }
  }
}

size_t History::DurableCopies(LogIndex index, Term term) const {
  size_t copies = 0;
  for (const MemoryLog* disk : disks_) {
    copies += lost_.contains(disk) || disk->HoldsDurably(index, term) ? 1 : 0;
  }
  return copies;
}

}  // namespace holdfast::raft::sim
