// Other systems, measured by the scripts that the peers' folder brings, in the same run and on the
// same machine.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/cluster/load.h"

namespace holdfast::bench {

// What a peer's case is compared with.
struct PeerCase {
  std::string workload;
  std::string door;  // What the peer uses.
};
using PeerCases = std::map<std::string, PeerCase>;

// Runs each of `scripts` ("etcd.sh load") of `folder`, which takes minutes; what they say on the
// way goes to stderr. Empty, and says why, when there is no folder or it is called none.
std::vector<Row> MeasurePeers(const std::string& folder, const std::vector<std::string>& scripts,
                              const PeerCases& cases, int seconds);

// What the scripts print, as rows; of the known cases only.
std::vector<Row> ParsePeerRows(const std::string& text, const PeerCases& cases);

}  // namespace holdfast::bench
