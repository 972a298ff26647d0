// `holdfast backup` and `holdfast restore`.
#pragma once

#include "src/cli/commands.h"

namespace holdfast::cli {

void AddBackupCommand(CLI::App& root, Commands& commands);
void AddRestoreCommand(CLI::App& root, Commands& commands);

}  // namespace holdfast::cli
