// The configuration file: TOML, read into Settings and written from them.
#pragma once

#include <string>

#include "src/server/settings.h"

namespace holdfast {

// Sets what the text names. What is wrong goes to `problems`, with its line: no TOML, unknown
// sections and keys (with the one that was probably meant), values out of range.
void ReadConfig(const std::string& text, Settings* settings, Problems* problems);
// The same from a file; one that cannot be read is a problem too.
void ReadConfigFile(const std::string& path, Settings* settings, Problems* problems);

// A file with every setting, its meaning, unit, range and default; all commented out.
std::string DefaultConfigText();
// A file with the values as they are.
std::string EffectiveConfigText(const Settings& settings);
// docs/reference/configuration.md
std::string ConfigReference();

}  // namespace holdfast
