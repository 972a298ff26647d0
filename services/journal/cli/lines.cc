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

namespace holdfast::journal {
namespace {

constexpr size_t kBlockBytes = 64 << 10;
constexpr char kReplacement[] = "\xef\xbf\xbd";

// C1, directions, ends of lines and paragraphs: a terminal does with them what the text wants.
bool IsHarmful(std::string_view character) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7f;
  if (character.size() == 2) return byte(0) == 0xc2 ? byte(1) < 0xa0 : character == "\xd8\x9c";
  if (character.size() != 3 || byte(0) != 0xe2) return false;
  if (byte(1) == 0x80)
    return byte(2) == 0x8e || byte(2) == 0x8f || (byte(2) >= 0xa8 && byte(2) <= 0xae);
  return byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9;
}

uint32_t CodeOf(std::string_view character) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(character[i]));
  };
  if (character.size() == 1) return byte(0);
  if (character.size() == 2) return (byte(0) & 0x1f) << 6 | (byte(1) & 0x3f);
  return (byte(0) & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
}

// How many bytes of valid UTF-8 `text` begins with: one character's, or 0.
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return 1;
  const size_t size = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Too long for what they say, surrogates, beyond Unicode.
  if (byte(0) == 0xe0 && byte(1) < 0xa0) return 0;
  if (byte(0) == 0xed && byte(1) >= 0xa0) return 0;
  if (byte(0) == 0xf0 && byte(1) < 0x90) return 0;
  if (byte(0) == 0xf4 && byte(1) >= 0x90) return 0;
  return size;
}

}  // namespace

std::string ToUtf8(std::string text) {
  size_t good = 0;
  while (good < text.size()) {
    const size_t size = CharacterBytes(std::string_view(text).substr(good));
    if (size == 0) break;
    good += size;
  }
  if (good == text.size()) return text;
  std::string out = text.substr(0, good);
  for (size_t i = good; i < text.size();) {
    const size_t size = CharacterBytes(std::string_view(text).substr(i));
    if (size == 0) {
      out += kReplacement;
      ++i;
    } else {
      out.append(text, i, size);
      i += size;
    }
  }
  return out;
}

std::string Printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = CharacterBytes(text);
    const std::string_view character = text.substr(0, std::max<size_t>(size, 1));
    text.remove_prefix(character.size());
    if (size == 0) {
      out += kReplacement;
    } else if (character == "\t" || !IsHarmful(character)) {
      out += character;
    } else {
      const uint32_t code = CodeOf(character);
      out += code < 0x100 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
    }
  }
  return out;
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t size = CharacterBytes(text);
    const std::string_view character = text.substr(0, std::max<size_t>(size, 1));
    text.remove_prefix(character.size());
    if (size == 0) {
      out += kReplacement;
    } else if (character == "\"" || character == "\\") {
      out += '\\';
      out += character;
    } else if (IsHarmful(character)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", CodeOf(character));
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
  return LineReader(fd);
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
      return Fail(InvalidArgument("", std::string("cannot read: ") + std::strerror(errno)));
    }
    block_.resize(static_cast<size_t>(got));
    ended_ = got == 0;
  }
}

}  // namespace holdfast::journal
