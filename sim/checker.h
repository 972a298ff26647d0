// What must hold of a cluster, whatever happens to its nodes. Fed while the run goes on; at its end
// the log that was agreed on is replayed against what clients saw (history.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sim/history.h"
#include "sim/world.h"
#include "src/base/ids.h"

namespace holdfast::sim {

class Checker {
 public:
  explicit Checker(World& world) : world_(world) {}

  // --- What nodes do
  void Leads(NodeId node, Term term);
  // `node` has applied the entry, and stands at `digest`.
  void Applied(NodeId node, LogIndex index, Term term, const std::string& payload, uint64_t digest);
  // `node` begins a life at this position.
  void Stands(NodeId node, LogIndex index, uint64_t digest);

  // --- What clients see
  // The highest position that anyone was told, by a write or a read: what begins now comes later.
  LogIndex told() const { return told_; }
  void Acknowledge(WriteRecord record);
  void Answer(ReadRecord record);

  // Replays all that was agreed on, and compares. Once, at the end.
  void Replay(const History::NameOf& name_of);
  const ledger::Model& model() const { return history_.model(); }
  LogIndex last() const { return LogIndex(entries_.size()); }

  uint64_t writes() const { return history_.writes(); }
  uint64_t reads() const { return history_.reads(); }
  size_t terms_led() const { return leaders_.size(); }

 private:
  struct Known {
    Term term;
    std::string payload;
    uint64_t digest = 0;
  };
  World& world_;
  std::map<Term, NodeId> leaders_;
  std::vector<Known> entries_;  // From index 1.
  LogIndex told_;
  History history_;
};

}  // namespace holdfast::sim
