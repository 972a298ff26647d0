// The peer links of a simulated cluster: what src/node/tcp_peer_link.h does over sockets, over
// events. One ordered stream for each direction of a pair, opened by its sender with a hello, and
// opened anew when it breaks. As TCP does, a network that loses packets delays or breaks a stream,
// and never repeats or reorders what is in it; what a broken one carried is lost.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "sim/world.h"
#include "src/node/peer_link.h"

namespace holdfast::sim {

class Network {
 public:
  // Runs something of a node, unless that life of it is over by then.
  using RunOn = std::function<void(NodeId node, std::function<void(node::PeerHandler&)>)>;

  Network(World& world, size_t nodes, RunOn run_on);

  // --- A node's side
  void Up(NodeId node);  // It may dial, and is dialled.
  // Its streams are gone, in both directions. `killed`: its kernel lives on, and sends what is
  // under way.
  void Down(NodeId node, bool killed);
  // Whom it dials from now on; connections to others end.
  void SetPeers(NodeId node, const std::set<NodeId>& peers);
  bool Send(NodeId from, NodeId to, PeerFrame frame);

  // --- Faults
  enum class Cut { kStall, kBreak };  // Frames wait (until the silence is noticed), or are lost.
  void CutLink(NodeId from, NodeId to, Cut how);
  void RestoreLink(NodeId from, NodeId to);
  void BreakLink(NodeId from, NodeId to);  // Once; it is opened anew.
  void SetDelay(NodeId from, NodeId to, uint64_t min_us, uint64_t max_us);
  void RestoreAll();
  size_t nodes() const { return nodes_; }
  uint64_t frames() const { return frames_; }

 private:
  enum class State { kDown, kDialling, kUp };  // Up: it was told that it is welcome.
  struct Link {
    State state = State::kDown;
    bool wanted = false;  // Its sender dials.
    bool cut = false;
    uint64_t generation = 0;  // Of the stream: what belongs to an earlier one is dropped.
    uint64_t epoch = 0;
    uint64_t last_us = 0;  // When the frame before arrives.
    uint64_t delay_min_us = 50;
    uint64_t delay_max_us = 500;
    std::deque<PeerFrame> queue;  // Under way, in order.
    size_t due = 0;               // How many of them would be there by now, but for the cut.
  };
  Link& At(NodeId from, NodeId to) { return links_[from.value * (nodes_ + 1) + to.value]; }
  bool Reaches(NodeId from, NodeId to) { return !At(from, to).cut; }
  void DialLater(NodeId from, NodeId to);
  void Dial(NodeId from, NodeId to);
  void Greet(NodeId from, NodeId to, const Hello& hello);
  void Welcome(Link& link);
  static void Close(Link& link);
  void Arrive(NodeId from, NodeId to, uint64_t generation);
  void Deliver(NodeId from, NodeId to, uint64_t epoch, PeerFrame frame);
  void Lose(NodeId from, NodeId to);
  uint64_t Delay(const Link& link);

  World& world_;
  const size_t nodes_;
  const RunOn run_on_;
  std::vector<Link> links_;
  std::vector<bool> up_;
  uint64_t last_epoch_ = 0;
  uint64_t frames_ = 0;
};

}  // namespace holdfast::sim
