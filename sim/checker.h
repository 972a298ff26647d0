// What must hold of a cluster, whatever happens to its nodes. Fed while the run goes on; at its end
// the log that was agreed on is replayed against what clients saw (history.h).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "sim/history.h"
#include "sim/memberships.h"
#include "sim/promises.h"
#include "sim/world.h"
#include "src/base/ids.h"
#include "src/wal/log.h"

namespace holdfast::sim {

class Checker {
 public:
  // Whether a node's disk has the entry durably, or had it when it was lost.
  using Holds = std::function<bool(NodeId node, LogIndex index, Term term)>;

  // `exact_clocks`: all run as the true time does, however far they are off.
  Checker(World& world, Holds holds, bool exact_clocks)
      : world_(world), holds_(std::move(holds)), promises_(exact_clocks) {}

  // --- What nodes do
  // `membership`: the index of that which it leads.
  void Leads(NodeId node, Term term, LogIndex membership, const wal::Log& log);
  // A node's vote for a candidate of its membership: one a term, whatever becomes of its disk.
  struct Vote {
    NodeId voter;
    Term term;
    LogIndex membership;
    bool operator<(const Vote& other) const {
      return std::tie(voter, term, membership) <
             std::tie(other.voter, other.term, other.membership);
    }
  };
  void Votes(const Vote& vote, NodeId candidate);
  // With it went its candidacies: no vote that was given to it counts any more.
  void LosesDisk(NodeId node);
  // `node`, in `term`, has applied the entry, and stands at `digest`; `ask` it.
  void Applied(NodeId node, Term term, LogIndex index, const wal::Entry& entry, uint64_t digest,
               const AskNode& ask);
  // `node` begins a life at this position.
  void Stands(NodeId node, LogIndex index, uint64_t digest);
  // `node` has put the membership on record as that which is in force.
  void GoesBy(NodeId node, const raft::Membership& membership);
  // A node tells a client that its write was done by this entry.
  void Acknowledges(NodeId node, LogIndex index) const;
  const Memberships& memberships() const { return memberships_; }

  // --- What clients see
  // The highest position that anyone was told, by a write or a read: what begins now comes later.
  LogIndex told() const { return told_; }
  void Acknowledge(WriteRecord record);
  void Answer(ReadRecord record);

  // Replays all that was agreed on, and compares. Once, at the end; `ask` a node that has all of
  // it. `log_time_is_true`: all of it was stamped with the true time.
  void Replay(const AskNode& ask, bool log_time_is_true);
  const History& history() const { return history_; }
  LogIndex last() const { return LogIndex(entries_.size()); }

  uint64_t writes() const { return history_.writes(); }
  uint64_t reads() const { return history_.reads(); }
  size_t terms_led() const { return leaders_.size(); }

 private:
  struct Known {
    Term term;
    Term in_term;  // Of the node that first applied it: not below that of its commit.
    std::string payload;
    uint64_t digest = 0;
  };
  void Agreed(const raft::Membership& membership);
  void TraceEntry(NodeId node, LogIndex index, const std::string& payload) const;
  // On how many disks of the membership's voters it is.
  size_t Copies(const raft::Membership& membership, LogIndex index, Term term) const;
  // Why the entry is not durable on a majority of any membership that may have committed it; empty
  // when it is.
  std::string WhyNotDurable(LogIndex index, Term term) const;

  World& world_;
  const Holds holds_;
  Memberships memberships_;
  std::map<Term, NodeId> leaders_;
  std::map<Term, uint64_t> led_since_us_;  // As first seen.
  std::map<Vote, NodeId> votes_;           // For whom.
  std::vector<Known> entries_;             // From index 1.
  LogIndex told_;
  History history_;
  Promises promises_;
};

}  // namespace holdfast::sim
