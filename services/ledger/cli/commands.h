// What the ledger adds to the command line beside its methods.
#pragma once

#include "src/cli/commands.h"

namespace holdfast::ledger {

void RegisterCommands(cli::Commands& commands);

}  // namespace holdfast::ledger
