// The flags of `serve` and `config`: --config FILE, and one for each line of the table of settings.
#pragma once

#include <CLI/CLI.hpp>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "src/server/settings.h"

namespace holdfast::cli {

// What was given for one command. Lives as long as the command.
class SettingsFlags {
 public:
  // Adds the options to `command`.
  static std::shared_ptr<SettingsFlags> Add(CLI::App* command);

  const std::string& file() const { return file_; }
  // The defaults, the file over them, the flags over that. What is wrong goes to `problems`.
  Settings Read(Problems* problems) const;

 private:
  std::string file_;
  std::map<const Setting*, std::string> given_;
};

// "holdfast serve: 2 things are wrong" and a line for each.
void TellProblems(const std::string& command, const std::string& file, const Problems& problems,
                  std::ostream& err);

}  // namespace holdfast::cli
