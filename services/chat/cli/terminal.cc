#include "services/chat/cli/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace holdfast::chat {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGABRT};
constexpr char kEnter[] = "\x1b[?1049h\x1b[2J";  // A screen of its own, empty.
constexpr char kLeave[] = "\x1b[0m\x1b[?1049l";  // The one before.
constexpr int kWriteMsMax = 1'000;               // For a terminal that takes nothing.

int signal_pipe = -1;  // Where the handler writes; of the one Terminal.
std::array<struct sigaction, kSignals.size()> actions_before;

termios settings_before;

// The program breaks off: whoever sat there goes on with the shell, on its screen.
void OnAbort() {
  if (write(STDOUT_FILENO, kLeave, sizeof(kLeave) - 1) < 0) {
    // The terminal is gone.
  }
  tcsetattr(STDIN_FILENO, TCSANOW, &settings_before);
  signal(SIGABRT, SIG_DFL);
  raise(SIGABRT);
}

void OnSignal(int number) {
  if (number == SIGABRT) return OnAbort();
  const int error = errno;
  const char byte = static_cast<char>(number);
  if (write(signal_pipe, &byte, 1) < 0) {
    // The pipe is full: whoever reads it is woken anyway.
  }
  errno = error;
}

Error Failed(const char* what) {
  return Error{ErrorCode::kInvalidArgument, std::string(what) + ": " + std::strerror(errno), "",
               "use --plain", 0};
}

}  // namespace

Result<std::unique_ptr<Terminal>> Terminal::Take() {
  std::unique_ptr<Terminal> terminal(new Terminal());
  if (pipe2(terminal->pipe_, O_CLOEXEC | O_NONBLOCK) != 0) return Fail(Failed("pipe"));
  if (tcgetattr(STDIN_FILENO, &terminal->before_) != 0) return Fail(Failed("no terminal"));
  signal_pipe = terminal->pipe_[1];
  settings_before = terminal->before_;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction action {};
    // It does not stop: a shell would come back to a terminal that is not its own.
    action.sa_handler = kSignals[i] == SIGTSTP ? SIG_IGN : OnSignal;
    sigemptyset(&action.sa_mask);
    sigaction(kSignals[i], &action, &actions_before[i]);
  }
  termios raw = terminal->before_;
  cfmakeraw(&raw);
  raw.c_lflag |= ISIG;  // Ctrl-C is a signal, which comes also while no keys are read.
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) return Fail(Failed("no terminal"));
  terminal->Write(kEnter);
  return terminal;
}

Terminal::~Terminal() {
  if (signal_pipe >= 0) {
    Write(kLeave);
    tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    for (size_t i = 0; i < kSignals.size(); ++i) {
      sigaction(kSignals[i], &actions_before[i], nullptr);
    }
    signal_pipe = -1;
  }
  for (const int end : pipe_) {
    if (end >= 0) close(end);
  }
}

ScreenSize Terminal::Size() const {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
    return {};
  }
  return {size.ws_row, size.ws_col};
}

void Terminal::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written > 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    if (written < 0 && errno == EINTR) continue;
    pollfd wait{STDOUT_FILENO, POLLOUT, 0};
    const bool full = written < 0 && errno == EAGAIN;
    if (!full || poll(&wait, 1, kWriteMsMax) <= 0) return;  // It is gone, or shows no more.
  }
}

bool Terminal::AskedToEnd() {
  bool asked = false;
  for (char number; read(pipe_[0], &number, 1) == 1;) asked = asked || number != SIGWINCH;
  return asked;
}

}  // namespace holdfast::chat
