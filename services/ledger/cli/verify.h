// `holdfast ledger verify`: does the ledger of a live cluster add up? See replay.h for what is
// checked. Works while payments go on: each account is compared at its own last entry.
#pragma once

#include "src/cli/commands.h"

namespace holdfast::ledger {

// Returns the exit code: 0 when everything is as it should be, 1 when not.
int Verify(cli::Context& context);

}  // namespace holdfast::ledger
