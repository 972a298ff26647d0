// One simulated run: clients and faults, then all faults heal, and the cluster must come together
// again, agree with the reference models and with what every client was told.
#pragma once

#include <map>
#include <string>

#include "sim/recipe.h"

namespace holdfast::sim {

struct Report {
  uint64_t hash = 0;  // Of all that happened: equal for equal seeds.
  uint64_t simulated_ms = 0;
  uint64_t steps = 0;
  uint64_t writes = 0;  // Acknowledged.
  uint64_t reads = 0;
  uint64_t entries = 0;
  uint64_t abandoned = 0;  // Writes that nobody waited for any more.
  uint64_t leaders = 0;
  uint64_t starts = 0;
  uint64_t installs = 0;  // Of a leader's checkpoint.
  uint64_t frames = 0;
  uint64_t clock_looks = 0;    // At what nodes said about the true time ...
  uint64_t clock_excused = 0;  // ... that was wrong, as too many clocks lied to them.
  uint64_t stamps_judged = 0;
  uint64_t true_logs = 0;     // All of whose entries were stamped with the true time.
  uint64_t converged_ms = 0;  // From healing until all nodes were level.
  std::map<std::string, uint64_t> faults;
  std::map<std::string, uint64_t> reached;  // Rare branches (src/base/reached.h), when they count.
};

// Throws Violation. A testing::StopThrows must live meanwhile. Thread-safe.
Report Run(const Recipe& recipe, uint64_t seed, bool trace);

}  // namespace holdfast::sim
