// Lines of log files as they are: of any length, with any bytes, with and without a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/error.h"

namespace holdfast::journal {

struct Line {
  std::string text;   // UTF-8: what was none is replaced. Without the end of the line.
  bool cut = false;   // It was longer than a record's body may be.
  bool ended = true;  // False: what was read ends before it does, so it may only be a part.
};

// Reads a file descriptor line by line; a pipe as well. One thread. Memory: one line and a block.
class LineReader {
 public:
  enum class Got { kLine, kNothingYet, kEnd };

  // Takes the descriptor; closes it at the end unless it is the standard input. `name` is what
  // Errors call it.
  explicit LineReader(int fd, std::string name = "the standard input")
      : fd_(fd), name_(std::move(name)) {}
  ~LineReader();
  LineReader(LineReader&& other) noexcept;
  LineReader(const LineReader&) = delete;

  // "-" is the standard input. An Error says what the system says.
  static Result<LineReader> Open(const std::string& path);

  // Waits for at most so long, however slowly a line comes; below 0: until there is one. A last
  // line without an end is one that has not ended.
  Result<Got> Next(int wait_ms, Line* line);

 private:
  Line Taken();

  int fd_;
  std::string name_;
  std::string block_;
  size_t at_ = 0;     // Of the block.
  std::string text_;  // Of the line so far, at most as long as a body.
  bool cut_ = false;  // There was more.
  bool begun_ = false;
  bool ended_ = false;
};

enum class LineFormat {
  kAuto,      // Each line as what it looks like.
  kJson,      // An object with a member time, timestamp, @timestamp, ts or t.
  kSyslog,    // RFC 5424, RFC 3164 and what daemons write: "Nov 30 14:58:59 host ...".
  kHoldfast,  // A node's own log: text, logfmt or JSON.
};
std::optional<LineFormat> ParseLineFormat(std::string_view word);

// What is taken of times that do not say it themselves.
struct Untold {
  int year = 0;  // 0: the last one in which the time is not a day after `latest_us`.
  int64_t latest_us = 0;
  bool local = false;   // The zone is this machine's; else ...
  int64_t zone_us = 0;  // ... so far ahead of UTC.
};
// "local", "UTC", "+01:00".
std::optional<Untold> ParseZone(std::string_view word);
inline constexpr char kZoneWrong[] = "must be local, UTC or such as +01:00";

// When the line says that it was written, in microseconds since 1970 and before the year 10000.
// Whatever else the line holds, it is looked at to a bounded depth.
std::optional<int64_t> TimeOf(std::string_view line, LineFormat format, const Untold& untold);

// By how much a time that a line has just been written with is off `now_us`, if by a quarter of an
// hour or several, as of another zone, and the line names none. Of old lines one in ninety is, too.
std::optional<int64_t> OtherZone(std::string_view line, LineFormat format, const Untold& untold,
                                 int64_t now_us);

// "120ms", "-1.5s", "250us" or "3": milliseconds. In microseconds.
std::optional<int64_t> ParseSpan(std::string_view text);

// Bytes that are no UTF-8 replaced by U+FFFD.
std::string ToUtf8(std::string text);
// For a terminal: control characters as \x1b, and those that turn the direction of what follows or
// end a line as \u202e, so that one line stays one line and reads as it is. Takes any bytes.
std::string Printable(std::string_view text);
// A JSON string with its quotes; the same characters escaped. Takes any bytes.
std::string Quoted(std::string_view text);

}  // namespace holdfast::journal
