// How nodes reach one another: one ordered link to each peer.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "holdfast/peer.pb.h"
#include "src/base/ids.h"

namespace holdfast::node {

// What a node does with its links. Called on one thread of the link; must not block.
class PeerHandler {
 public:
  virtual ~PeerHandler() = default;
  // Who we are, to whom is for the link to fill in: the first frame of every connection we open.
  // Said again, as a frame like others, when it has changed, and until the cluster is founded.
  virtual holdfast::Hello Greeting() = 0;
  // A peer opened a connection. Empty: welcome. Else why not, told to the peer.
  virtual std::string OnHello(const holdfast::Hello& peer) = 0;
  // Frames of a peer, in the order sent. `epoch` grows with every connection that the peer opens;
  // frames of an epoch are dropped once a later one has been seen.
  virtual void OnFrames(NodeId from, uint64_t epoch, std::vector<PeerFrame> frames) = 0;
  // The connection to this peer broke: what was under way may or may not have arrived.
  virtual void OnLinkDown(NodeId to) = 0;
};

// Thread-safe.
class PeerLink {
 public:
  virtual ~PeerLink() = default;
  // Queues a frame. False: there is no link, and the frame certainly never leaves. A queue past its
  // bound breaks the link.
  virtual bool Send(NodeId to, PeerFrame frame) = 0;
  // From now on these are the peers, each at host:port. Links that stand to them are kept.
  virtual void SetPeers(const std::map<NodeId, std::string>& peers) = 0;
};

}  // namespace holdfast::node
