// TOML text -> settings -> text -> settings.
#include "fuzz/input.h"
#include "src/base/bounds.h"
#include "src/server/config_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (text.size() > holdfast::bounds::kConfigFileBytesMax) return 0;
  Settings settings;
  Problems problems;
  ReadConfig(text, &settings, &problems);
  ToServerConfig(settings, &problems);
  if (!problems.empty()) return 0;
  const std::string effective = EffectiveConfigText(settings);
  Settings again;
  ReadConfig(effective, &again, &problems);
  HOLDFAST_CHECK(problems.empty(), "does not read what it wrote: " + problems.front().field + " " +
                                       problems.front().message + "\n" + effective);
  HOLDFAST_CHECK(EffectiveConfigText(again) == effective, "settings that change:\n" + effective);
  return 0;
}
