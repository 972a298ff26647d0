#include "src/node/tcp_peer_link.h"

#include <future>
#include <set>

namespace holdfast::node {

Result<std::unique_ptr<TcpPeerLink>> TcpPeerLink::Start(const Options& options,
                                                        PeerHandler& handler, EventLoop& loop) {
  const NodeId self(handler.Hello().node());
  std::set<NodeId> members{self};
  for (const auto& [id, address] : options.peers) members.insert(id);
  auto incoming = std::make_shared<TcpIncoming>(loop, handler, self, members);
  if (auto listening = incoming->Listen(options.listen); !listening) return Fail(listening.error());
  std::map<NodeId, std::shared_ptr<TcpOutgoing>> peers;
  for (const auto& [id, address] : options.peers) {
    peers[id] = std::make_shared<TcpOutgoing>(loop, handler, id, address,
                                              std::vector<NodeId>(members.begin(), members.end()),
                                              options.redial_ms);
  }
  loop.Post([incoming, peers] {
    incoming->Accept();
    for (const auto& [id, peer] : peers) peer->Dial();
  });
  return std::unique_ptr<TcpPeerLink>(new TcpPeerLink(loop, std::move(incoming), std::move(peers)));
}

TcpPeerLink::TcpPeerLink(EventLoop& loop, std::shared_ptr<TcpIncoming> incoming,
                         std::map<NodeId, std::shared_ptr<TcpOutgoing>> peers)
    : loop_(loop), incoming_(std::move(incoming)), peers_(std::move(peers)) {}
TcpPeerLink::~TcpPeerLink() { Stop(); }

bool TcpPeerLink::Send(NodeId to, PeerFrame frame) {
  const auto peer = peers_.find(to);
  return peer != peers_.end() && peer->second->Send(frame);
}

std::map<NodeId, PeerState> TcpPeerLink::States() const {
  std::map<NodeId, PeerState> states;
  for (const auto& [id, peer] : peers_) states[id] = peer->State();
  return states;
}

void TcpPeerLink::Stop() {
  if (std::exchange(stopped_, true)) return;
  std::promise<void> closed;
  loop_.Post([this, &closed] {
    incoming_->Close();
    for (const auto& [id, peer] : peers_) peer->End();
    closed.set_value();
  });
  closed.get_future().wait();
}

}  // namespace holdfast::node
