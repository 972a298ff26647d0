// What the rounds add to the command line beside their methods.
#pragma once

#include "src/cli/commands.h"

namespace holdfast::rounds {

void RegisterCommands(cli::Commands& commands);

}  // namespace holdfast::rounds
