#include "src/server/preflight.h"

#include <netdb.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "src/base/bounds.h"
#include "src/base/file_system.h"
#include "src/base/logging.h"

namespace holdfast {
namespace {

constexpr size_t kStrangersShown = 3;

// An address that is held as long as this object lives.
class HeldPort {
 public:
  explicit HeldPort(const Address& address) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
    std::string host = address.host;
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), std::to_string(address.port).c_str(), &hints, &found) != 0) {
      return;  // A name and no number: whoever listens knows what to do with it.
    }
    fd_ = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));  // As those that listen later.
    // Fails when somebody listens there; listening ourselves would turn callers away.
    const bool held = fd_ >= 0 && bind(fd_, found->ai_addr, found->ai_addrlen) == 0;
    if (!held) errno_ = errno;
    freeaddrinfo(found);
  }
  ~HeldPort() {
    if (fd_ >= 0) close(fd_);
  }
  HeldPort(HeldPort&& other) noexcept : fd_(std::exchange(other.fd_, -1)), errno_(other.errno_) {}
  HeldPort& operator=(HeldPort&&) = delete;

  int error() const { return errno_; }

 private:
  int fd_ = -1;
  int errno_ = 0;
};

Error Refused(std::string message, std::string hint) {
  return Error{ErrorCode::kInvalidArgument, std::move(message), "", std::move(hint), 0};
}

}  // namespace

Result<void> CheckPorts(const std::vector<Address>& addresses) {
  std::vector<HeldPort> held;
  std::string wrong;
  std::set<int> reasons;
  for (const Address& address : addresses) {
    held.emplace_back(address);
    if (const int error = held.back().error(); error != 0) {
      wrong += (wrong.empty() ? "" : "; ") + address.ToString() + ": " + std::strerror(error);
      reasons.insert(error);
    }
  }
  if (wrong.empty()) return {};
  std::string hint;
  if (reasons.contains(EADDRINUSE)) hint += "Is another node running there? ";
  if (reasons.contains(EADDRNOTAVAIL)) hint += "Not every address is one of this machine. ";
  if (reasons.contains(EACCES)) hint += "Ports below 1024 are not for everybody. ";
  return Fail(Error{ErrorCode::kUnavailable, "cannot listen on " + wrong, "",
                    hint + "Choose other addresses. Nothing was created.", 0});
}

size_t OpenFilesMax(bool raise) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (raise && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur;
}

FileShares ShareFiles(size_t files) {
  const size_t shared = files - std::min(bounds::kFilesOfStore, files / 2);
  return {.http_connections = std::min(bounds::kHttpConnectionsMax, shared / 2),
          .http_files_max = shared,
          .grpc_files_max = std::min(bounds::kGrpcFilesMax, shared / 4 * 3)};
}

Result<void> CheckDataFolder(const std::string& folder) {
  struct stat status;
  if (stat(folder.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return Fail(FileError(folder, "look at", errno));
  }
  if (!S_ISDIR(status.st_mode)) {
    return Fail(Refused(folder + " is a file", "Name a folder for the node's data."));
  }
  PosixFileSystem files;
  const auto names = files.List(folder);
  if (!names) return Fail(names.error());
  std::vector<std::string> strangers;
  bool ours = false;
  bool parts = false;
  for (const std::string& name : *names) {
    if (name == "identity") ours = true;
    if (name == "log" || name == "store") parts = true;
    // What a crash before the first identity may have left, and what every new disk holds.
    if (name != "identity.tmp" && name != "lost+found") strangers.push_back(name);
  }
  if (!ours && parts) {
    return Fail(Refused(folder + " holds a log or a store, but no identity",
                        "If files were moved, put them back. A node without its identity has "
                        "forgotten who it is."));
  }
  if (!ours && !strangers.empty()) {
    std::string shown;
    for (size_t i = 0; i < std::min(strangers.size(), kStrangersShown); ++i) {
      shown += (i == 0 ? "" : ", ") + strangers[i];
    }
    if (strangers.size() > kStrangersShown) shown += ", ...";
    return Fail(Refused(folder + " is not a node's folder and not empty (" + shown + ")",
                        "Name a new or an empty folder. Nothing was written into this one."));
  }
  const mode_t mode = status.st_mode & 07777;
  if (!ours) {
    if ((mode & 077) != 0 && chmod(folder.c_str(), 0700) != 0) {
      return Fail(FileError(folder, "make private", errno));
    }
    return {};
  }
  if ((mode & 07) != 0) {
    return Fail(Refused("everybody on this machine can look into " + folder,
                        "It holds all of the data. Close it: chmod 700 " + folder));
  }
  if ((mode & 070) != 0) {
    logging::Warn(Component::kServer, "the group of the data folder can look into it: chmod 700",
                  {{"folder", folder}});
  }
  return {};
}

}  // namespace holdfast
