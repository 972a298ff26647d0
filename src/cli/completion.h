// `holdfast completion bash|zsh|fish`: scripts made from the tree of commands. No state; any
// thread.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "src/cli/commands.h"

namespace holdfast::cli {

// Options of the root may stand behind every command and are offered there as well.
std::string BashCompletion(const CLI::App& root);
std::string ZshCompletion(const CLI::App& root);
std::string FishCompletion(const CLI::App& root);

void AddCompletionCommand(CLI::App& root, Commands& commands);

}  // namespace holdfast::cli
