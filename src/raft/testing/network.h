// Links between the servers of a simulated group: one ordered stream for each direction of a pair.
// A stream that breaks takes with it what is in flight, and a new epoch begins.
#pragma once

#include <deque>
#include <functional>
#include <variant>
#include <vector>

#include "src/raft/message.h"
#include "src/raft/read_index.h"
#include "src/raft/testing/event_queue.h"

namespace holdfast::raft::sim {

struct ProbeResult {
  Term term;
  uint64_t sequence;
};
struct RaftFrame {
  LogIndex membership;
  Message message;
};
using Frame = std::variant<RaftFrame, ReadIndex::Probe, ProbeResult, Membership>;

class Network {
 public:
  using Deliver = std::function<void(NodeId from, NodeId to, const Frame& frame)>;
  enum class Cut { kStall, kBreak };  // Frames wait, or are lost with their connection.

  Network(EventQueue& events, Random& random, size_t nodes, Deliver deliver);

  void Send(NodeId from, NodeId to, Frame frame);

  void CutLink(NodeId from, NodeId to, Cut how);
  void RestoreLink(NodeId from, NodeId to);
  enum class Direction { kBoth, kOut, kIn };
  void Isolate(NodeId node, Direction direction, Cut how);
  void RestoreAll();  // Also takes loss and slowness away.
  // Every connection of a server that crashes.
  void BreakAllOf(NodeId node);
  void BreakAllTo(NodeId node);

  void SetDelay(NodeId from, NodeId to, uint64_t min_us, uint64_t max_us);
  // Frames that a full queue at the sender drops.
  void SetLoss(NodeId from, NodeId to, uint64_t percent);
  size_t nodes() const { return nodes_; }

 private:
  struct Link {
    bool cut = false;
    Cut how = Cut::kBreak;
    uint64_t epoch = 0;
    uint64_t last_us = 0;  // When the frame before arrives.
    uint64_t delay_min_us = 100;
    uint64_t delay_max_us = 2'000;
    uint64_t loss_percent = 0;
    std::deque<Frame> queue;  // Under way, in order.
    size_t due = 0;           // How many of them would be there by now, had the link not stalled.
  };
  Link& At(NodeId from, NodeId to) { return links_[from.value * (nodes_ + 1) + to.value]; }
  void Arrive(NodeId from, NodeId to, uint64_t epoch);
  static void Break(Link& link);

  EventQueue& events_;
  Random& random_;
  const size_t nodes_;
  const Deliver deliver_;
  std::vector<Link> links_;
};

}  // namespace holdfast::raft::sim
