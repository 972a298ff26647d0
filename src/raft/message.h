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
  Term term;            // The receiver's.
  Term request_term;    // Of the request that this answers (guard 12, "echo").
  LogIndex rejected;    // 0: success. Else the prev_index that did not match.
  LogIndex last_index;  // Success: highest index matched and durable. Rejection: a hint.
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
};

using Message = std::variant<AppendEntries, AppendEntriesResult, RequestVote, RequestVoteResult,
                             TimeoutNow, InstallSnapshot, RejoinRequest, RejoinAnswer>;

enum class Role { kFollower, kCandidate, kLeader };

// Who votes. Node addresses are configuration of each node, not of consensus.
struct Membership {
  std::vector<NodeId> voters;  // Ascending.
  size_t Majority() const { return voters.size() / 2 + 1; }
  // The payload of a configuration entry.
  std::string Encode() const;
  // Stops the node on bytes that are no membership: the log's checksum has vouched for them.
  static Membership Decode(std::string_view bytes);
  // Whether Decode would take the bytes; for those from a peer.
  static bool IsEncoded(std::string_view bytes);
};

// What a checkpoint of the state stands for: everything up to `index`, an entry of `term`.
struct Snapshot {
  LogIndex index;  // 0: there is none, the log is complete.
  Term term;
};

}  // namespace holdfast::raft
