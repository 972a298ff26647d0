#include "services/chat/cli/view.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iostream>
#include <utility>

#include "services/chat/cli/line_editor.h"
#include "services/chat/cli/screen.h"
#include "services/chat/cli/terminal.h"
#include "src/base/bounds.h"

namespace holdfast::chat {
namespace {

constexpr size_t kReadBytes = 4'096;

// Polls; false: interrupted or nothing came.
template <size_t n>
bool Poll(std::array<pollfd, n>& files, int timeout_ms) {
  return poll(files.data(), n, timeout_ms) > 0;
}

class PlainView : public View {
 public:
  explicit PlainView(cli::Context& context) : context_(context) {
    if (&context.in() == &std::cin) return;  // Read as it comes, from the file.
    for (std::string line; std::getline(context.in(), line);) waiting_.lines.push_back(line);
    ended_ = waiting_.ended = true;
  }

  void Show(const Line& line) override {
    const auto word = [&] {
      switch (line.what) {
        case Line::What::kArrived: return "arrived  ";
        case Line::What::kRepeated: return "again    ";
        case Line::What::kShown: return "shown    ";
        case Line::What::kGap: return "gap      ";
        case Line::What::kLate: return "late     ";
      }
      return "";
    };
    context_.out() << word() << line.text << "\n";
  }
  void Say(const std::string& what) override { context_.err() << "holdfast: " << what << "\n"; }
  void Flush() override { context_.out().flush(); }

  Input Wait(int wake, bool wants_more, int timeout_ms) override {
    if (!waiting_.lines.empty()) return std::exchange(waiting_, {.ended = ended_});
    std::array<pollfd, 2> files = {pollfd{wake, POLLIN, 0},
                                   pollfd{ended_ || !wants_more ? -1 : STDIN_FILENO, POLLIN, 0}};
    if (Poll(files, timeout_ms) && files[1].revents != 0) Read();
    return std::exchange(waiting_, {.ended = ended_});
  }

 private:
  void Read() {
    std::array<char, kReadBytes> bytes;
    const ssize_t count = read(STDIN_FILENO, bytes.data(), bytes.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
    for (ssize_t i = 0; i < count; ++i) {
      const char byte = bytes[static_cast<size_t>(i)];
      if (byte == '\n') {
        waiting_.lines.push_back(std::exchange(line_, ""));
      } else if (line_.size() < kLineBytesMax) {
        line_ += byte;
      }
    }
    if (count > 0) return;
    ended_ = waiting_.ended = true;
    if (!line_.empty()) waiting_.lines.push_back(std::exchange(line_, ""));
  }

  cli::Context& context_;
  std::string line_;  // As far as it has come.
  Input waiting_;
  bool ended_ = false;
};

class TerminalView : public View {
 public:
  TerminalView(std::unique_ptr<Terminal> terminal, const std::string& title)
      : terminal_(std::move(terminal)), screen_(title) {}

  void Show(const Line& line) override { screen_.Add(line); }
  void Say(const std::string& what) override { screen_.Say(what); }
  void Flush() override {
    std::string frame = screen_.Frame(terminal_->Size(), editor_.line());
    if (frame == shown_) return;
    terminal_->Write(frame);
    shown_ = std::move(frame);
  }

  Input Wait(int wake, bool wants_more, int timeout_ms) override {
    // What is not read waits in the terminal. Ctrl-C is none of that: it comes as a signal.
    std::array<pollfd, 3> files = {pollfd{wake, POLLIN, 0},
                                   pollfd{wants_more ? STDIN_FILENO : -1, POLLIN, 0},
                                   pollfd{terminal_->signals(), POLLIN, 0}};
    Input input;
    if (!Poll(files, timeout_ms)) return input;
    if (files[2].revents != 0) input.quit = terminal_->AskedToEnd();
    if (files[1].revents == 0) return input;
    std::array<char, kReadBytes> bytes;
    const ssize_t count = read(STDIN_FILENO, bytes.data(), bytes.size());
    if (count > 0) {
      auto typed = editor_.Feed({bytes.data(), static_cast<size_t>(count)});
      input.lines = std::move(typed.lines);
      input.quit = input.quit || typed.quit;
    } else if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
      input.quit = true;  // The terminal is gone.
    }
    return input;
  }

 private:
  const std::unique_ptr<Terminal> terminal_;
  Screen screen_;
  LineEditor editor_;
  std::string shown_;
};

}  // namespace

std::unique_ptr<View> MakePlainView(cli::Context& context) {
  return std::make_unique<PlainView>(context);
}

Result<std::unique_ptr<View>> MakeTerminalView(const std::string& title) {
  auto terminal = Terminal::Take();
  if (!terminal) return Fail(terminal.error());
  return std::make_unique<TerminalView>(*std::move(terminal), title);
}

}  // namespace holdfast::chat
