// One simulated run: clients write and read while faults come and go; then all faults heal, and the
// group must come together again. Everything follows from the seed.
#pragma once

#include "src/raft/testing/group.h"

namespace holdfast::raft::sim {

struct ChaosReport {
  uint64_t acknowledged = 0;
  uint64_t reads_served = 0;
  uint64_t reads_refused = 0;
  uint64_t leaders = 0;
  uint64_t installs = 0;  // Of a leader's checkpoint.
  uint64_t rejoins = 0;   // Of a server that had lost its disk.
  uint64_t changes = 0;   // Of the membership.
  uint64_t steps = 0;
  uint64_t simulated_ms = 0;
  uint64_t converged_ms = 0;  // From healing until everyone has committed a final write.
};

// Throws Violation, or whatever the check handler throws.
ChaosReport RunChaos(uint64_t seed, bool trace);

}  // namespace holdfast::raft::sim
