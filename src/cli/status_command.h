// `holdfast status`, `top`, `clock` and `log`: what an operator asks all nodes at once.
#pragma once

#include "src/cli/commands.h"

namespace holdfast::cli {

void AddStatusCommand(CLI::App& root, Commands& commands);
void AddTopCommand(CLI::App& root, Commands& commands);
void AddClockCommand(CLI::App& root, Commands& commands);
void AddLogCommand(CLI::App& root, Commands& commands);

}  // namespace holdfast::cli
