#include "src/cli/config_command.h"

#include <ostream>

#include "src/cli/exit_codes.h"
#include "src/cli/settings_flags.h"
#include "src/server/config_file.h"

namespace holdfast::cli {
namespace {

int Check(Context& context, const std::string& file) {
  Problems problems;
  Settings settings;
  ReadConfigFile(file, &settings, &problems);
  ToServerConfig(settings, &problems);
  if (!problems.empty()) {
    TellProblems("holdfast config", file, problems, context.err());
    return kExitUsage;
  }
  context.out() << file << " is fine\n";
  return kExitOk;
}

int Show(Context& context, const SettingsFlags& flags) {
  Problems problems;
  const Settings settings = flags.Read(&problems);
  ToServerConfig(settings, &problems);
  if (!problems.empty()) {
    TellProblems("holdfast config", flags.file(), problems, context.err());
    return kExitUsage;
  }
  context.out() << EffectiveConfigText(settings);
  return kExitOk;
}

}  // namespace

void AddConfigCommand(CLI::App& root, Commands& commands) {
  CLI::App* config = root.add_subcommand("config", "Show or check the configuration of a node");
  auto check = std::make_shared<std::string>();
  config->add_option("--check", *check, "Tell all that is wrong with a file, and nothing else")
      ->type_name("FILE");
  auto flags = SettingsFlags::Add(config);
  config->footer(
      "Examples:\n"
      "  holdfast config > holdfast.toml          a file with every setting, its meaning and "
      "default\n"
      "  holdfast config --check holdfast.toml    exit code 2 when something is wrong with it\n"
      "  holdfast config --config holdfast.toml   the values that `serve` would use");
  commands.OnRun(config, [config, check, flags](Context& context) {
    if (!check->empty()) return Check(context, *check);
    if (config->count_all() > 1) return Show(context, *flags);  // Any option beside the command.
    context.out() << DefaultConfigText();
    return static_cast<int>(kExitOk);
  });
}

}  // namespace holdfast::cli
