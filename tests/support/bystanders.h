// Who else uses the machine: where others take a good part of it, a measured rate says nothing
// about the cluster.
#pragma once

#include <cstdint>

#include "tests/support/process_cluster.h"

namespace holdfast::testing {

// How much of the machine's time went to processes that are neither this test nor its cluster. What
// a node has used counts for as long as its process runs.
class Bystanders {
 public:
  explicit Bystanders(const ProcessCluster& cluster);
  double Share() const;  // Since construction, 0 to 1.

 private:
  struct Ticks {
    uint64_t all = 0, busy = 0, ours = 0;
  };
  Ticks Now() const;

  const ProcessCluster& cluster_;
  const Ticks before_;
};

}  // namespace holdfast::testing
