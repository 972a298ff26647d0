// What the service adds to the command line.
#pragma once

#include "src/cli/commands.h"

namespace holdfast::chat {

void RegisterCommands(cli::Commands& commands);

}  // namespace holdfast::chat
