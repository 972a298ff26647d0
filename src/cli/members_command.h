// `holdfast members`: who the members of the cluster are, and changes of that.
#pragma once

#include "src/cli/commands.h"

namespace holdfast::cli {

void AddMembersCommand(CLI::App& root, Commands& commands);

}  // namespace holdfast::cli
