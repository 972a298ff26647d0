// The terminal of this process, taken over for a while: it hands over every key, and shows a screen
// of its own. Given back as it was when this ends, also when a signal asks the process to.
#pragma once

#include <termios.h>

#include <memory>
#include <string>
#include <string_view>

#include "services/chat/cli/screen.h"
#include "src/base/error.h"

namespace holdfast::chat {

// One at a time; the thread that made it.
class Terminal {
 public:
  // Standard input and output must be a terminal.
  static Result<std::unique_ptr<Terminal>> Take();
  ~Terminal();
  Terminal(const Terminal&) = delete;

  ScreenSize Size() const;
  void Write(std::string_view bytes);

  // Readable when a signal has come: then look below.
  int signals() const { return pipe_[0]; }
  // Whether the process was asked to end since the last call; a change of size only wakes.
  bool AskedToEnd();

 private:
  Terminal() = default;

  termios before_{};
  int pipe_[2] = {-1, -1};
};

}  // namespace holdfast::chat
