#include "src/node/tcp_peer_link.h"

#include <future>

namespace holdfast::node {

Result<std::unique_ptr<TcpPeerLink>> TcpPeerLink::Start(const Options& options,
                                                        PeerHandler& handler, EventLoop& loop) {
  const NodeId self(handler.Greeting().identity().node());
  auto incoming = std::make_shared<TcpIncoming>(loop, handler, self);
  if (auto listening = incoming->Listen(options.listen); !listening) return Fail(listening.error());
  std::unique_ptr<TcpPeerLink> link(
      new TcpPeerLink(loop, handler, options.redial_ms, std::move(incoming)));
  loop.Post([incoming = link->incoming_] { incoming->Accept(); });
  link->SetPeers(options.peers);
  return link;
}

TcpPeerLink::TcpPeerLink(EventLoop& loop, PeerHandler& handler, uint64_t redial_ms,
                         std::shared_ptr<TcpIncoming> incoming)
    : loop_(loop), handler_(handler), redial_ms_(redial_ms), incoming_(std::move(incoming)) {}
TcpPeerLink::~TcpPeerLink() { Stop(); }

bool TcpPeerLink::Send(NodeId to, PeerFrame frame) {
  std::shared_ptr<TcpOutgoing> peer;
  {
    std::lock_guard lock(mutex_);
    const auto found = peers_.find(to);
    if (found == peers_.end()) return false;
    peer = found->second;
  }
  return peer->Send(frame);
}

void TcpPeerLink::SetPeers(const std::map<NodeId, std::string>& peers) {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  std::erase_if(peers_, [&](const auto& known) {
    const auto wanted = peers.find(known.first);
    if (wanted != peers.end() && wanted->second == known.second->address()) return false;
    loop_.Post([peer = known.second] { peer->End(); });
    return true;
  });
  for (const auto& [id, address] : peers) {
    if (peers_.contains(id)) continue;
    auto peer = std::make_shared<TcpOutgoing>(loop_, handler_, id, address, redial_ms_);
    loop_.Post([peer] { peer->Dial(); });
    peers_[id] = std::move(peer);
  }
}

std::map<NodeId, PeerState> TcpPeerLink::States() const {
  std::lock_guard lock(mutex_);
  std::map<NodeId, PeerState> states;
  for (const auto& [id, peer] : peers_) states[id] = peer->State();
  return states;
}

void TcpPeerLink::Stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
  }
  std::promise<void> closed;
  loop_.Post([this, &closed] {
    incoming_->Close();
    for (const auto& [id, peer] : peers_) peer->End();
    closed.set_value();
  });
  closed.get_future().wait();
}

}  // namespace holdfast::node
