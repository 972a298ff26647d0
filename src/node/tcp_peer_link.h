// The peer link over TCP: this node dials every other and sends on that connection; answers come
// back on those that the others opened. A broken connection is dialled again for ever.
//
// What comes is read on the loop that handles it. Frames are sent from there too, whoever gave
// them, all that queued up in one write.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "src/base/error.h"
#include "src/node/event_loop.h"
#include "src/node/peer_link.h"
#include "src/node/tcp_incoming.h"
#include "src/node/tcp_outgoing.h"

namespace holdfast::node {

struct TcpPeerLinkOptions {
  std::string listen;                   // host:port
  std::map<NodeId, std::string> peers;  // host:port of every other member.
  uint64_t redial_ms = 100;
};

class TcpPeerLink : public PeerLink {
 public:
  using Options = TcpPeerLinkOptions;

  // Starts to listen and to dial. `handler` is called on `loop`; both must outlive the link. Fails
  // when the address is taken or means nothing.
  static Result<std::unique_ptr<TcpPeerLink>> Start(const Options& options, PeerHandler& handler,
                                                    EventLoop& loop);
  ~TcpPeerLink() override;

  bool Send(NodeId to, PeerFrame frame) override;
  void SetPeers(const std::map<NodeId, std::string>& peers) override;
  std::map<NodeId, PeerState> States() const;
  // Closes all connections; no callback comes after it returns. The loop must be running. Not from
  // its thread.
  void Stop();

 private:
  TcpPeerLink(EventLoop& loop, PeerHandler& handler, uint64_t redial_ms,
              std::shared_ptr<TcpIncoming> incoming);

  EventLoop& loop_;
  PeerHandler& handler_;
  const uint64_t redial_ms_;
  const std::shared_ptr<TcpIncoming> incoming_;
  mutable std::mutex mutex_;
  std::map<NodeId, std::shared_ptr<TcpOutgoing>> peers_;
  bool stopped_ = false;
};

}  // namespace holdfast::node
