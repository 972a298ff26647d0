// What the journals add to the command line beside their methods.
#pragma once

#include "src/cli/commands.h"

namespace holdfast::journal {

void RegisterCommands(cli::Commands& commands);

}  // namespace holdfast::journal
