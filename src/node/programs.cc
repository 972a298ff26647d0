#include "src/node/programs.h"

#include <algorithm>

#include "src/base/bounds.h"
#include "src/node/identity.h"

namespace holdfast::node {

ProgramVersions ToWire(const Behaviour& program, uint32_t in_force) {
  ProgramVersions versions;
  versions.set_oldest(program.oldest);
  versions.set_newest(program.newest);
  versions.set_release(program.release);
  versions.set_in_force(in_force);
  if (in_force != 0) versions.set_in_force_release(BehaviourOf(in_force).release);
  return versions;
}

ProgramVerdict CompareWith(const Behaviour& program, uint32_t in_force, NodeId self,
                           const Hello& peer) {
  const std::string node = "node " + std::to_string(peer.identity().node());
  const ProgramVersions& said = peer.program();
  if (peer.protocol() != kPeerProtocol || peer.identity().format() > kIdentityFormat) {
    const bool newer = peer.protocol() >= kPeerProtocol;
    return {node + " speaks version " + std::to_string(peer.protocol()) +
                " of the peer protocol, with identities of format " +
                std::to_string(peer.identity().format()) + ", and node " + self.ToString() +
                ", Holdfast " + program.release + ", knows version " +
                std::to_string(kPeerProtocol) + " and format " + std::to_string(kIdentityFormat) +
                ": install the newer Holdfast on " + (newer ? "node " + self.ToString() : node),
            ""};
  }
  const Behaviour theirs{said.oldest(), said.newest(), said.release()};
  if (in_force != 0) {
    const std::string unfit = WhyUnfit(theirs, in_force, BehaviourOf(in_force).release, node);
    if (!unfit.empty()) return {unfit, ""};
  } else if (theirs.newest < program.oldest || theirs.oldest > program.newest) {
    return {node + " runs Holdfast " + theirs.release + ", node " + self.ToString() + " Holdfast " +
                program.release +
                ": they have no version of the behaviour in common. Install the "
                "same release on all nodes of a new cluster.",
            ""};
  }
  return {"", WhyUnfit(program, said.in_force(), said.in_force_release(), "this node")};
}

uint32_t Programs::Wanted(uint64_t now_ms, uint32_t in_force, const std::vector<NodeId>& others,
                          const std::function<bool(NodeId)>& is_heard) {
  uint32_t able = own_.newest;
  for (NodeId other : others) {
    const auto found = said_.find(other);
    const ProgramVersions* said = found == said_.end() ? nullptr : &found->second;
    if (in_force == 0) {
      if (said != nullptr) able = std::min(able, std::max(said->newest(), own_.oldest));
    } else if (said == nullptr || !is_heard(other)) {
      able = 0;
    } else {
      able = std::min(able, said->newest());
    }
  }
  if (able <= in_force) {
    able_ = 0;
    return 0;
  }
  if (able != able_) {
    able_ = able;
    able_ms_ = now_ms;
  }
  return in_force == 0 || now_ms >= able_ms_ + bounds::kBehaviourSettleMs ? able : 0;
}

}  // namespace holdfast::node
