// Everything that can be set about a node, in one table. From it come the flags of `holdfast
// serve`, the TOML file, their validation, `holdfast config` and docs/reference/configuration.md. A
// new setting is a line of the table in settings.cc.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "src/server/server.h"

namespace holdfast {

// What the file and the flags say, before it is judged as a whole.
struct Settings {
  ServerConfig server;                   // Its numbers; the rest is made by ToServerConfig.
  std::string http;                      // Empty: 127.0.0.1 and 8000 + id.
  std::string grpc;                      // Empty: 127.0.0.1 and 9000 + id.
  std::vector<std::string> members;      // ID=HOST:PORT
  std::vector<std::string> ntp_servers;  // HOST or HOST:PORT
  uint32_t stop_grace_ms = 5'000;
  std::string log_format = "text";
  std::string log_level = "info";

  Settings() { server.data = "data"; }
};

// What is wrong, and where; all of it is told at once.
struct Problem {
  std::string field;    // "cluster.heartbeat_ms", or empty for the file as a whole.
  std::string message;  // With the value that was given and what is allowed.
};
using Problems = std::vector<Problem>;

enum class SettingType { kInteger, kText, kList };

struct Setting {
  std::string section;
  std::string name;
  SettingType type;
  std::string unit;          // "ms", "bytes", ...; or empty.
  std::string range;         // "50 to 60000", or the words that are allowed.
  std::string value_name;    // In --help: "MS", "HOST:PORT".
  std::string help;          // What it means; one sentence or two.
  std::string default_text;  // For what is computed; empty: the value of a default Settings.
  // From text: a flag's value, or a number or string of the file. A list's items are joined by
  // commas. Fails with what is allowed, without naming the field.
  std::function<Result<void>(const std::string& text, Settings*)> set;
  std::function<std::string(const Settings&)> get;

  std::string key() const { return section + "." + name; }
  // "--election-timeout-ms": names are unique over all sections.
  std::string flag() const;
  // As TOML: 400, "info", ["a", "b"].
  std::string TomlValue(const Settings& settings) const;
};

// In the order in which they are shown.
const std::vector<Setting>& AllSettings();
const Setting* FindSetting(const std::string& key);

// Sets one value, or adds to `problems`.
void Apply(const Setting& setting, const std::string& text, Settings* settings, Problems* problems);

// Judges the whole. Adds to `problems` what does not fit together; the result is of use only when
// there are none. `fatal` is left to the caller.
ServerConfig ToServerConfig(const Settings& settings, Problems* problems);

}  // namespace holdfast
