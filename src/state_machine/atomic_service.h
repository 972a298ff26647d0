// Writes of several services in one step (atomic.proto). A precondition needs nothing of its own:
// it is a write that changes nothing, and is refused where it does not hold.
#pragma once

#include "src/state_machine/registry.h"

namespace holdfast::state_machine {

// Adds the service. The others may follow.
void RegisterAtomicService(Registry& registry);

}  // namespace holdfast::state_machine
