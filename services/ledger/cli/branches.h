// `holdfast branches run`: the events of a bank's customers at its branches. A branch is a node; a
// customer's session moves from branch to branch, and sees what it has written
// (docs/consistency.md).
#pragma once

#include <string>
#include <string_view>

#include "holdfast/branches.pb.h"
#include "src/cli/commands.h"

namespace holdfast::ledger {

struct BranchesFlags {
  std::string input;
  std::string output = "-";  // "-": the standard output.
  uint32_t hold_back_ms = 0;
};

// The file as it was checked whole: every customer has its events in order, every event a branch
// that the file names and, where it moves money, an amount. An Error names the event.
Result<branches::File> ParseBranches(std::string_view json);

// Returns the exit code; kExitRefused when a customer did not see what it had written.
int RunBranches(const BranchesFlags& flags, cli::Context& context);

}  // namespace holdfast::ledger
