// The operator of a simulated cluster, who changes its members as `holdfast members` does: grows
// it, shrinks it, replaces nodes, one change after the other, while everything else goes on.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "sim/cluster.h"
#include "sim/recipe.h"

namespace holdfast::sim {

struct OperatorOptions {
  uint64_t pause_ms = 1'000;     // Between two plans, on average.
  Range voters = {1, 5};         // How many there are to be; drawn anew from time to time.
  uint64_t wipe_percent = 0;     // How often a disk is lost around a change of who votes ...
  uint64_t wipe_within_ms = 50;  // ... within this time.
};

class Operator {
 public:
  Operator(World& world, Cluster& cluster, const OperatorOptions& options);

  void Finish() { finishing_ = true; }           // Begins nothing any more.
  uint64_t changes() const { return changes_; }  // That came into force.
  uint64_t refused() const { return refused_; }

 private:
  using Kind = node::MembershipChange::Kind;

  void PlanLater(uint64_t mean_ms);
  void Plan();
  void PlanReplacement(const raft::Membership& members);
  void Step(Kind kind, NodeId node);
  void Next();
  // Asks whoever leads, again and again, until it is so or patience is over.
  void Ask();
  void AskLater();
  void Answered(uint64_t attempt, const Result<LogIndex>& result);
  static bool IsSo(const raft::Membership& members, const node::MembershipChange& change);
  void LoseADisk(const node::MembershipChange& change);

  NodeId Any(const std::vector<NodeId>& nodes);
  NodeId Spare();  // 0: there is none.

  World& world_;
  Cluster& cluster_;
  const OperatorOptions options_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::deque<node::MembershipChange> steps_;
  uint64_t attempt_ = 0;   // Grows with each question; what belongs to an earlier one is dropped.
  uint64_t attempts_ = 0;  // Of this step.
  LogIndex agreed_;        // That a leader has proposed it at; 0: none has.
  size_t target_ = 0;
  bool finishing_ = false;
  uint64_t changes_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace holdfast::sim
