// `holdfast ledger import`: replays a file of transactions, once however often it is run.
#pragma once

#include <string>

#include "src/cli/commands.h"

namespace holdfast::ledger {

// Returns the exit code. The file is read twice: first as a whole for malformed lines and the
// accounts it names, so that a bad file imports nothing, then to send it in batches.
int ImportBerka(const std::string& path, cli::Context& context);

}  // namespace holdfast::ledger
