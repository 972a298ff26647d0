// `holdfast <service> <method>`: one command for each method of the table.
#pragma once

#include "src/cli/commands.h"
#include "src/state_machine/registry.h"

namespace holdfast::cli {

// Adds the methods below the root's command of their service. The registry outlives the commands.
void AddMethodCommands(const state_machine::Registry& registry, Commands& commands);

}  // namespace holdfast::cli
