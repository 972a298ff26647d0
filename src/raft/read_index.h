// Linearizable reads without writing to the log (Raft, section 8; dissertation 6.4): the leader
// notes its commit index, confirms with a majority that it still leads, and only then lets the
// reads go on at that index. Reads that come while a round is under way share the next one.
//
// A round is confirmed by peers that, when asked, knew of no term above the leader's: had another
// leader been elected before the round began, a majority would know its term, and the two
// majorities meet. One thread, the loop.
#pragma once

#include <absl/functional/any_invocable.h>

#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "src/raft/replica.h"

namespace holdfast::raft {

class ReadIndex {
 public:
  // Called with the index that a read must wait for, or nothing: not the leader, or deposed.
  using Done = absl::AnyInvocable<void(std::optional<LogIndex>)>;
  struct Probe {
    Term term;
    uint64_t sequence;
  };
  // Sends a probe to every other member; may be lost.
  using SendProbe = std::function<void(const Probe&)>;

  ReadIndex(const Replica& replica, NodeId self, SendProbe send);

  void Request(Done done);
  // A peer answered: its term at that moment, and which probe it answers.
  void Answer(NodeId from, Term term, uint64_t sequence);
  // Call after every event of the replica: starts what had to wait, fails what can no longer
  // succeed, and repeats a probe that may have been lost.
  void Step(uint64_t now_ms);

 private:
  struct Round {
    Probe probe;
    LogIndex index;
    std::set<NodeId> confirmed;
    std::vector<Done> waiting;
    uint64_t sent_ms = 0;
  };

  void Begin();
  void Finish(std::optional<LogIndex> index);
  void FailAll();

  const Replica& replica_;
  const NodeId self_;
  SendProbe send_;
  uint64_t now_ms_ = 0;
  uint64_t sequence_ = 0;
  std::optional<Round> round_;
  std::vector<Done> next_;  // For the round after.
};

}  // namespace holdfast::raft
