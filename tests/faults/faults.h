// What can happen to a node or to the network, one kind a fault: drawn by weight, begun, kept for a
// time, ended, and what must be seen meanwhile.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/faults/arena.h"

namespace holdfast::faults {

// One fault on its way. `end` leaves every node running and the network as it was; it throws
// sim::Violation when the node did not do what it must.
struct Fault {
  std::string what;  // "node 2, the leader, is killed"
  std::function<void()> begin;
  std::chrono::milliseconds lasts{0};
  std::function<void()> end;
};

struct Kind {
  const char* name;
  unsigned weight;
  // Of the network alone: may come together with one that is not.
  bool weather;
  // Draws one; a fault without `begin` is not possible here and now.
  std::function<Fault(Arena& arena, sim::Random& random)> draw;
};

const std::vector<Kind>& Kinds();

}  // namespace holdfast::faults
