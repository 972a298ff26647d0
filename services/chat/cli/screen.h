// What the terminal shows: two columns, arrivals and causal order, and a line to type below them.
// Pure; the bytes are plain ANSI.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include "services/chat/cli/conversation.h"

namespace holdfast::chat {

struct ScreenSize {
  size_t rows = 24;
  size_t columns = 80;
};

class Screen {
 public:
  // `title` and everything else that is given here is harmless.
  explicit Screen(std::string title) : title_(std::move(title)) {}

  void Add(const Line& line);
  // Above the line to type, until the next one.
  void Say(std::string status) { status_ = std::move(status); }
  // All of it anew, with the cursor behind what was typed.
  std::string Frame(ScreenSize size, std::string_view typed) const;

 private:
  std::string title_;
  std::string status_;
  std::deque<Line> arrivals_;  // At most kChatScreenLinesMax each.
  std::deque<Line> causal_;
};

}  // namespace holdfast::chat
