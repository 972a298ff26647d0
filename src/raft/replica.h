// One server of the consensus group: the guarded engine driven by its log, its links and its timer.
//
// Events come in as calls, effects go out to the log and the host, all on one thread (the loop).
// Nothing here waits, except that term and vote are made durable before anything that follows from
// them. Once started, call Tick whenever timeout_ms() has come, and look at committed(), role() and
// next_membership() after every call.
//
// A membership ends with the entry that names the next one, as soon as that is committed: the
// engine, which knows one membership only, then gives way to a new one over the same log, term and
// vote. Every message says which membership its sender goes by; those of another are not heard.
// docs/decisions/0015-membership.md says why that is safe.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "src/base/bounds.h"
#include "src/base/error.h"
#include "src/raft/guard.h"
#include "src/raft/rejoin.h"
#include "src/raft/succession.h"

namespace holdfast::raft {

// How much of the log is kept behind a checkpoint, for followers that were away for a while: what
// lies further back they get as the checkpoint itself.
struct Retention {
  uint64_t bytes = bounds::kLogKeepBytes;
  uint64_t entries = bounds::kLogKeepEntries;
  // Kept for a follower that is fetching a checkpoint and needs what comes after it.
  uint64_t held_bytes = bounds::kLogHeldBytesMax;
};

class Replica {
 public:
  // A message for another member, and the index of the membership that it belongs to; may be
  // dropped, must not be reordered on one link.
  using Send = std::function<void(NodeId to, LogIndex membership, Message message)>;

  // `log` must hold at least the founding configuration entry (FoundLog), or what follows a
  // checkpoint, and outlive the replica.
  Replica(const EngineOptions& options, const Membership& membership, wal::Log& log, Send send,
          const Retention& retention = {});

  // Writes what every member of a new cluster starts from: entry 1, the membership, in term 1.
  static wal::Ticket FoundLog(wal::Log& log, const Membership& membership);

  // `checkpoint`: up to where the state is durable outside the log; 0: not at all. `rejoining`: the
  // disk was lost and what was promised forgotten (rejoin.h).
  void Start(uint64_t now_ms, LogIndex checkpoint, bool rejoining = false);
  // `membership`: that of the message. False: it is not ours, and the message was dropped. One of
  // us is behind and has to be told (Learn).
  bool Receive(uint64_t now_ms, NodeId from, LogIndex membership, Message message);
  // The log's appends up to `ticket` are durable.
  void Durable(uint64_t now_ms, wal::Ticket ticket);
  void Tick(uint64_t now_ms);
  // The connection to `peer` broke. When that is the leader, it may be dead (succession.h).
  void LinkDown(uint64_t now_ms, NodeId peer);

  struct Position {
    LogIndex index;
    Term term;
  };
  // Appends a command as the leader. Empty: not the leader, or too much is in flight (rule 7); then
  // certainly nothing happened. Success is the entry at `index` having this very term once
  // committed; losing leadership in between means unknown, not failed.
  std::optional<Position> Propose(uint64_t now_ms, std::string payload);
  bool CanPropose() const;
  // Appends an entry without a command, as a new leader's first one: to the state machine it says
  // that the time up to the next command does not count for leases. False: nothing happened.
  bool ProposeBarrier(uint64_t now_ms);

  // Appends the entry that names the next membership, and nothing behind it until it is in force.
  // An Error says why not; then nothing happened.
  Result<Position> ProposeMembership(uint64_t now_ms, const Membership& next);
  // A peer goes by this membership: its entry is committed.
  void Learn(const Membership& membership);
  // What is to come into force: make it durable, and when the log is (all_durable), call Adopt. A
  // server that it does not name must end instead.
  const std::optional<Membership>& next_membership() const { return next_; }
  void Adopt(uint64_t now_ms);
  // Asks the follower that is furthest, of those that answer, to take over; for a planned stop.
  // `may`: of these only; null: of all.
  bool HandOver(uint64_t now_ms, const std::function<bool(NodeId)>& may = nullptr);

  // The state up to `index`, which is committed here, is durable outside the log: lets go of
  // entries that nobody is likely to need.
  void Checkpointed(uint64_t now_ms, LogIndex index);
  LogIndex checkpoint() const { return checkpoint_; }
  // Keeps the entries after `index` for `peer` until it has them, within the bound; 0: no longer.
  void HoldFor(NodeId peer, LogIndex index);

  // As a follower: takes no new entries from its leader, until told otherwise. To consensus it is
  // one whose entries got lost on the way.
  void StoreNothingNew(bool nothing) { stores_nothing_ = nothing; }
  // The same for entries of its own alone, as the leader: there is no room.
  void WriteNothingNew(bool nothing) { writes_nothing_ = nothing; }

  // As a follower: the leader no longer has what this server lacks. It must fetch the leader's
  // checkpoint and start anew from it. Forgotten when entries arrive again.
  struct Behind {
    NodeId leader;
    LogIndex checkpoint;  // The leader's, at least.
  };
  const std::optional<Behind>& behind() const { return behind_; }

  // Without a voice (rejoin.h) ...
  bool rejoining() const { return rejoin_.has_value(); }
  // ... until it has caught up. Make that durable, then call Rejoined.
  bool caught_up() const;
  void Rejoined();
  // Who has not said yet what it knows of us; empty once this server takes part.
  std::vector<NodeId> Unheard() const {
    return started_ ? std::vector<NodeId>{} : rejoin_->missing();
  }
  // False: it takes no part at all, and must not confirm anybody's leadership.
  bool takes_part() const { return started_; }

  Role role() const { return guard_->role(); }
  Term term() const { return guard_->term(); }
  NodeId leader() const { return guard_->leader(); }
  LogIndex committed() const { return guard_->committed(); }
  LogIndex agreed() const { return guard_->agreed(); }  // Not below committed(); see the guard.
  uint64_t timeout_ms() const {
    return rejoin_ ? ask_ms_ : std::min({guard_->timeout_ms(), announce_ms_, succession_.due_ms()});
  }
  const Membership& membership() const { return guard_->membership(); }
  LogIndex MatchOf(NodeId peer) const { return guard_->MatchOf(peer); }
  // Whether `peer` has answered this leader within the last election timeout.
  bool IsHeard(uint64_t now_ms, NodeId peer) const;
  // Whether `peer` has no voice, as far as it has said lately (rejoin.h).
  bool IsRejoining(uint64_t now_ms, NodeId peer) const;
  // Nothing of the log is on its way to this server's disk.
  bool all_durable() const { return outstanding_.empty(); }
  // Whether a leader knows all that was ever committed: everything in its log at its election is
  // committed (Raft, section 8). Before that it must not serve linearizable reads.
  bool KnowsCommitted() const {
    return role() == Role::kLeader && committed() >= last_at_election_;
  }
  // As leader: what its log held when it was elected.
  LogIndex last_at_election() const { return last_at_election_; }
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

  void StartEngine(uint64_t now_ms);
  void Hear(uint64_t now_ms, NodeId from, Message message);
  void NoteSettled(Term leader_term);
  bool LeaderIsSilent(uint64_t now_ms) const;
  void StandForElection(uint64_t now_ms);
  std::optional<Error> WhyNot(uint64_t now_ms, const Membership& next) const;
  // Writes something where the present membership has committed nothing yet. True: it did.
  bool SettleMembership(uint64_t now_ms);
  std::optional<Position> Propose(uint64_t now_ms, wal::EntryType type, std::string payload);
  void SendTo(NodeId to, Message message);
  void ReceiveRejoin(uint64_t now_ms, NodeId from, const RejoinRequest& request);
  void ReceiveRejoin(uint64_t now_ms, NodeId from, const RejoinAnswer& answer);
  void AskToRejoin(uint64_t now_ms);
  LogIndex KeepFrom(LogIndex checkpoint) const;
  void Execute(uint64_t now_ms, Effects effects);
  void Append(uint64_t now_ms, Effects& effects);
  void SendOut(Outgoing out);
  void NoteCommitted(uint64_t now_ms);
  // Followers learn from the next entry what is committed. While writes flow that is soon; when the
  // last one is committed a heartbeat may be long in coming, and reads at followers wait for it. So
  // they are told after a moment in which no entry came.
  void PlanAnnouncement(uint64_t now_ms);
  void AnnounceCommit();
  uint64_t MajorityContactMs() const;  // As leader: when a majority was last heard of.

  const EngineOptions options_;
  const Retention retention_;
  wal::Log& log_;
  Send send_;
  std::optional<Guard> guard_;  // Of the present membership; always there.
  std::deque<Outstanding> outstanding_;
  bool led_ = false;
  Term led_term_;
  LogIndex last_at_election_;
  LogIndex known_commit_;  // By leaders' messages.
  LogIndex announced_;     // As leader: the commit index told without waiting for a heartbeat ...
  uint64_t announce_ms_ = UINT64_MAX;  // ... and when the next is to be told.
  bool configuration_noted_ = false;   // The engine knows its first entry to be committed.
  LogIndex change_;                    // An entry in the log that names a later membership, or 0.
  std::optional<Membership> next_;     // Committed, and not adopted yet.
  // Messages of members that were quicker to adopt it.
  std::vector<std::pair<NodeId, Message>> held_;
  LogIndex agreed_before_;  // Under the memberships before.
  bool settled_ = false;    // The present membership is known to have committed something.
  bool started_ = false;
  bool stores_nothing_ = false;
  bool writes_nothing_ = false;
  LogIndex checkpoint_;
  std::map<NodeId, LogIndex> holds_;
  std::optional<Behind> behind_;
  std::optional<Rejoin> rejoin_;
  Succession succession_;
  Term lost_term_;                           // In which the leader was that is to be succeeded.
  uint64_t ask_ms_ = 0;                      // When to ask (again), rejoining.
  std::set<NodeId> overcounted_;             // As leader: has lost what it acknowledged to us.
  std::map<NodeId, uint64_t> rejoining_ms_;  // When each peer last asked to rejoin.
  uint64_t contact_ms_ = 0;  // Last known: as a follower now, or in an earlier leadership.
  std::map<NodeId, uint64_t> result_ms_;  // As leader: when each peer last answered.
};

}  // namespace holdfast::raft
