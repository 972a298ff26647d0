// How a conversation is shown and typed into: on a terminal of its own, or as plain lines.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "services/chat/cli/conversation.h"
#include "src/base/bounds.h"
#include "src/cli/commands.h"

namespace holdfast::chat {

// Of a line that is typed: a command and a text. A longer one is cut to this, and refused.
inline constexpr size_t kLineBytesMax = 2 * bounds::kChatTextBytesMax;

// One thread.
class View {
 public:
  struct Input {
    std::vector<std::string> lines;
    bool ended = false;  // Nothing more will be typed.
    bool quit = false;   // Whoever sits there wants to go.
  };

  virtual ~View() = default;
  virtual void Show(const Line& line) = 0;
  // Something that is no message: a refusal, a node that does not answer. Harmless.
  virtual void Say(const std::string& what) = 0;
  // What was shown is to be seen by now.
  virtual void Flush() = 0;
  // Waits for `wake` to be readable, or for input if more is wanted, for so long at most (-1: for
  // ever); what was typed.
  virtual Input Wait(int wake, bool wants_more, int timeout_ms) = 0;
};

// Each line with a word of what it is: arrived, again, shown, gap or late.
std::unique_ptr<View> MakePlainView(cli::Context& context);
// Two columns. Failure: there is no terminal.
Result<std::unique_ptr<View>> MakeTerminalView(const std::string& title);

}  // namespace holdfast::chat
