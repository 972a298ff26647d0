// How a server whose disk was lost comes back under its own id.
//
// It has forgotten what it promised: the term it had reached, the vote it gave there, the entries
// it had acknowledged. Until nobody can still rely on any of that it must not promise anew. So it
//
//   1. asks every other server for its term, and takes no part at all until all have answered. From
//      a server that has answered nothing sent before the loss can count any more: its link to us
//      began anew (guard rule 1). So no vote and no acknowledgement of ours counts anywhere in a
//      term above the highest answered, the *floor*. It enters that term with its vote spent.
//      "Every other server" are the voters of the present membership; one of them must know that
//      it has committed something (0015): what those before it could still commit is then known.
//   2. takes part without a voice: it stores and acknowledges what a leader of the floor's term or
//      a later one sends, which it means to keep like anyone else, but neither votes nor stands for
//      election. An entry that was committed with an acknowledgement of ours is held by so many of
//      the others that whoever is elected without us has it.
//   3. has its voice back once its log matches that of such a leader, durably, up to where that
//      leader's reached when it was asked: the leader held by then all that we ever acknowledged
//      and that was committed.
//
// Others whose disks were lost as well answer, too, with no term: what they had promised as
// candidates is gone with them. More than a minority of disks lost at once is beyond what consensus
// can mend: nobody is elected then, and nothing is made up. Proof by simulation:
// replica_sim_test.cc; why like this: docs/decisions/0010-rejoin.md.
#pragma once

#include <map>
#include <optional>

#include "src/raft/message.h"

namespace holdfast::raft {

// The part of such a server that remembers what it was told. Pure; one thread.
class Rejoin {
 public:
  Rejoin(NodeId self, const Membership& membership);

  void Answered(NodeId from, const RejoinAnswer& answer);
  // Once all others have answered, and the membership is known to be settled: the highest of their
  // terms.
  std::optional<Term> floor() const;
  // Those that have not; for people.
  std::vector<NodeId> missing() const;

  // Step 3: an answer of the leader that this server follows in `term`, at or above the floor.
  void AimAt(Term term, LogIndex last_index) { aim_ = {last_index, term}; }
  bool HasAim(Term term) const { return aim_ && aim_->term == term; }
  // Whether this server's log, in `term`, matches its leader's durably up to the aim.
  bool Reached(Term term, LogIndex matched, LogIndex durable) const {
    return HasAim(term) && std::min(matched, durable) >= aim_->index;
  }

 private:
  std::map<NodeId, std::optional<Term>> terms_;  // Of every other voter.
  bool settled_;
  std::optional<Snapshot> aim_;
};

}  // namespace holdfast::raft
