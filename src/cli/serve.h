// `holdfast serve`: runs one node until SIGINT or SIGTERM.
#pragma once

#include <CLI/CLI.hpp>

namespace holdfast::cli {

// Adds the command; running it sets `exit_code`.
void AddServeCommand(CLI::App& app, int* exit_code);

}  // namespace holdfast::cli
