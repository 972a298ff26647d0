// The reference pages, made from the method table, the errors and the settings: docs/reference/.
// No state; any thread.
#pragma once

#include <map>
#include <string>

#include "src/cli/commands.h"
#include "src/state_machine/registry.h"

namespace holdfast::cli {

// File name -> text: README.md, a page for each service, errors.md, configuration.md.
std::map<std::string, std::string> ReferencePages(const state_machine::Registry& registry);

// `holdfast reference --out FOLDER`. The registry outlives the command.
void AddReferenceCommand(const state_machine::Registry& registry, CLI::App& root,
                         Commands& commands);

}  // namespace holdfast::cli
