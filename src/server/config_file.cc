#include "src/server/config_file.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <fstream>

#include "src/base/bounds.h"
#include "src/base/nearest.h"

namespace holdfast {
namespace {

std::string AtLine(const toml::node& node) {
  return " (line " + std::to_string(node.source().begin.line) + ")";
}

std::string DidYouMean(const std::string& word, const std::vector<std::string>& candidates) {
  const auto nearest = Nearest(word, candidates);
  return nearest ? "; did you mean " + *nearest + "?" : "";
}

// The value as the text that a flag would have, or what it has to be.
Result<std::string> TextOf(const Setting& setting, const toml::node& node) {
  switch (setting.type) {
    case SettingType::kInteger:
      if (const auto number = node.value_exact<int64_t>()) return std::to_string(*number);
      return Fail(InvalidArgument("", "must be an integer from " + setting.range));
    case SettingType::kText:
      if (const auto text = node.value_exact<std::string>()) return *text;
      return Fail(InvalidArgument("", "must be a string"));
    case SettingType::kList: break;
  }
  std::string joined;
  const toml::array* list = node.as_array();
  bool strings = list != nullptr;
  for (size_t i = 0; strings && i < list->size(); ++i) {
    const auto item = (*list)[i].value_exact<std::string>();
    strings = item.has_value();
    if (item) joined += (i == 0 ? "" : ",") + *item;
  }
  if (!strings) return Fail(InvalidArgument("", "must be a list of strings"));
  return joined;
}

void ReadSection(const std::string& section, const toml::table& table, Settings* settings,
                 Problems* problems) {
  std::vector<std::string> names;
  for (const Setting& setting : AllSettings()) {
    if (setting.section == section) names.push_back(setting.name);
  }
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    const Setting* setting = FindSetting(section + "." + name);
    if (setting == nullptr) {
      problems->push_back(
          {section + "." + name, "is no setting" + DidYouMean(name, names) + AtLine(node)});
      continue;
    }
    const auto text = TextOf(*setting, node);
    if (!text) {
      problems->push_back({setting->key(), text.error().message + AtLine(node)});
      continue;
    }
    const size_t before = problems->size();
    Apply(*setting, *text, settings, problems);
    if (problems->size() > before) problems->back().message += AtLine(node);
  }
}

// "unit ms, 50 to 60000, default 400"
std::string Facts(const Setting& setting) {
  std::string facts = setting.unit.empty() ? "" : "Unit: " + setting.unit + ". ";
  facts += (setting.type == SettingType::kInteger ? "Range: " : "Allowed: ") + setting.range + ".";
  if (!setting.default_text.empty()) facts += " Default: " + setting.default_text + ".";
  return facts;
}

void AppendWrapped(const std::string& text, std::string* out) {
  constexpr size_t kWidth = 98;
  std::istringstream words(text);
  std::string line = "#";
  for (std::string word; words >> word;) {
    if (line.size() + 1 + word.size() > kWidth) {
      *out += line + "\n";
      line = "#";
    }
    line += " " + word;
  }
  *out += line + "\n";
}

}  // namespace

void ReadConfig(const std::string& text, Settings* settings, Problems* problems) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    problems->push_back({"", "is no TOML: " + std::string(error.description()) + " (line " +
                                 std::to_string(error.source().begin.line) + ")"});
    return;
  }
  std::vector<std::string> sections;
  for (const Setting& setting : AllSettings()) {
    if (sections.empty() || sections.back() != setting.section) sections.push_back(setting.section);
  }
  for (const auto& [key, node] : parsed.table()) {
    const std::string section(key.str());
    if (std::find(sections.begin(), sections.end(), section) == sections.end()) {
      std::string hint = DidYouMean(section, sections);
      for (const Setting& setting : AllSettings()) {
        if (setting.name == section) hint = "; did you mean " + setting.key() + "?";
      }
      problems->push_back({section, "is no section" + hint + AtLine(node)});
    } else if (const toml::table* table = node.as_table()) {
      ReadSection(section, *table, settings, problems);
    } else {
      problems->push_back({section, "must be a section, [" + section + "]" + AtLine(node)});
    }
  }
}

void ReadConfigFile(const std::string& path, Settings* settings, Problems* problems) {
  std::ifstream file(path, std::ios::binary);
  std::string text(bounds::kConfigFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (!file.eof() && text.size() <= bounds::kConfigFileBytesMax) {
    problems->push_back({"", path + " cannot be read"});
  } else if (text.size() > bounds::kConfigFileBytesMax) {
    problems->push_back(
        {"", path + " is longer than " + std::to_string(bounds::kConfigFileBytesMax) + " bytes"});
  } else {
    ReadConfig(text, settings, problems);
  }
}

std::string DefaultConfigText() {
  std::string out =
      "# Configuration of a Holdfast node. Every setting is shown with its default; flags of\n"
      "# `holdfast serve` go over what stands here. Check it: holdfast config --check FILE\n";
  const Settings defaults;
  std::string section;
  for (const Setting& setting : AllSettings()) {
    if (setting.section != section) {
      section = setting.section;
      out += "\n[" + section + "]\n";
    }
    out += "\n";
    AppendWrapped(setting.help + ".", &out);
    AppendWrapped(Facts(setting), &out);
    out += "# " + setting.name + " = " + setting.TomlValue(defaults) + "\n";
  }
  return out;
}

std::string EffectiveConfigText(const Settings& settings) {
  Settings shown = settings;
  Problems ignored;
  const ServerConfig config = ToServerConfig(settings, &ignored);
  shown.http = config.http.ToString();
  shown.grpc = config.grpc.ToString();
  std::string out;
  std::string section;
  for (const Setting& setting : AllSettings()) {
    if (setting.section != section) {
      out += (section.empty() ? "[" : "\n[") + setting.section + "]\n";
      section = setting.section;
    }
    out += setting.name + " = " + setting.TomlValue(shown) + "\n";
  }
  return out;
}

std::string ConfigReference() {
  std::string out =
      "# Configuration\n\n"
      "Generated by `holdfast reference`; do not edit.\n\n"
      "`holdfast serve --config FILE` reads TOML; a flag goes over the file. `holdfast config` "
      "prints a file with all defaults, `holdfast config --check FILE` tells all that is wrong "
      "with one, `holdfast config --config FILE` prints the values in effect.\n";
  const Settings defaults;
  std::string section;
  for (const Setting& setting : AllSettings()) {
    if (setting.section != section) {
      section = setting.section;
      out += "\n## [" + section +
             "]\n\n| key | flag | default | unit | allowed | meaning |\n"
             "|---|---|---|---|---|---|\n";
    }
    const std::string value = setting.default_text.empty() ? "`" + setting.TomlValue(defaults) + "`"
                                                           : setting.default_text;
    out += "| `" + setting.name + "` | `" + setting.flag() + "` | " + value + " | " + setting.unit +
           " | " + setting.range + " | " + setting.help + " |\n";
  }
  return out;
}

}  // namespace holdfast
