// Writes of several services in one step (atomic.proto). A precondition needs nothing of its own:
// it is a write that changes nothing, and is refused where it does not hold.
#pragma once

#include <google/protobuf/arena.h>

#include <span>
#include <string_view>
#include <vector>

#include "holdfast/atomic.pb.h"
#include "src/state_machine/registry.h"

namespace holdfast::state_machine {

// Adds the service. The others may follow.
void RegisterAtomicService(Registry& registry);

// --- For a service whose request stands for a list of writes

// One of them: a write of the registry, and a request of its type that its `validate` lets pass.
struct ListedWrite {
  std::string_view name;  // As the caller calls the method.
  const Method* method = nullptr;
  const Message* request = nullptr;
};

// Carries out a list as Execute does: when the state refuses one of them, nothing of any of them
// remains, and the reply says so. `replies` are those of the results, in the arena. An Error names
// the path in the list; whoever called drops what was done.
Result<void> ExecuteWrites(std::span<const ListedWrite> writes, WriteContext& context,
                           google::protobuf::Arena& arena, atomic::ExecuteReply* reply,
                           std::vector<const Message*>* replies);

}  // namespace holdfast::state_machine
