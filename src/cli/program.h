// The program `holdfast`: its commands from the method table, and what others add to them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "src/cli/commands.h"
#include "src/state_machine/registry.h"

namespace holdfast::cli {

// Adds commands that do not come from the method table; such as `serve` sets `exit_code` itself.
using Extend = std::function<void(CLI::App& root, Commands& commands, int* exit_code)>;

// Runs one command line (without the program's name) and returns its exit code. One thread.
int RunProgram(const state_machine::Registry& registry, const Extend& extend,
               std::vector<std::string> arguments, Streams streams);

}  // namespace holdfast::cli
