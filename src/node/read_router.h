// Finds the index that a linearizable read must wait for: from our own read-index rounds on the
// leader, from the leader elsewhere. Reads that wait together share one question. One thread, the
// loop.
#pragma once

#include <functional>
#include <vector>

#include "src/raft/read_index.h"

namespace holdfast::node {

class ReadRouter {
 public:
  using Done = absl::AnyInvocable<void(Result<LogIndex>)>;
  // Asks the leader under `id`; the answer comes back through Answered.
  using Ask = std::function<void(NodeId leader, uint64_t id)>;

  // `first_id`: as the WriteRouter's.
  ReadRouter(raft::Replica& replica, raft::ReadIndex& read_index, NodeId self, Ask ask,
             uint64_t first_id = 0);

  void Add(uint64_t deadline_ms, Done done);
  void Step(uint64_t now_ms);
  // `index` 0: not the leader any more, or no quorum.
  void Answered(uint64_t id, LogIndex index);
  // The node stops, or is no member any more: answers whoever waits, and whoever comes.
  void Stop();

 private:
  struct Waiter {
    uint64_t deadline_ms = 0;
    Done done;
  };
  void Expire(uint64_t now_ms);

  raft::Replica& replica_;
  raft::ReadIndex& read_index_;
  const NodeId self_;
  Ask ask_;
  std::vector<Waiter> waiting_;  // For the next question.
  std::vector<Waiter> asked_;    // On the question under way: to a peer, or a round of our own.
  uint64_t question_;
  uint64_t asked_ms_ = 0;
  uint64_t not_before_ms_ = 0;  // After a refusal.
  NodeId asked_node_;
  uint64_t next_expiry_ms_ = 0;
  bool stopped_ = false;
};

}  // namespace holdfast::node
