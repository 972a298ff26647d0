// One server of the consensus group: the guarded engine driven by its log, its links and its timer.
//
// Events come in as calls, effects go out to the log and the host, all on one thread (the loop).
// Nothing here waits, except that term and vote are made durable before anything that follows from
// them. Once started, call Tick whenever timeout_ms() has come, and look at committed() and role()
// after every call.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "src/raft/guard.h"

namespace holdfast::raft {

class Replica {
 public:
  // A message for another member; may be dropped, must not be reordered on one link.
  using Send = std::function<void(NodeId to, Message message)>;

  // `log` must hold at least the founding configuration entry (FoundLog) and outlive the replica.
  Replica(const EngineOptions& options, wal::Log& log, Send send);

  // Writes what every member of a new cluster starts from: entry 1, the membership, in term 1.
  static wal::Ticket FoundLog(wal::Log& log, const Membership& membership);

  void Start(uint64_t now_ms);
  void Receive(uint64_t now_ms, NodeId from, Message message);
  // The log's appends up to `ticket` are durable.
  void Durable(uint64_t now_ms, wal::Ticket ticket);
  void Tick(uint64_t now_ms);

  struct Position {
    LogIndex index;
    Term term;
  };
  // Appends a command as the leader. Empty: not the leader, or too much is in flight (rule 7); then
  // certainly nothing happened. Success is the entry at `index` having this very term once
  // committed; losing leadership in between means unknown, not failed.
  std::optional<Position> Propose(uint64_t now_ms, std::string payload);
  bool CanPropose() const;
  // Asks the follower that is furthest, of those that answer, to take over; for a planned stop.
  bool HandOver(uint64_t now_ms);

  Role role() const { return guard_.role(); }
  Term term() const { return guard_.term(); }
  NodeId leader() const { return guard_.leader(); }
  LogIndex committed() const { return guard_.committed(); }
  LogIndex agreed() const { return guard_.agreed(); }  // Not below committed(); see the guard.
  uint64_t timeout_ms() const { return guard_.timeout_ms(); }
  const Membership& membership() const { return guard_.membership(); }
  LogIndex MatchOf(NodeId peer) const { return guard_.MatchOf(peer); }
  // Whether a leader knows all that was ever committed: everything in its log at its election is
  // committed (Raft, section 8). Before that it must not serve linearizable reads.
  bool KnowsCommitted() const {
    return role() == Role::kLeader && committed() >= last_at_election_;
  }
  // The highest index that this server has heard to be committed, applied or in its log or not.
  LogIndex known_commit() const { return std::max(known_commit_, agreed()); }
  // When this server last knew itself in touch with the log's end: a follower by its leader's
  // message, a leader by a majority's results.
  uint64_t last_contact_ms() const;

 private:
  struct Outstanding {  // An append that is not durable yet.
    wal::Ticket ticket;
    LogIndex first;
    LogIndex last;  // Lowered when a later append truncates it; below `first`: nothing is left.
    uint64_t since_ms;
  };

  void Execute(uint64_t now_ms, Effects effects);
  void Append(uint64_t now_ms, Effects& effects);
  void SendOut(Outgoing out);
  void NoteCommitted(uint64_t now_ms);
  // Followers learn from the next message what is committed. While writes flow that is soon; when
  // the last one is committed a heartbeat may be long in coming, and reads at followers wait for
  // it.
  void AnnounceCommit();
  uint64_t MajorityContactMs() const;  // As leader: when a majority was last heard of.

  const EngineOptions options_;
  wal::Log& log_;
  Send send_;
  Guard guard_;
  std::deque<Outstanding> outstanding_;
  bool led_ = false;
  Term led_term_;
  LogIndex last_at_election_;
  LogIndex known_commit_;   // By leaders' messages.
  LogIndex announced_;      // As leader: the commit index told without waiting for a heartbeat.
  LogIndex configuration_;  // Index of the founding configuration entry ...
  bool configuration_noted_ = false;  // ... and whether the engine knows it committed.
  uint64_t contact_ms_ = 0;           // Last known: as a follower now, or in an earlier leadership.
  std::map<NodeId, uint64_t> result_ms_;  // As leader: when each peer last answered.
};

}  // namespace holdfast::raft
