#include "services/chat/cli/line_editor.h"

#include <utility>

#include "src/base/bounds.h"

namespace holdfast::chat {
namespace {

constexpr char kCtrlC = 0x03;
constexpr char kCtrlD = 0x04;
constexpr char kBackspace = 0x08;
constexpr char kCtrlU = 0x15;
constexpr char kCtrlW = 0x17;
constexpr char kEscape = 0x1b;
constexpr char kDelete = 0x7f;

}  // namespace

void LineEditor::Append(char byte) {
  const auto value = static_cast<unsigned char>(byte);
  if ((value & 0xc0) != 0x80) {  // The first of a letter says how many it has.
    const size_t bytes = value < 0xc0 ? 1 : value < 0xe0 ? 2 : value < 0xf0 ? 3 : 4;
    is_full_ = line_.size() + bytes > bounds::kChatTextBytesMax;
  }
  if (!is_full_ && line_.size() < bounds::kChatTextBytesMax) line_ += byte;
}

void LineEditor::DropLetter() {
  while (!line_.empty()) {
    const bool goes_on = (static_cast<unsigned char>(line_.back()) & 0xc0) == 0x80;
    line_.pop_back();
    if (!goes_on) return;
  }
}

void LineEditor::DropWord() {
  while (!line_.empty() && line_.back() == ' ') line_.pop_back();
  while (!line_.empty() && line_.back() != ' ') line_.pop_back();
}

LineEditor::Typed LineEditor::Feed(std::string_view bytes) {
  Typed typed;
  for (const char byte : bytes) {
    if (state_ == State::kEscape) {
      state_ = byte == '[' || byte == 'O' ? State::kSequence : State::kText;
      continue;
    }
    if (state_ == State::kSequence) {
      if (byte >= 0x40 && byte != kDelete) state_ = State::kText;
      continue;
    }
    switch (byte) {
      case kEscape: state_ = State::kEscape; break;
      case '\r':
      case '\n': typed.lines.push_back(std::exchange(line_, "")); break;
      case kBackspace:
      case kDelete: DropLetter(); break;
      case kCtrlU: line_.clear(); break;
      case kCtrlW: DropWord(); break;
      case kCtrlC: typed.quit = true; break;
      case kCtrlD: typed.quit = typed.quit || line_.empty(); break;
      case '\t': Append(' '); break;
      default:
        if (static_cast<unsigned char>(byte) >= 0x20) Append(byte);
    }
  }
  return typed;
}

}  // namespace holdfast::chat
