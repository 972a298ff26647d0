#include "sim/checker.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

std::string Name(NodeId node) { return "node " + node.ToString(); }

}  // namespace

void Checker::Leads(NodeId node, Term term) {
  const auto [it, is_new] = leaders_.emplace(term, node);
  if (is_new) world_.Trace(Name(node) + " leads term " + term.ToString());
  Require(it->second == node, "election safety: " + Name(node) + " and " + Name(it->second) +
                                  " both lead term " + term.ToString());
}

void Checker::Applied(NodeId node, LogIndex index, Term term, const std::string& payload,
                      uint64_t digest) {
  world_.Note(node.value << 48 ^ index.value);
  world_.Note(digest);
  if (index.value == entries_.size() + 1) {
    entries_.push_back({term, payload, digest});
    return;
  }
  Require(index.value <= entries_.size(), Name(node) + " applies entry " + index.ToString() +
                                              ", and nobody has applied the one before");
  const Known& known = entries_[index.value - 1];
  Require(known.term == term && known.payload == payload,
          "state machine safety: " + Name(node) + " applies another entry " + index.ToString() +
              " (term " + term.ToString() + ") than was applied before (term " +
              known.term.ToString() + ")");
  Require(known.digest == digest,
          "determinism: " + Name(node) + " has another digest at entry " + index.ToString());
}

void Checker::Stands(NodeId node, LogIndex index, uint64_t digest) {
  if (index.value == 0) return;
  Require(index.value <= entries_.size(),
          Name(node) + " starts at entry " + index.ToString() + ", which nobody has applied");
  Require(entries_[index.value - 1].digest == digest,
          Name(node) + " starts with another digest at entry " + index.ToString());
}

void Checker::Acknowledge(WriteRecord record) {
  world_.Note(record.position.value);
  Require(record.position.value <= entries_.size(), "a write was acknowledged at entry " +
                                                        record.position.ToString() +
                                                        ", which nobody has applied");
  told_ = std::max(told_, record.position);
  history_.Acknowledge(std::move(record));
}

void Checker::Answer(ReadRecord record) {
  world_.Note(record.position.value);
  Require(record.position.value <= entries_.size(), "a read saw an entry that nobody has applied");
  told_ = std::max(told_, record.position);
  history_.Answer(std::move(record));
}

void Checker::Replay(const History::NameOf& name_of) {
  for (const Known& entry : entries_) history_.Replay(entry.payload, name_of);
  history_.Check();
}

}  // namespace holdfast::sim
