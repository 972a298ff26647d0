// How --help looks. No state; any thread.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/cli/arguments.h"
#include "src/state_machine/registry.h"

namespace holdfast::cli {

// Two columns, wrapped to a terminal's width, each option under its main name only.
class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
};

// "ledger create-transfer"; a method of its service's name is the service's command itself.
std::string CommandWords(const state_machine::Method& method);

// What an example of a method has beside what the options of its fields require: what its own rules
// ask for by name ("text: must not be empty").
FieldNames MoreOfSample(const state_machine::Method& method);

// Below the flags of a method: examples, the same over HTTP, and how it may end.
std::string MethodFooter(const state_machine::Method& method, const std::string& command);

}  // namespace holdfast::cli
