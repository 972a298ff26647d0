#include "src/cli/settings_flags.h"

#include <ostream>

#include "src/server/config_file.h"

namespace holdfast::cli {

std::shared_ptr<SettingsFlags> SettingsFlags::Add(CLI::App* command) {
  auto flags = std::make_shared<SettingsFlags>();
  command->add_option("--config", flags->file_, "A TOML file with any of the settings below")
      ->type_name("FILE");
  const Settings defaults;
  for (const Setting& setting : AllSettings()) {
    const auto take = [flags = flags.get(), &setting](const CLI::results_t& texts) {
      std::string& joined = flags->given_[&setting];
      joined.clear();
      for (const std::string& text : texts) joined += (joined.empty() ? "" : ",") + text;
      return true;  // Judged with everything else, so that all that is wrong is told at once.
    };
    std::string help = setting.help;
    const std::string unit = setting.unit.empty() ? "" : " " + setting.unit;
    if (setting.type == SettingType::kInteger) help += "; " + setting.range + unit;
    CLI::Option* option = command->add_option(setting.flag(), take, help);
    option->type_name(setting.value_name)->group("Settings [" + setting.section + "]");
    const std::string value =
        setting.default_text.empty() ? setting.get(defaults) : setting.default_text;
    if (!value.empty()) option->default_str(value);
    if (setting.type == SettingType::kList) {
      option->expected(1, static_cast<int>(bounds::kNodesMax) * 2);
    } else {
      option->expected(1);
    }
  }
  return flags;
}

Settings SettingsFlags::Read(Problems* problems) const {
  Settings settings;
  if (!file_.empty()) ReadConfigFile(file_, &settings, problems);
  for (const auto& [setting, text] : given_) {
    const size_t before = problems->size();
    Apply(*setting, text, &settings, problems);
    if (problems->size() > before) problems->back().field = setting->flag();
  }
  return settings;
}

void TellProblems(const std::string& command, const std::string& file, const Problems& problems,
                  std::ostream& err) {
  err << command << ": " << problems.size() << (problems.size() == 1 ? " thing is" : " things are")
      << " wrong" << (file.empty() ? "" : " with " + file) << "\n";
  for (const Problem& problem : problems) {
    err << "  " << problem.field << (problem.field.empty() ? "" : ": ") << problem.message << "\n";
  }
}

}  // namespace holdfast::cli
