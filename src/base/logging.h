// What the program tells its operator: lines with a level, the component they come from, a message
// and named values.
//
//   logging::Info(Component::kRaft, "leads", {{"term", term.value}, {"entry", last.value}});
//
//   2026-11-21T10:00:00.000Z info  raft   leads term=5 entry=17                        (text)
//   time=2026-11-21T10:00:00.000Z level=info component=raft msg=leads term=5 entry=17  (logfmt)
//   {"time":"2026-11-21T10:00:00.000Z","level":"info","component":"raft","msg":"leads","term":5,...
//
// Thread-safe. A line that its component's level leaves out costs one relaxed load; its values are
// built all the same, so on a hot path ask Enabled first. Values come from anywhere: control
// characters are escaped, so that one line stays one line.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "src/base/error.h"

namespace holdfast::logging {

enum class Component : uint8_t { kServer, kApi, kNode, kRaft, kWal, kStore, kPeer };
enum class Level : uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kOff };
enum class Format : uint8_t { kText, kLogfmt, kJson };

const char* ToString(Component component);
const char* ToString(Level level);
const char* ToString(Format format);
const std::vector<Component>& AllComponents();
Result<Format> ParseFormat(std::string_view text);

using Levels = std::map<Component, Level>;
// "info", "raft=debug" or "warn,raft=debug,wal=info": a level alone is for all components, whatever
// the order; what is not named stays as in `base`. Fails naming the word that is wrong and those
// that are right.
Result<Levels> ParseLevels(std::string_view text, const Levels& base);

// Sends everything to the standard error from here on, as the default logger of spdlog too, so that
// lines written by others look alike. Before the first call lines go where spdlog sends them.
void Start(Format format, const Levels& levels);
void SetLevels(const Levels& levels);
Levels CurrentLevels();

// A named value of a line.
struct Value {
  std::string_view name;
  std::string text;
  bool is_number = false;

  Value(std::string_view n, std::string t) : name(n), text(std::move(t)) {}
  Value(std::string_view n, const char* t) : name(n), text(t) {}
  Value(std::string_view n, std::string_view t) : name(n), text(t) {}
  template <class T>
  requires std::is_integral_v<T> Value(std::string_view n, T number)
      : name(n), text(std::to_string(number)), is_number(true) {}
};
using Values = std::initializer_list<Value>;

bool Enabled(Component component, Level level);
void Write(Component component, Level level, std::string_view message, Values values);

inline void Debug(Component component, std::string_view message, Values values = {}) {
  Write(component, Level::kDebug, message, values);
}
inline void Info(Component component, std::string_view message, Values values = {}) {
  Write(component, Level::kInfo, message, values);
}
inline void Warn(Component component, std::string_view message, Values values = {}) {
  Write(component, Level::kWarn, message, values);
}
inline void Err(Component component, std::string_view message, Values values = {}) {
  Write(component, Level::kError, message, values);
}

// What one line looks like, without its end; for tests.
std::string FormatLine(Format format, int64_t unix_ms, Level level, std::string_view component,
                       std::string_view message, const std::vector<Value>& values);

}  // namespace holdfast::logging

namespace holdfast {
using logging::Component;
}
