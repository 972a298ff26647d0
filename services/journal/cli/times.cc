// The times that lines of logs begin with, or hold.

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <ctime>

#include "services/journal/cli/lines.h"

namespace holdfast::journal {
namespace {

constexpr int64_t kSecondUs = 1'000'000;
constexpr int64_t kTimeEndUs = 253'402'300'800 * kSecondUs;  // The year 10000.
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 5> kNames = {"time", "timestamp", "@timestamp", "ts", "t"};
constexpr size_t kNameBytesMax = 16;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Reads a text from its front.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool Take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool TakeOne(std::string_view of) {
    if (text_.empty() || of.find(text_.front()) == of.npos) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool Take(std::string_view word) {
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  // Exactly so many digits.
  bool Digits(size_t count, int* value) {
    if (text_.size() < count) return false;
    *value = 0;
    for (size_t i = 0; i < count; ++i) {
      if (!IsDigit(text_[i])) return false;
      *value = 10 * *value + (text_[i] - '0');
    }
    text_.remove_prefix(count);
    return true;
  }
  // As many digits as there are; the first six of a fraction.
  int64_t FractionUs() {
    int64_t us = 0;
    int64_t unit = kSecondUs / 10;
    for (; !text_.empty() && IsDigit(text_.front()); text_.remove_prefix(1), unit /= 10) {
      us += (text_.front() - '0') * unit;
    }
    return us;
  }
  bool Month(int* month) {
    for (size_t i = 0; i < kMonths.size(); ++i) {
      if (!Take(kMonths[i])) continue;
      *month = static_cast<int>(i) + 1;
      return true;
    }
    return false;
  }
  // "14:58:59" and a fraction.
  bool Clock(int64_t* us) {
    int hours = 0, minutes = 0, seconds = 0;
    if (!Digits(2, &hours) || !Take(':') || !Digits(2, &minutes) || !Take(':') ||
        !Digits(2, &seconds) || hours > 23 || minutes > 59 || seconds > 60) {
      return false;
    }
    *us = ((hours * 60 + minutes) * 60 + seconds) * kSecondUs;
    if (text_.size() > 1 && IsDigit(text_[1]) && TakeOne(".,")) *us += FractionUs();
    return true;
  }
  // "Z", "+01:00", "+0100", these two also behind a space; or nothing.
  bool Zone(int64_t* offset_us) {
    if (TakeOne("Zz")) {
      *offset_us = 0;
      return true;
    }
    Scanner ahead = *this;
    ahead.Take(' ');
    const bool plus = ahead.Take('+');
    int hours = 0, minutes = 0;
    if ((!plus && !ahead.Take('-')) || !ahead.Digits(2, &hours)) return false;
    ahead.Take(':');
    if (!ahead.Digits(2, &minutes) || hours > 18 || minutes > 59) return false;
    if (!ahead.text_.empty() && IsDigit(ahead.text_.front())) return false;
    *this = ahead;
    *offset_us = (hours * 60 + minutes) * 60 * kSecondUs * (plus ? 1 : -1);
    return true;
  }
  std::string_view rest() const { return text_; }

 private:
  std::string_view text_;
};

std::optional<int64_t> DayUs(int year, int month, int day) {
  const std::chrono::year_month_day date(std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  if (!date.ok() || year < 1970) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count() * 24 * 3'600 * kSecondUs;
}

// How far the zone of this machine is ahead of UTC at a time.
int64_t LocalZoneUs(int64_t utc_us) {
  const time_t seconds = utc_us / kSecondUs;
  std::tm at{};
  return localtime_r(&seconds, &at) == nullptr ? 0 : at.tm_gmtoff * kSecondUs;
}

// What a clock on the wall says in a zone that is not told. Of the hour that comes twice when
// clocks are set back always the same one, as a log that is fed again must have the same times.
int64_t FromWall(int64_t wall_us, const Untold& untold) {
  if (!untold.local) return wall_us - untold.zone_us;
  return wall_us - LocalZoneUs(wall_us - LocalZoneUs(wall_us));
}

// "2026-11-30T14:58:59.123456Z", with any offset, a space for the T, a comma for the dot.
std::optional<int64_t> ReadTime(std::string_view text, const Untold& untold) {
  Scanner scanner(text);
  int year = 0, month = 0, day = 0;
  int64_t clock = 0, zone = 0;
  if (!scanner.Digits(4, &year) || !scanner.TakeOne("-/") || !scanner.Digits(2, &month) ||
      !scanner.TakeOne("-/") || !scanner.Digits(2, &day) || !scanner.TakeOne("Tt ") ||
      !scanner.Clock(&clock)) {
    return std::nullopt;
  }
  const auto date = DayUs(year, month, day);
  if (!date) return std::nullopt;
  return scanner.Zone(&zone) ? *date + clock - zone : FromWall(*date + clock, untold);
}

// Seconds, milliseconds, microseconds or nanoseconds since 1970: by its size. A fraction is one of
// a second.
std::optional<int64_t> ParseNumber(std::string_view text) {
  int64_t whole = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (read.ec != std::errc() || whole < 0) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(read.ptr - text.data()));
  if (whole < 100'000'000'000) {  // Until the year 5138.
    Scanner scanner(text);
    return whole * kSecondUs + (scanner.Take('.') ? scanner.FractionUs() : 0);
  }
  if (whole < 100'000'000'000'000) return whole * 1'000;
  if (whole < 100'000'000'000'000'000) return whole;
  return whole / 1'000;
}

// The value of a JSON object's member of one of these names; the object may be damaged behind it.
std::optional<int64_t> TimeOfJson(std::string_view line, const Untold& untold) {
  size_t depth = 0;
  std::string_view name;  // Of the string before a colon.
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') depth -= depth > 0 ? 1 : 0;
    if (c == '"') {
      size_t end = i + 1;
      while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
      if (end >= line.size()) return std::nullopt;
      name = depth == 1 ? line.substr(i + 1, end - i - 1) : std::string_view();
      i = end;
      continue;
    }
    if (c != ':' || depth != 1 || name.empty()) continue;
    const bool is_time = name.size() <= kNameBytesMax &&
                         std::find(kNames.begin(), kNames.end(), name) != kNames.end();
    name = {};
    if (!is_time) continue;
    std::string_view value = line.substr(i + 1);
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    const bool text = value.starts_with('"');
    if (text) value.remove_prefix(1);
    if (const auto time = ReadTime(value, untold)) return time;
    if (const auto time = ParseNumber(value)) return time;
  }
  return std::nullopt;
}

// "Nov 30 14:58:59 host ...", "<13>Nov  3 14:58:59 ...".
std::optional<int64_t> TimeOfSyslog(std::string_view line, const Untold& untold) {
  Scanner scanner(line);
  int month = 0, day = 0;
  int64_t clock = 0;
  if (!scanner.Month(&month) || !scanner.Take(' ')) return std::nullopt;
  const bool one_digit = scanner.Take(' ');
  if (!scanner.Digits(one_digit ? 1 : 2, &day) || !scanner.Take(' ')) return std::nullopt;
  if (!scanner.Clock(&clock)) return std::nullopt;
  const auto in = [&](int year) -> std::optional<int64_t> {
    const auto date = DayUs(year, month, day);
    return date ? std::optional(FromWall(*date + clock, untold)) : std::nullopt;
  };
  if (untold.year != 0) return in(untold.year);
  // Logs tell of what was. Looked for as far back as there was a 29th of February.
  const std::chrono::sys_time<std::chrono::microseconds> latest(
      std::chrono::microseconds(untold.latest_us) + std::chrono::days(1));
  const auto today = std::chrono::floor<std::chrono::days>(latest);
  const int last = static_cast<int>(std::chrono::year_month_day(today).year());
  for (int year = last + 1; year >= last - 8; --year) {
    const auto time = in(year);
    if (time && *time <= latest.time_since_epoch().count()) return time;
  }
  return std::nullopt;
}

// "... [30/Nov/2026:14:58:59 +0100] "GET ...", as web servers write. Whoever asks them chooses his
// name, which comes before, and what he asks for, which comes behind the quote.
std::optional<int64_t> TimeInBrackets(std::string_view line, const Untold& untold) {
  const size_t quote = line.find(" \"");
  std::optional<int64_t> last;
  for (size_t at = line.find('['); at < quote; at = line.find('[', at + 1)) {
    Scanner scanner(line.substr(at + 1));
    int day = 0, month = 0, year = 0;
    int64_t clock = 0, zone = 0;
    if (!scanner.Digits(2, &day) || !scanner.Take('/') || !scanner.Month(&month) ||
        !scanner.Take('/') || !scanner.Digits(4, &year) || !scanner.Take(':') ||
        !scanner.Clock(&clock)) {
      continue;
    }
    const auto date = DayUs(year, month, day);
    if (!date) continue;
    last = scanner.Zone(&zone) ? *date + clock - zone : FromWall(*date + clock, untold);
    if (quote == line.npos) break;
  }
  return last;
}

// "time=2026-11-30T14:58:59Z level=...": a line that begins with a name, and of its names the first
// that is one of a time. What stands in quotes is no name.
std::optional<int64_t> TimeOfLogfmt(std::string_view line, const Untold& untold) {
  bool first = true;
  while (!line.empty()) {
    const size_t end = std::min(line.find_first_of(" =\"[({<"), line.size());
    const std::string_view name = line.substr(0, end);
    line.remove_prefix(end);
    const bool named = !name.empty() && line.starts_with('=');
    if (first && !named) return std::nullopt;
    first = false;
    if (named) line.remove_prefix(1);
    const bool quoted = line.starts_with('"');
    if (named && std::find(kNames.begin(), kNames.end(), name) != kNames.end()) {
      const std::string_view value = line.substr(quoted ? 1 : 0);
      if (const auto time = ReadTime(value, untold)) return time;
      if (const auto time = ParseNumber(value)) return time;
    }
    size_t behind = 0;
    if (quoted) {
      for (behind = 1; behind < line.size() && line[behind] != '"'; ++behind) {
        if (line[behind] == '\\') ++behind;
      }
    }
    behind = line.find(' ', std::min(behind, line.size()));
    line.remove_prefix(std::min(behind, line.size()));
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  }
  return std::nullopt;
}

// What stands before a time: "<13>1 " of syslog, or a bracket.
std::string_view WithoutPrefix(std::string_view line) {
  Scanner scanner(line);
  if (scanner.Take('<')) {
    size_t digits = 0;
    while (digits < 3 && scanner.TakeOne("0123456789")) ++digits;
    if (digits == 0 || !scanner.Take('>')) return line;
    Scanner version = scanner;
    if (version.TakeOne("123456789") && version.Take(' ')) scanner = version;
    return scanner.rest();
  }
  scanner.Take('[');
  return scanner.rest();
}

}  // namespace

std::optional<LineFormat> ParseLineFormat(std::string_view word) {
  if (word == "auto") return LineFormat::kAuto;
  if (word == "jsonl") return LineFormat::kJson;
  if (word == "syslog") return LineFormat::kSyslog;
  if (word == "holdfast") return LineFormat::kHoldfast;
  return std::nullopt;
}

std::optional<Untold> ParseZone(std::string_view word) {
  Untold untold;
  untold.local = word == "local";
  if (untold.local || word == "UTC") return untold;
  Scanner scanner(word);
  if (word.starts_with(' ') || !scanner.Zone(&untold.zone_us) || !scanner.rest().empty()) {
    return std::nullopt;
  }
  return untold;
}

std::optional<int64_t> TimeOf(std::string_view line, LineFormat format, const Untold& untold) {
  const bool all = format == LineFormat::kAuto;
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  std::optional<int64_t> time;
  if (all || format == LineFormat::kJson || format == LineFormat::kHoldfast) {
    if (line.starts_with('{')) time = TimeOfJson(line, untold);
  }
  const std::string_view front = WithoutPrefix(line);
  if (!time && format != LineFormat::kJson) time = ReadTime(front, untold);
  if (!time && (all || format == LineFormat::kSyslog)) time = TimeOfSyslog(front, untold);
  if (!time && (all || format == LineFormat::kHoldfast)) time = TimeOfLogfmt(line, untold);
  if (!time && all) time = TimeInBrackets(line, untold);
  // Zones and leap seconds lead out of the years that a journal takes, whatever the format.
  const bool taken = time && *time >= 0 && *time < kTimeEndUs;
  return taken ? time : std::nullopt;
}

std::optional<int64_t> OtherZone(std::string_view line, LineFormat format, const Untold& untold,
                                 int64_t now_us) {
  constexpr int64_t kQuarterUs = 900 * kSecondUs;
  constexpr int64_t kNearUs = 5 * kSecondUs;
  const auto time = TimeOf(line, format, untold);
  Untold other = untold;
  other.local = false;
  other.zone_us = 0;
  const auto here = TimeOf(line, format, other);
  other.zone_us = 4 * kQuarterUs;
  const auto elsewhere = TimeOf(line, format, other);
  if (!time || here == elsewhere) return std::nullopt;
  const int64_t off_us = *time - now_us;
  const int64_t quarters = (off_us + (off_us < 0 ? -1 : 1) * kQuarterUs / 2) / kQuarterUs;
  if (quarters == 0 || std::abs(quarters) > 56) return std::nullopt;
  if (std::abs(off_us - quarters * kQuarterUs) > kNearUs) return std::nullopt;
  return quarters * kQuarterUs;
}

std::optional<int64_t> ParseSpan(std::string_view text) {
  Scanner scanner(text);
  const bool minus = scanner.Take('-');
  if (!minus) scanner.Take('+');
  int64_t whole = 0;
  const std::string_view digits = scanner.rest();
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), whole);
  if (read.ec != std::errc() || digits.empty() || !IsDigit(digits.front())) return std::nullopt;
  scanner = Scanner(digits.substr(static_cast<size_t>(read.ptr - digits.data())));
  const int64_t millionths = scanner.Take('.') ? scanner.FractionUs() : 0;
  const std::string_view unit = scanner.rest();
  int64_t unit_us = 1'000;
  if (unit == "us") {
    unit_us = 1;
  } else if (unit == "s") {
    unit_us = kSecondUs;
  } else if (unit != "ms" && !unit.empty()) {
    return std::nullopt;
  }
  if (whole > 1'000'000'000'000 / unit_us) return std::nullopt;  // Eleven days.
  const int64_t us = whole * unit_us + millionths * unit_us / kSecondUs;
  return minus ? -us : us;
}

}  // namespace holdfast::journal
