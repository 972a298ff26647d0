// A node's part in founding the cluster and in rejoining it: what it says of itself and hears of
// others, and when consensus may begin.
#include "src/base/logging.h"
#include "src/node/node.h"

namespace holdfast::node {
namespace {
constexpr uint64_t kHelloMs = 500;  // Until the cluster is founded.
}

void Node::FoundIfComplete() {
  // Running already; or Start comes later; or the log's first entry is on its way to the disk.
  if (replica_ || link_ == nullptr || founding_ticket_ != 0) return;
  bool agreed = false;
  bool rejoining = false;
  uint64_t proposed = 0;
  {
    std::lock_guard lock(founding_mutex_);
    agreed = parts_.founding.agreed();
    rejoining = parts_.founding.rejoining();
    proposed = parts_.founding.identity().cluster();
  }
  if (std::exchange(told_proposal_, proposed) != proposed)
    SayHelloAgain(parts_.clock.MonotonicMs());
  if (!agreed) return;
  // The log's first entry is made durable before the founding: a folder that says it is founded has
  // a log, and a log that has more than that entry has voted.
  if (parts_.log.last().value == 0) {
    if (rejoining) {
      logging::Info(Component::kNode, "takes the place of a lost data folder in its cluster");
    } else {
      logging::Info(Component::kNode, "all members agree, founding the cluster",
                    {{"members", options_.members.size()}});
    }
    const wal::Ticket ticket =
        raft::Replica::FoundLog(parts_.log, raft::Membership{options_.members});
    founding_ticket_ = ticket;
    return;
  }
  FinishFounding();
}

void Node::FinishFounding() {
  {
    std::lock_guard lock(founding_mutex_);
    if (auto founded = parts_.founding.Found(); !founded) {
      endings_.fatal("cannot write the identity of this node: " + founded.error().message);
      return;
    }
  }
  BeginConsensus();
  SayHelloAgain(checkpoint_ms_);
}

// Who this node is has changed since it said so on the connections that stand. Until the cluster is
// founded it says it again and again: a connection that is not welcome yet carries nothing.
void Node::SayHelloAgain(uint64_t now_ms) {
  said_hello_ms_ = now_ms;
  for (NodeId member : options_.members) {
    if (member != options_.raft.id) SayHelloTo(member);
  }
}

void Node::RepeatHello(uint64_t now_ms) {
  if (!replica_ && link_ != nullptr && now_ms >= said_hello_ms_ + kHelloMs) SayHelloAgain(now_ms);
}

void Node::SayHelloTo(NodeId peer) {
  PeerFrame frame;
  *frame.mutable_hello()->mutable_identity() = Hello();
  link_->Send(peer, std::move(frame));
}

// It votes again, and must never forget anything any more: so this is durable first.
void Node::FinishRejoin() {
  {
    std::lock_guard lock(founding_mutex_);
    if (auto saved = parts_.founding.Rejoined(); !saved) {
      endings_.fatal("cannot write the identity of this node: " + saved.error().message);
      return;
    }
  }
  replica_->Rejoined();
}

Identity Node::Hello() {
  std::lock_guard lock(founding_mutex_);
  return parts_.founding.identity();
}

std::string Node::OnHello(const Identity& peer) {
  std::lock_guard lock(founding_mutex_);
  const Result<void> met = parts_.founding.Meet(peer);
  if (!parts_.founding.outcast().empty()) {
    endings_.fatal(parts_.founding.outcast() +
                   "\nLeave this folder off; or remove it, and the node rejoins with a new one.");
  }
  const bool tell = parts_.founding.founded() && (peer.founding() || peer.founders_size() == 0);
  OnLoop([this, tell, id = NodeId(peer.node())] {
    FoundIfComplete();
    if (tell && link_ != nullptr) SayHelloTo(id);
  });
  return met ? "" : met.error().message;
}

void Node::HelloFrame(NodeId from, const Identity& peer) {
  if (NodeId(peer.node()) != from) return;
  std::string refused = OnHello(peer);
  std::string& before = refused_hellos_[from];
  if (!refused.empty() && refused != before) {
    logging::Warn(Component::kNode, "what a peer says of itself does not fit: " + refused,
                  {{"peer", from.value}});
  }
  before = std::move(refused);
}

}  // namespace holdfast::node
