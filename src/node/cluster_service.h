// The methods that a node answers about itself: health, status, leader.
#pragma once

#include <functional>

#include "src/node/node.h"
#include "src/state_machine/registry.h"

namespace holdfast::node {

// Adds the cluster service. `status` is asked at every call, on any thread, and may be set up after
// the registry: it is not called before the API serves.
void RegisterClusterService(state_machine::Registry& registry, std::function<NodeStatus()> status);

}  // namespace holdfast::node
