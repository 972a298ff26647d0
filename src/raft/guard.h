// The guard around the consensus engine. It checks every message in and out against the Raft paper
// and lets nothing through that the paper forbids; it keeps its own tally of what is durable where.
//
// Why: libraft 0.22.1, fuzzed on its own, committed once in 5,528 runs without a durable majority;
// behind these rules it did not in 25,248. The rules carry the numbers of docs/decisions/0004:
//    2  a request of an older term is answered here and never reaches the engine
//    3  leader_commit is clamped to what the message itself has matched
//    4  entries that a snapshot of ours covers are cut off the front of a message
//    5  an entry counts as committed only when our own tally shows a durable majority too
//    6  a success never names an index above what this term's leader matched and we made durable
//    9  a snapshot never reaches above what is committed and durable here
//   10  term and vote only move as the paper allows
//   11  a rejection at or below what that follower has matched is late: dropped
//   12  a result that answers a request of another term is dropped
// Rule 1 (one ordered link a peer, epochs) is the peer link's; 7 (backpressure) is the replica's;
// 8 concerns libraft's own changes of membership, which are not used: a guard and its engine live
// as long as one membership (replica.h).
//
// A server that has lost its disk takes part without a voice until it has caught up (rejoin.h): it
// stores and acknowledges, but neither votes nor stands for election.
//
// Disagreement between engine and tally is a broken invariant: the node stops with a report.
// One thread, like the engine. The log must outlive the guard.
#pragma once

#include <map>
#include <memory>

#include "src/raft/engine.h"

namespace holdfast::raft {

class Guard {
 public:
  Guard(std::unique_ptr<Engine> engine, NodeId self, Membership membership, const wal::Log& log);

  // `voice`: whether this server may vote and stand for election.
  // `committed`: what is known to be already, by a guard before this one.
  Effects Start(uint64_t now_ms, const wal::HardState& state, const Snapshot& snapshot,
                bool voice = true, LogIndex committed = LogIndex(0));
  void GiveVoice() { voice_ = true; }
  Effects Receive(uint64_t now_ms, NodeId from, Message message);
  // Everything up to `index` is durable here.
  Effects Persisted(uint64_t now_ms, LogIndex index);
  Effects Tick(uint64_t now_ms);
  Effects Stand(uint64_t now_ms);
  bool Submit(uint64_t now_ms, std::vector<wal::Entry> entries, Effects* effects);
  bool Transfer(uint64_t now_ms, NodeId to, Effects* effects);
  Effects ConfigurationCommitted(uint64_t now_ms, LogIndex index);

  // A checkpoint up to `index` is durable; entries below `keep_from` will be gone from the log.
  Effects Snapshotted(uint64_t now_ms, LogIndex index, LogIndex keep_from);

  Role role() const { return engine_->role(); }
  Term term() const { return engine_->term(); }
  NodeId leader() const { return engine_->leader(); }
  uint64_t timeout_ms() const { return engine_->timeout_ms(); }
  // Committed by the engine, by our tally, and durable here. Never goes back.
  LogIndex committed() const { return std::min(committed_, durable_); }
  // As committed(), though our own disk may lag behind: what a majority holds. Other servers may
  // have shown it to callers already.
  LogIndex agreed() const { return committed_; }
  LogIndex durable() const { return durable_; }
  // As a follower: the highest index known to be in the log of this term's leader, too.
  LogIndex matched() const { return matched_; }
  const Membership& membership() const { return membership_; }
  // As committed(), as far as the engine has found out.
  LogIndex engine_committed() const { return engine_->commit(); }
  // Whether our log reaches to the end of a leader's checkpoint, durably.
  bool Holds(const InstallSnapshot& install) const;
  // What a leader knows to be durable at `peer` in this term; 0 for others.
  LogIndex MatchOf(NodeId peer) const;

 private:
  bool Admit(NodeId from, AppendEntries& message, Effects* answer);
  void Lift(AppendEntries& message) const;
  void AnswerOldTerm(NodeId from, Term request, Effects* answer) const;
  bool Admit(NodeId from, const AppendEntriesResult& message);
  // Checks what the engine wants and takes over what it means.
  Effects Checked(Effects effects);
  void NoteTerm();
  void CheckHardState(const wal::HardState& next);
  void AdvanceCommit();
  LogIndex MajorityIndex() const;

  std::unique_ptr<Engine> engine_;
  const NodeId self_;
  const Membership membership_;
  const wal::Log& log_;

  bool voice_ = true;
  Snapshot snapshot_;
  wal::HardState hard_state_;
  LogIndex durable_;    // On our disk. Lowered only by a truncation.
  LogIndex matched_;    // As follower: highest index that this term's leader has matched.
  LogIndex committed_;  // Invariant: no entry at or below is ever truncated.
  Term seen_term_;      // That matched_ and tally_ belong to.
  bool was_leader_ = false;
  LogIndex commit_at_election_;
  std::map<NodeId, LogIndex> tally_;  // As leader: durable at each peer, acknowledged this term.
};

}  // namespace holdfast::raft
