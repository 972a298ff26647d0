// Writes of several services in one step (atomic.proto). A precondition needs nothing of its own:
// it is a write that changes nothing, and is refused where it does not hold.
#pragma once

#include "holdfast/atomic.pb.h"
#include "src/state_machine/registry.h"

namespace holdfast::state_machine {

// Adds the service. The others may follow.
void RegisterAtomicService(Registry& registry);

// --- For a service whose request stands for a list of writes

// Refuses a write that could not be carried out alone; the field is "method", or begins with
// "request.". Stateless; any thread.
Result<void> ValidateWrite(const atomic::Write& write, const Registry& registry);

// Carries out a list, each of whose writes ValidateWrite lets pass, as Execute does: when the state
// refuses one of them, nothing of any of them remains, and the reply says so. An Error names the
// path in the list; whoever called drops what was done.
Result<void> ExecuteWrites(const atomic::ExecuteRequest& request, WriteContext& context,
                           atomic::ExecuteReply* reply);

}  // namespace holdfast::state_machine
