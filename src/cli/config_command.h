// `holdfast config`: prints a configuration file, or judges one.
#pragma once

#include "src/cli/commands.h"

namespace holdfast::cli {

void AddConfigCommand(CLI::App& root, Commands& commands);

}  // namespace holdfast::cli
