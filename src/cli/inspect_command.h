// `holdfast inspect` and `holdfast repair`: what lies in the folder of a node that does not run.
#pragma once

#include "src/cli/commands.h"

namespace holdfast::cli {

void AddInspectCommand(CLI::App& root, Commands& commands);
void AddRepairCommand(CLI::App& root, Commands& commands);

}  // namespace holdfast::cli
