// Tells what became of a request, by its idempotency key (requests.proto). It reads the machine's
// own table, so it can say that a request was never seen; nothing else can.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "src/state_machine/registry.h"

namespace holdfast::state_machine {

// The last reply stored under a key of `method` and the names of its repeats (Machine::LastReply);
// called within a read, under the store's lock.
using StoredReply =
    std::function<std::optional<std::string>(const Method& method, const std::string& key)>;

// Adds the service. `stored` may be set up after the registry: it is not called before the machine
// is there.
void RegisterRequestsService(Registry& registry, StoredReply stored);

}  // namespace holdfast::state_machine
