#include "src/base/logging.h"

#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "src/base/utc_text.h"

namespace holdfast::logging {
namespace {

constexpr std::array kComponents = {"server", "api", "node", "raft", "wal", "store", "peer"};
constexpr std::array kLevels = {"trace", "debug", "info", "warn", "error", "off"};
constexpr std::array kFormats = {"text", "logfmt", "json"};

// Between the parts of a line on their way through spdlog, which knows one text only. Parts that
// hold it lose it.
constexpr char kSeparator = '\x1f';

struct AtomicLevel {
  std::atomic<Level> value{Level::kInfo};
};
std::array<AtomicLevel, kComponents.size()> g_levels;

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kTrace: return spdlog::level::trace;
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarn: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
    case Level::kOff: return spdlog::level::off;
  }
  return spdlog::level::info;
}

Level FromSpdlog(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace: return Level::kTrace;
    case spdlog::level::debug: return Level::kDebug;
    case spdlog::level::warn: return Level::kWarn;
    case spdlog::level::err:
    case spdlog::level::critical: return Level::kError;
    default: return Level::kInfo;
  }
}

std::string Time(int64_t unix_ms) { return UtcText(unix_ms * 1'000, 3); }

void AppendEscaped(std::string_view text, std::string* out) {
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      *out += '\\';
      *out += c;
    } else if (c == '\n') {
      *out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      fmt::format_to(std::back_inserter(*out), "\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      *out += c;
    }
  }
}

void AppendQuoted(std::string_view text, std::string* out) {
  *out += '"';
  AppendEscaped(text, out);
  *out += '"';
}

// Quoted only when a reader could not tell where it ends.
void AppendLogfmt(std::string_view text, std::string* out) {
  const bool plain = !text.empty() && text.find_first_of(" =\"\\") == text.npos &&
                     std::all_of(text.begin(), text.end(), [](char c) {
                       return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
                     });
  if (plain) {
    *out += text;
  } else {
    AppendQuoted(text, out);
  }
}

// "INDEX": the place of a word in one of the tables above.
template <size_t kSize>
Result<size_t> IndexOf(const std::array<const char*, kSize>& words, std::string_view word,
                       const char* what) {
  std::string all;
  for (size_t i = 0; i < kSize; ++i) {
    if (word == words[i]) return i;
    all += (i == 0 ? "" : ", ") + std::string(words[i]);
  }
  return Fail(InvalidArgument(
      "", "'" + std::string(word.substr(0, 64)) + "' is no " + what + "; there are " + all));
}

class LineFormatter final : public spdlog::formatter {
 public:
  explicit LineFormatter(Format format) : format_(format) {}

  void format(const spdlog::details::log_msg& line, spdlog::memory_buf_t& out) override {
    std::string_view payload(line.payload.data(), line.payload.size());
    const auto next = [&payload] {
      const size_t end = std::min(payload.find(kSeparator), payload.size());
      const std::string_view part = payload.substr(0, end);
      payload.remove_prefix(std::min(end + 1, payload.size()));
      return part;
    };
    const std::string_view message = next();
    std::vector<Value> values;
    while (!payload.empty()) {
      const std::string_view name = next();
      Value value(name.substr(1), next());
      value.is_number = name.front() == '#';
      values.push_back(std::move(value));
    }
    const std::string_view name(line.logger_name.data(), line.logger_name.size());
    const auto since =
        std::chrono::duration_cast<std::chrono::milliseconds>(line.time.time_since_epoch());
    std::string text = FormatLine(format_, since.count(), FromSpdlog(line.level),
                                  name.empty() ? "server" : name, message, values);
    text += '\n';
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<formatter> clone() const override {
    return std::make_unique<LineFormatter>(format_);
  }

 private:
  const Format format_;
};

std::mutex g_mutex;
std::array<std::shared_ptr<spdlog::logger>, kComponents.size()> g_loggers;  // After Start.
std::atomic<bool> g_started{false};

}  // namespace

const char* ToString(Component component) { return kComponents[static_cast<size_t>(component)]; }
const char* ToString(Level level) { return kLevels[static_cast<size_t>(level)]; }
const char* ToString(Format format) { return kFormats[static_cast<size_t>(format)]; }

const std::vector<Component>& AllComponents() {
  static const auto* const all = [] {
    auto* components = new std::vector<Component>;
    for (size_t i = 0; i < kComponents.size(); ++i) {
      components->push_back(static_cast<Component>(i));
    }
    return components;
  }();
  return *all;
}

Result<Format> ParseFormat(std::string_view text) {
  const auto index = IndexOf(kFormats, text, "format of the log");
  if (!index) return Fail(index.error());
  return static_cast<Format>(*index);
}

Result<Levels> ParseLevels(std::string_view text, const Levels& base) {
  Levels levels = base;
  Levels named;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const size_t equals = part.find('=');
    const auto level =
        IndexOf(kLevels, equals == part.npos ? part : part.substr(equals + 1), "level of the log");
    if (!level) return Fail(level.error());
    if (equals == part.npos) {
      for (Component component : AllComponents()) levels[component] = static_cast<Level>(*level);
    } else {
      const auto component = IndexOf(kComponents, part.substr(0, equals), "component");
      if (!component) return Fail(component.error());
      named[static_cast<Component>(*component)] = static_cast<Level>(*level);
    }
    if (comma == text.npos) break;
    text.remove_prefix(comma + 1);
  }
  for (const auto& [component, level] : named) levels[component] = level;
  return levels;
}

void Start(Format format, const Levels& levels) {
  std::lock_guard lock(g_mutex);
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  const auto make = [&](const char* name) {
    auto logger = std::make_shared<spdlog::logger>(name, sink);
    logger->set_formatter(std::make_unique<LineFormatter>(format));
    logger->set_level(spdlog::level::trace);  // Enabled has decided by then.
    return logger;
  };
  for (size_t i = 0; i < kComponents.size(); ++i) g_loggers[i] = make(kComponents[i]);
  spdlog::set_default_logger(make("server"));
  g_started.store(true, std::memory_order_release);
  for (const auto& [component, level] : levels) {
    g_levels[static_cast<size_t>(component)].value = level;
  }
}

void SetLevels(const Levels& levels) {
  for (const auto& [component, level] : levels) {
    g_levels[static_cast<size_t>(component)].value = level;
  }
}

Levels CurrentLevels() {
  Levels levels;
  for (Component component : AllComponents()) {
    levels[component] = g_levels[static_cast<size_t>(component)].value;
  }
  return levels;
}

bool Enabled(Component component, Level level) {
  const auto index = static_cast<size_t>(component);
  return level >= g_levels[index].value.load(std::memory_order_relaxed);
}

void Write(Component component, Level level, std::string_view message, Values values) {
  if (!Enabled(component, level)) return;
  std::string line;
  if (!g_started.load(std::memory_order_acquire)) {
    AppendEscaped(message, &line);
    for (const Value& value : values) {
      line += ' ';
      line += value.name;
      line += '=';
      AppendLogfmt(value.text, &line);
    }
    spdlog::log(ToSpdlog(level), "{}: {}", ToString(component), line);
    return;
  }
  const auto append = [&line](std::string_view text) {
    const size_t from = line.size();
    line += text;
    std::replace(line.begin() + static_cast<std::ptrdiff_t>(from), line.end(), kSeparator, ' ');
  };
  append(message);
  for (const Value& value : values) {
    line += kSeparator;
    line += value.is_number ? '#' : '$';
    append(value.name);
    line += kSeparator;
    append(value.text);
  }
  g_loggers[static_cast<size_t>(component)]->log(ToSpdlog(level), line);
}

std::string FormatLine(Format format, int64_t unix_ms, Level level, std::string_view component,
                       std::string_view message, const std::vector<Value>& values) {
  std::string out;
  switch (format) {
    case Format::kText:
      fmt::format_to(std::back_inserter(out), "{} {:<5} {:<6} ", Time(unix_ms), ToString(level),
                     component);
      AppendEscaped(message, &out);
      break;
    case Format::kLogfmt:
      fmt::format_to(std::back_inserter(out), "time={} level={} component={} msg=", Time(unix_ms),
                     ToString(level), component);
      AppendLogfmt(message, &out);
      break;
    case Format::kJson:
      fmt::format_to(std::back_inserter(out), R"({{"time":"{}","level":"{}","component":)",
                     Time(unix_ms), ToString(level));
      AppendQuoted(component, &out);
      out += ",\"msg\":";
      AppendQuoted(message, &out);
      break;
  }
  for (const Value& value : values) {
    if (format == Format::kJson) {
      out += ',';
      AppendQuoted(value.name, &out);
      out += ':';
      value.is_number ? void(out += value.text) : AppendQuoted(value.text, &out);
    } else {
      out += ' ';
      out += value.name;
      out += '=';
      AppendLogfmt(value.text, &out);
    }
  }
  if (format == Format::kJson) out += '}';
  return out;
}

}  // namespace holdfast::logging
