#include "services/journal/cli/lines.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "src/base/bounds.h"
#include "src/cli/terminal_text.h"

namespace holdfast::journal {
namespace {

constexpr size_t kBlockBytes = 64 << 10;
constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// A terminal does with them what the text wants.
bool IsHarmful(const cli::Letter& letter) {
  return letter.code < 0x20 || letter.code == 0x7f || cli::IsHidden(letter.code);
}

}  // namespace

std::string ToUtf8(std::string text) {
  std::string out;
  for (std::string_view rest = text; !rest.empty();) {
    const cli::Letter letter = cli::FirstLetter(rest);
    out += letter.valid ? rest.substr(0, letter.bytes) : kReplacement;
    rest.remove_prefix(letter.bytes);
  }
  return out;
}

std::string Printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const cli::Letter letter = cli::FirstLetter(text);
    const std::string_view character = text.substr(0, letter.bytes);
    text.remove_prefix(letter.bytes);
    if (!letter.valid) {
      out += kReplacement;
    } else if (character == "\t" || !IsHarmful(letter)) {
      out += character;
    } else {
      const auto code = static_cast<uint32_t>(letter.code);
      out += code < 0x100 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
    }
  }
  return out;
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const cli::Letter letter = cli::FirstLetter(text);
    const std::string_view character = text.substr(0, letter.bytes);
    text.remove_prefix(letter.bytes);
    if (!letter.valid) {
      out += kReplacement;
    } else if (character == "\"" || character == "\\") {
      out += '\\';
      out += character;
    } else if (IsHarmful(letter)) {
      const auto escape = [&out](uint32_t unit) {
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", unit);
      };
      const auto code = static_cast<uint32_t>(letter.code);
      if (code >= 0x10000) escape(0xd7c0 + (code >> 10));  // The first of a pair of surrogates.
      escape(code < 0x10000 ? code : 0xdc00 + (code & 0x3ff));
    } else {
      out += character;
    }
  }
  return out + '"';
}

// --- Reading

LineReader::~LineReader() {
  if (fd_ > STDIN_FILENO) close(fd_);
}

LineReader::LineReader(LineReader&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      name_(std::move(other.name_)),
      block_(std::move(other.block_)),
      at_(other.at_),
      text_(std::move(other.text_)),
      cut_(other.cut_),
      begun_(other.begun_),
      ended_(other.ended_) {}

Result<LineReader> LineReader::Open(const std::string& path) {
  if (path == "-") return LineReader(STDIN_FILENO);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return Fail(InvalidArgument("", "cannot open " + path + ": " + std::strerror(errno)));
  }
  return LineReader(fd, path);
}

Line LineReader::Taken() {
  Line line;
  if (text_.ends_with('\r')) text_.pop_back();
  line.cut = std::exchange(cut_, false);
  line.text = ToUtf8(std::exchange(text_, ""));
  // What replaces a byte has three.
  if (line.text.size() > bounds::kJournalBodyBytesMax) {
    size_t size = bounds::kJournalBodyBytesMax;
    while ((static_cast<unsigned char>(line.text[size]) & 0xc0) == 0x80) --size;
    line.text.resize(size);
    line.cut = true;
  }
  begun_ = false;
  return line;
}

Result<LineReader::Got> LineReader::Next(int wait_ms, Line* line) {
  using std::chrono::steady_clock;
  const auto until = steady_clock::now() + std::chrono::milliseconds(std::max(0, wait_ms));
  while (true) {
    while (at_ < block_.size()) {
      const size_t end = std::min(block_.find('\n', at_), block_.size());
      const size_t room = bounds::kJournalBodyBytesMax - text_.size();
      text_.append(block_, at_, std::min(end - at_, room));
      cut_ = cut_ || end - at_ > room;
      begun_ = true;
      at_ = end + 1;
      if (end == block_.size()) break;
      *line = Taken();
      return Got::kLine;
    }
    if (ended_) {
      if (!begun_) return Got::kEnd;
      *line = Taken();
      line->ended = false;
      return Got::kLine;
    }
    pollfd poller{fd_, POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now());
    const int left_ms = wait_ms < 0 ? -1 : std::max(0, static_cast<int>(left.count()));
    const int ready = poll(&poller, 1, left_ms);
    if (ready == 0) return Got::kNothingYet;
    if (ready < 0 && errno == EINTR) continue;
    block_.resize(kBlockBytes);
    at_ = 0;
    const ssize_t got = ready < 0 ? -1 : read(fd_, block_.data(), block_.size());
    if (got < 0 && errno == EINTR) {
      block_.clear();
      continue;
    }
    if (got < 0) {
      return Fail(InvalidArgument("", "cannot read " + name_ + ": " + std::strerror(errno)));
    }
    block_.resize(static_cast<size_t>(got));
    ended_ = got == 0;
  }
}

}  // namespace holdfast::journal
