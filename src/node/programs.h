// What every member's program can carry out, as its hello says, and when the leader raises the
// version of the behaviour that is in force (base/behaviour.h, docs/decisions/0017-versions.md).
// One thread, the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "holdfast/peer.pb.h"
#include "src/base/behaviour.h"
#include "src/base/ids.h"

namespace holdfast::node {

// The highest peer protocol that this program understands, and what a receiver of its hello must.
inline constexpr uint32_t kPeerProtocol = 1;

// What a node says of its program while it goes by `in_force`.
ProgramVersions ToWire(const Behaviour& program, uint32_t in_force);

// Why a peer is not spoken with, or this node must end, for what their programs can do.
struct ProgramVerdict {
  std::string refused;  // For the peer; empty: welcome.
  std::string unfit;    // Why this node cannot go on, for its operator; empty: it can.
};
ProgramVerdict CompareWith(const Behaviour& program, uint32_t in_force, NodeId self,
                           const Hello& peer);

class Programs {
 public:
  explicit Programs(const Behaviour& own) : own_(own) {}

  // The peer's last word, on a connection that was welcome.
  void Said(NodeId peer, const ProgramVersions& versions) { said_[peer] = versions; }
  const std::map<NodeId, ProgramVersions>& said() const { return said_; }

  // Which version the leader should raise to now, when `in_force` is; 0: none. It is the newest
  // that all members can do, once they have all been there and able to for a while. Before any is
  // in force it is at once the newest of those who have spoken: who founds a cluster has heard all.
  uint32_t Wanted(uint64_t now_ms, uint32_t in_force, const std::vector<NodeId>& others,
                  const std::function<bool(NodeId)>& is_heard);

 private:
  const Behaviour own_;
  std::map<NodeId, ProgramVersions> said_;
  uint32_t able_ = 0;     // What all can do ...
  uint64_t able_ms_ = 0;  // ... since when.
};

}  // namespace holdfast::node
