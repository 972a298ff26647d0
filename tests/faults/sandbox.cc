#include "tests/faults/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace holdfast::faults {
namespace {

std::atomic<pid_t> g_inside{0};

void Forward(int signal) { kill(g_inside.load(), signal); }

bool Write(const char* path, const std::string& text) {
  std::ofstream out(path);
  out << text;
  return out.flush().good();
}

// What was refused; empty: nothing.
std::string Enter() {
  const auto refused = [](const char* what) { return std::string(what) + ": " + strerror(errno); };
  const uid_t user = geteuid();
  const gid_t group = getegid();
  int flags = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID;
  if (user != 0) flags |= CLONE_NEWUSER;
  if (unshare(flags) != 0) return refused("namespaces are not permitted here");
  if (user != 0 && !(Write("/proc/self/setgroups", "deny") &&
                     Write("/proc/self/uid_map", "0 " + std::to_string(user) + " 1") &&
                     Write("/proc/self/gid_map", "0 " + std::to_string(group) + " 1"))) {
    return refused("user namespaces are not permitted here");
  }
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return refused("mounts are not permitted here");
  }
  const int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (tun < 0) return refused("no network devices here (/dev/net/tun)");
  close(tun);
  return "";
}

}  // namespace

int RunInSandbox(const std::function<int()>& body, std::string* why) {
  *why = Enter();
  if (!why->empty()) return -1;
  // The first process of a process namespace takes all others with it when it ends.
  const pid_t inside = fork();
  if (inside < 0) {
    *why = std::string("cannot start a process: ") + strerror(errno);
    return -1;
  }
  if (inside == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(body());
  }
  g_inside = inside;
  signal(SIGTERM, Forward);
  signal(SIGINT, SIG_IGN);  // From a terminal it reaches the process inside as well.
  int status = 0;
  while (waitpid(inside, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace holdfast::faults
