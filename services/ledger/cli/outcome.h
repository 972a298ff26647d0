// `holdfast outcome --transfer ID`: what became of a transfer, hold, transaction or reversal.
#pragma once

#include <string>

#include "src/cli/commands.h"

namespace holdfast::ledger {

// Returns the exit code.
int TransferOutcomeById(cli::Context& context, const std::string& id);

}  // namespace holdfast::ledger
