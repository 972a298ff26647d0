// The peer link over gRPC: this node dials every other and sends on that stream; answers come back
// on the streams that the others opened. A broken stream is redialled for ever.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "src/base/error.h"
#include "src/base/executor.h"
#include "src/node/peer_link.h"

namespace holdfast::node {

class GrpcPeerLink : public PeerLink {
 public:
  struct Options {
    NodeId self;
    std::string listen;                   // host:port
    std::map<NodeId, std::string> peers;  // host:port of every other member.
    uint64_t redial_ms = 100;
  };

  // Starts to listen and to dial. `executor` runs the redials. Both it and `handler` must outlive
  // the link. Fails when the address is taken.
  static Result<std::unique_ptr<GrpcPeerLink>> Start(Options options, PeerHandler& handler,
                                                     Executor& executor);
  ~GrpcPeerLink() override;

  bool Send(NodeId to, PeerFrame frame) override;
  struct PeerState {
    bool connected = false;
    size_t queued_bytes = 0;
  };
  std::map<NodeId, PeerState> States() const;
  // Closes all streams; no callback comes after it returns.
  void Stop();

 private:
  class Outgoing;
  class Incoming;
  class Service;
  struct Impl;
  explicit GrpcPeerLink(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace holdfast::node
