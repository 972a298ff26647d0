#include "sim/network.h"

namespace holdfast::sim {
namespace {

constexpr uint64_t kRedialUsMin = 20'000;
constexpr uint64_t kRedialUsMax = 120'000;
constexpr uint64_t kSilenceUsMax = 2'000'000;  // As TCP_USER_TIMEOUT of the real link.
constexpr size_t kQueueFramesMax = 20'000;     // Past it the link breaks.

}  // namespace

Network::Network(World& world, size_t nodes, RunOn run_on)
    : world_(world),
      nodes_(nodes),
      run_on_(std::move(run_on)),
      links_((nodes + 1) * (nodes + 1)),
      up_(nodes + 1) {}

uint64_t Network::Delay(const Link& link) {
  return world_.random.Between(link.delay_min_us, link.delay_max_us);
}

void Network::Up(NodeId node) {
  up_[node.value] = true;
  for (uint64_t other = 1; other <= nodes_; ++other) {
    if (At(node, NodeId(other)).wanted) DialLater(node, NodeId(other));
  }
}

void Network::SetPeers(NodeId node, const std::set<NodeId>& peers) {
  for (uint64_t other = 1; other <= nodes_; ++other) {
    Link& link = At(node, NodeId(other));
    const bool wanted = other != node.value && peers.contains(NodeId(other));
    if (wanted == link.wanted) continue;
    link.wanted = wanted;
    if (!wanted) {
      Close(link);
    } else if (up_[node.value]) {
      DialLater(node, NodeId(other));
    }
  }
}

void Network::Close(Link& link) {
  ++link.generation;
  link.state = State::kDown;
  link.queue.clear();
  link.due = 0;
}

void Network::Down(NodeId node, bool killed) {
  up_[node.value] = false;
  for (uint64_t other = 1; other <= nodes_; ++other) {
    if (other == node.value) continue;
    Link& out = At(node, NodeId(other));
    if (killed && !out.cut) {
      for (PeerFrame& frame : out.queue) {
        world_.events.After(Delay(out), [this, node, other, epoch = out.epoch,
                                         kept = std::make_shared<PeerFrame>(std::move(frame))] {
          Deliver(node, NodeId(other), epoch, std::move(*kept));
        });
      }
    }
    Close(out);
    out.wanted = false;
    Lose(NodeId(other), node);
  }
}

void Network::DialLater(NodeId from, NodeId to) {
  Link& link = At(from, to);
  link.state = State::kDialling;
  const uint64_t generation = ++link.generation;
  world_.events.After(world_.random.Between(kRedialUsMin, kRedialUsMax),
                      [this, from, to, generation] {
                        if (At(from, to).generation == generation) Dial(from, to);
                      });
}

void Network::Dial(NodeId from, NodeId to) {
  if (!up_[from.value]) return;
  if (!up_[to.value] || !Reaches(from, to) || !Reaches(to, from)) {
    DialLater(from, to);
    return;
  }
  const uint64_t generation = At(from, to).generation;
  run_on_(from, [this, from, to, generation](node::PeerHandler& sender) {
    world_.events.After(Delay(At(from, to)),
                        [this, from, to, generation, hello = sender.Greeting()] {
                          if (At(from, to).generation == generation) Greet(from, to, hello);
                        });
  });
}

void Network::Greet(NodeId from, NodeId to, const Hello& hello) {
  const uint64_t generation = At(from, to).generation;
  if (!up_[to.value]) {
    DialLater(from, to);
    return;
  }
  run_on_(to, [this, from, to, generation, hello](node::PeerHandler& receiver) {
    if (At(from, to).generation != generation) return;
    const std::string refused = receiver.OnHello(hello);
    Link& link = At(from, to);
    if (link.generation != generation) return;
    if (!refused.empty()) {
      world_.Trace("node " + to.ToString() + " refuses node " + from.ToString() + ": " + refused);
      DialLater(from, to);
      return;
    }
    link.epoch = ++last_epoch_;
    world_.events.After(Delay(link), [this, from, to, generation] {
      if (At(from, to).generation == generation) Welcome(At(from, to));
    });
  });
}

void Network::Welcome(Link& link) {
  link.state = State::kUp;
  link.last_us = world_.events.now_us();
  link.queue.clear();
  link.due = 0;
}

bool Network::Send(NodeId from, NodeId to, PeerFrame frame) {
  Link& link = At(from, to);
  if (link.state != State::kUp) return false;
  if (link.queue.size() >= kQueueFramesMax) {
    BreakLink(from, to);
    return false;
  }
  ++frames_;
  link.queue.push_back(std::move(frame));
  link.last_us = std::max(world_.events.now_us() + Delay(link), link.last_us);
  world_.events.At(link.last_us, [this, from, to, generation = link.generation] {
    Arrive(from, to, generation);
  });
  return true;
}

void Network::Arrive(NodeId from, NodeId to, uint64_t generation) {
  Link& link = At(from, to);
  if (generation != link.generation) return;
  if (link.cut) {
    ++link.due;
    return;
  }
  PeerFrame frame = std::move(link.queue.front());
  link.queue.pop_front();
  Deliver(from, to, link.epoch, std::move(frame));
}

void Network::Deliver(NodeId from, NodeId to, uint64_t epoch, PeerFrame frame) {
  std::vector<PeerFrame> frames;
  frames.push_back(std::move(frame));
  run_on_(to, [from, epoch, frames = std::move(frames)](node::PeerHandler& receiver) mutable {
    receiver.OnFrames(from, epoch, std::move(frames));
  });
}

// The sender sees its stream break, and dials anew.
void Network::Lose(NodeId from, NodeId to) {
  Link& link = At(from, to);
  const bool was_up = link.state == State::kUp;
  link.queue.clear();
  link.due = 0;
  if (!up_[from.value] || !link.wanted) return;
  DialLater(from, to);
  if (was_up) {
    run_on_(from, [to](node::PeerHandler& sender) { sender.OnLinkDown(to); });
  }
}

void Network::BreakLink(NodeId from, NodeId to) {
  if (At(from, to).state == State::kUp) Lose(from, to);
}

void Network::CutLink(NodeId from, NodeId to, Cut how) {
  Link& link = At(from, to);
  if (link.cut) return;
  link.cut = true;
  if (how == Cut::kBreak) {
    BreakLink(from, to);
    return;
  }
  world_.events.After(kSilenceUsMax, [this, from, to, generation = link.generation] {
    if (At(from, to).generation == generation && At(from, to).cut) BreakLink(from, to);
  });
}

void Network::RestoreLink(NodeId from, NodeId to) {
  Link& link = At(from, to);
  if (!link.cut) return;
  link.cut = false;
  for (; link.due > 0; --link.due) {
    world_.events.After(
        0, [this, from, to, generation = link.generation] { Arrive(from, to, generation); });
  }
}

void Network::SetDelay(NodeId from, NodeId to, uint64_t min_us, uint64_t max_us) {
  At(from, to).delay_min_us = min_us;
  At(from, to).delay_max_us = max_us;
}

void Network::RestoreAll() {
  for (uint64_t from = 1; from <= nodes_; ++from) {
    for (uint64_t to = 1; to <= nodes_; ++to) {
      if (from == to) continue;
      RestoreLink(NodeId(from), NodeId(to));
      SetDelay(NodeId(from), NodeId(to), 50, 500);
    }
  }
}

}  // namespace holdfast::sim
