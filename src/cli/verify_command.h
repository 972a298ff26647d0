// `holdfast verify`: whether a running cluster, or a backup, is whole.
#pragma once

#include "src/cli/commands.h"

namespace holdfast::cli {

void AddVerifyCommand(CLI::App& root, Commands& commands);

}  // namespace holdfast::cli
