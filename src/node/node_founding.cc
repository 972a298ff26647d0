// A node's part in founding the cluster and in rejoining it: what it says of itself and hears of
// others, and when consensus may begin.
#include "src/base/logging.h"
#include "src/base/reached.h"
#include "src/node/node.h"

namespace holdfast::node {
namespace {
constexpr uint64_t kHelloMs = 500;  // Until the cluster is founded.
}

void Node::FoundIfComplete() {
  // Running already; or Start comes later; or the log's first entry is on its way to the disk.
  if (replica_ || removed_ || link_ == nullptr || founding_ticket_ != 0) return;
  bool agreed = false;
  bool rejoining = false;
  uint64_t proposed = 0;
  raft::Membership founding;
  {
    std::lock_guard lock(founding_mutex_);
    agreed = parts_.founding.agreed();
    rejoining = parts_.founding.rejoining();
    proposed = parts_.founding.identity().cluster();
    founding = parts_.founding.founding_membership();
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
    const wal::Ticket ticket = raft::Replica::FoundLog(parts_.log, founding);
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
  link_->SetPeers(Peers());
  SayHelloAgain(checkpoint_ms_);
}

// Who this node is has changed since it said so on the connections that stand. Until the cluster is
// founded it says it again and again: a connection that is not welcome yet carries nothing.
void Node::SayHelloAgain(uint64_t now_ms) {
  said_hello_ms_ = now_ms;
  for (const auto& [peer, address] : Peers()) SayHelloTo(peer);
}

void Node::RepeatHello(uint64_t now_ms) {
  const bool repeat = !replica_ || removed_;
  if (repeat && link_ != nullptr && now_ms >= said_hello_ms_ + kHelloMs) SayHelloAgain(now_ms);
}

void Node::SayHelloTo(NodeId peer) {
  PeerFrame frame;
  *frame.mutable_hello() = Greeting();
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

Hello Node::Greeting() {
  Hello hello;
  std::lock_guard lock(founding_mutex_);
  *hello.mutable_identity() = parts_.founding.identity();
  for (NodeId member : options_.members) hello.add_members(member.value);
  hello.set_protocol(kPeerProtocol);
  *hello.mutable_program() = ToWire(ThisProgram(), parts_.machine.behaviour());
  return hello;
}

std::string Node::OnHello(const Hello& hello) {
  const Identity& peer = hello.identity();
  const uint32_t in_force = parts_.machine.behaviour();
  const ProgramVerdict programs = CompareWith(ThisProgram(), in_force, options_.raft.id, hello);
  if (!programs.refused.empty()) return programs.refused;
  std::lock_guard lock(founding_mutex_);
  Result<void> met = parts_.founding.CompareMembers(hello);
  if (met) met = parts_.founding.Meet(peer);
  if (met && !programs.unfit.empty()) endings_.fatal(programs.unfit);
  if (!parts_.founding.outcast().empty()) {
    endings_.fatal(parts_.founding.outcast() +
                   "\nLeave this folder off; or remove it, and the node rejoins with a new one.");
  }
  // Who was removed, or has a new folder, is not welcome yet, but may have to be told.
  const bool same = peer.cluster() != 0 && MakesSense(peer) &&
                    peer.cluster() == parts_.founding.identity().cluster();
  const bool knows_none = peer.founders_size() == 0;
  OnLoop([this, peer, program = hello.program(), welcome = met.has_value(),
          concerns = met.has_value() || same || knows_none] {
    if (welcome) {
      std::lock_guard said(founding_mutex_);
      programs_.Said(NodeId(peer.node()), program);
    }
    FoundIfComplete();
    if (TakesAnothersPlace()) {
      installing_ = true;
      endings_.restart();
      return;
    }
    if (concerns) Met(peer);
  });
  return met ? "" : met.error().message;
}

// It was told so just now, and goes on as if it had lost nothing.
bool Node::TakesAnothersPlace() const {
  std::lock_guard lock(founding_mutex_);
  return replica_ && !replica_->rejoining() && parts_.founding.rejoining() && !installing_;
}

// What was removed and is added again, with the folder that it had, goes on from there.
bool Node::AddedAgain(const Identity& peer) {
  if (peer.founders_size() == 0 || peer.founding() || installing_) return false;
  const raft::Membership theirs = MembershipOf(peer);
  std::lock_guard lock(founding_mutex_);
  const bool ours = peer.cluster() == parts_.founding.identity().cluster();
  const bool later = theirs.index > parts_.founding.membership().index;
  if (!ours || !later || !theirs.Has(options_.raft.id)) return false;
  if (auto saved = parts_.founding.Adopt(theirs); !saved) {
    endings_.fatal("cannot write the identity of this node: " + saved.error().message);
    return true;
  }
  HOLDFAST_REACHED("node.membership.is_added_again");
  logging::Info(Component::kNode, "was added again", {{"entry", theirs.index.value}});
  installing_ = true;
  endings_.restart();
  return true;
}

// What one of the two knows of the cluster the other is told.
void Node::Met(const Identity& peer) {
  const bool peer_founded = peer.founders_size() > 0 && !peer.founding();
  if (removed_ && !AddedAgain(peer)) NoteHerald(peer);
  if (!replica_ || removed_ || installing_ || link_ == nullptr) return;
  const LogIndex theirs = peer_founded ? MembershipOf(peer).index : LogIndex(0);
  const raft::Membership& ours = replica_->membership();
  if (theirs > ours.index) {
    replica_->Learn(MembershipOf(peer));
  } else if (theirs < ours.index || !ours.Has(NodeId(peer.node()))) {
    SayHelloTo(NodeId(peer.node()));
  }
}

void Node::HelloFrame(NodeId from, const Hello& hello) {
  if (NodeId(hello.identity().node()) != from) return;
  std::string refused = OnHello(hello);
  std::string& before = refused_hellos_[from];
  if (!refused.empty() && refused != before) {
    logging::Warn(Component::kNode, "what a peer says of itself does not fit: " + refused,
                  {{"peer", from.value}});
  }
  before = std::move(refused);
}

}  // namespace holdfast::node
