// The commands of an operator, beside those of the method table: status, top, log, backup, restore,
// verify, inspect, repair, outcome, config, completion, reference.
#pragma once

#include "src/cli/commands.h"
#include "src/state_machine/registry.h"

namespace holdfast::cli {

// Adds them all. The registry and the root outlive the commands.
void AddOperatingCommands(const state_machine::Registry& registry, CLI::App& root,
                          Commands& commands);

}  // namespace holdfast::cli
