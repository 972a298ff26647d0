// Raft's messages in the paper's terms (Ongaro and Ousterhout 2014, figure 2; pre-vote and
// leadership transfer from Ongaro's dissertation, 9.6 and 3.10). What the engine underneath adds to
// them stays in its adapter.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "src/base/ids.h"
#include "src/wal/log.h"

namespace holdfast::raft {

struct AppendEntries {
  Term term;  // The leader's.
  LogIndex prev_index;
  Term prev_term;
  LogIndex leader_commit;
  std::vector<wal::Entry> entries;  // prev_index + 1 onwards.
};

struct AppendEntriesResult {
  Term term;               // The receiver's.
  Term request_term;       // Of the request that this answers (guard 12, "echo").
  LogIndex rejected;       // 0: success. Else the prev_index that did not match.
  LogIndex last_index;     // Success: highest index matched and durable. Rejection: a hint.
  bool rejoining = false;  // The receiver has no voice yet (rejoin.h).
};

struct RequestVote {
  Term term;  // The candidate's; in a pre-vote the one that it would run in.
  LogIndex last_index;
  Term last_term;
  bool disrupt_leader = false;  // The leader itself asked for this election.
  bool pre_vote = false;
};

struct RequestVoteResult {
  Term term;
  bool granted = false;
  bool pre_vote = false;
};

struct TimeoutNow {
  Term term;
  LogIndex last_index;
  Term last_term;
};

// A leader's word that what the receiver lacks is no longer in its log, but in its checkpoint. The
// checkpoint itself does not travel in messages: the receiver fetches its files and starts anew
// from them (Raft, figure 13, with the data taken out).
struct InstallSnapshot {
  Term term;  // The leader's.
  LogIndex last_index;
  Term last_term;
};

// A server whose disk was lost asks what it may have forgotten; see rejoin.h.
struct RejoinRequest {
  bool knows_terms = false;  // It has heard of every other server's term, and takes part again.
};
struct RejoinAnswer {
  Term term;           // The highest that the sender knows.
  bool leads = false;  // That term.
  LogIndex last_index;
  // The present membership has committed something: those before it have no say any more.
  bool settled = false;
};

using Message = std::variant<AppendEntries, AppendEntriesResult, RequestVote, RequestVoteResult,
                             TimeoutNow, InstallSnapshot, RejoinRequest, RejoinAnswer>;

enum class Role { kFollower, kCandidate, kLeader };

// Who takes part, once the entry that says so is committed; see replica.h.
struct Membership {
  std::vector<NodeId> voters;         // Ascending; one at least.
  std::vector<NodeId> learners = {};  // Ascending: they store the log, but do not vote.
  // Where others reach a member; for those that the cluster was not founded with. Consensus has no
  // use for it.
  std::map<NodeId, std::string> addresses = {};
  // Of promoted members: which data folder got the vote (node/identity.h). Nor for this.
  std::map<NodeId, uint64_t> incarnations = {};
  LogIndex index{1};  // Of its entry: the founding one's is 1. Names it; not in its payload.

  size_t Majority() const { return voters.size() / 2 + 1; }
  bool IsFounding() const { return index == LogIndex(1); }
  bool IsVoter(NodeId node) const;
  bool Has(NodeId node) const;
  std::vector<NodeId> All() const;  // Ascending.
  // Whether two memberships differ by what one server is, at most: then any majority of the one
  // has a server in common with any majority of the other (Ongaro's dissertation, 4.1).
  bool IsOneStepFrom(const Membership& other) const;
  // The payload of a configuration entry.
  std::string Encode() const;
  // Of the entry at `index`. Stops the node on bytes that are no membership: the log's checksum has
  // vouched for them.
  static Membership Decode(std::string_view bytes, LogIndex index = LogIndex(1));
  // Whether Decode would take the bytes; for those from a peer.
  static bool IsEncoded(std::string_view bytes);
};

// What a checkpoint of the state stands for: everything up to `index`, an entry of `term`.
struct Snapshot {
  LogIndex index;  // 0: there is none, the log is complete.
  Term term;
};

}  // namespace holdfast::raft
