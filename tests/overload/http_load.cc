#include "tests/overload/http_load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>

namespace holdfast::testing {
namespace {

using Clock = std::chrono::steady_clock;

double MsSince(Clock::time_point then) {
  return std::chrono::duration<double, std::milli>(Clock::now() - then).count();
}

struct Socket {
  int fd = -1;
  Clock::time_point due;
  Clock::time_point sent;
  std::string out;  // What the kernel has not taken yet.
  std::string in;
  bool busy = false;
};

int Connect(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    throw std::runtime_error("cannot connect to port " + std::to_string(port));
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

class Load {
 public:
  explicit Load(const LoadOptions& options) : options_(options), poll_(epoll_create1(0)) {
    if (options_.cpu >= 0) {
      cpu_set_t cpus;
      CPU_ZERO(&cpus);
      CPU_SET(options_.cpu, &cpus);
      sched_getaffinity(0, sizeof(before_), &before_);
      sched_setaffinity(0, sizeof(cpus), &cpus);
    }
    sockets_.resize(options_.connections);
    for (size_t i = 0; i < sockets_.size(); ++i) {
      sockets_[i].fd = Connect(options_.port);
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLET;
      event.data.u64 = i;
      epoll_ctl(poll_, EPOLL_CTL_ADD, sockets_[i].fd, &event);
      free_.push_back(i);
    }
  }
  ~Load() {
    for (const Socket& socket : sockets_) {
      if (socket.fd >= 0) close(socket.fd);
    }
    close(poll_);
    if (options_.cpu >= 0) sched_setaffinity(0, sizeof(before_), &before_);
  }

  LoadResult Run() {
    const auto began = Clock::now();
    end_ = began + options_.duration;
    for (auto last = began; last < end_;) {
      SendDue(began);
      Wait(1);
      result_.pause_ms = std::max(result_.pause_ms, MsSince(last));
      last = Clock::now();
    }
    result_.seconds = std::chrono::duration<double>(Clock::now() - began).count();
    const auto give_up = end_ + options_.patience;
    while (busy_ > 0 && Clock::now() < give_up) Wait(50);
    result_.lost += busy_;
    return std::move(result_);
  }

 private:
  void SendDue(Clock::time_point began) {
    if (options_.per_second == 0) {
      while (!free_.empty()) SendOne(Clock::now());
      return;
    }
    const double passed = std::chrono::duration<double>(Clock::now() - began).count();
    const auto target = static_cast<uint64_t>(passed * options_.per_second);
    while (result_.offered < target) {
      const auto due =
          began + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                      static_cast<double>(result_.offered) / options_.per_second));
      SendOne(due);
    }
  }

  void SendOne(Clock::time_point due) {
    const uint64_t number = result_.offered++;
    if (free_.empty()) {
      ++result_.unsent;
      return;
    }
    // The one that has been free for longest.
    const size_t index = free_[first_free_++];
    if (first_free_ > 4'096 || first_free_ == free_.size()) {
      free_.erase(free_.begin(), free_.begin() + static_cast<ptrdiff_t>(first_free_));
      first_free_ = 0;
    }
    Socket& socket = sockets_[index];
    socket.busy = true;
    ++busy_;
    socket.due = due;
    socket.sent = Clock::now();
    socket.out = options_.request(number);
    Write(socket);
  }

  void Write(Socket& socket) {
    while (!socket.out.empty()) {
      const ssize_t count = send(socket.fd, socket.out.data(), socket.out.size(), MSG_NOSIGNAL);
      if (count < 0) {
        if (errno != EAGAIN) End(socket);
        return;
      }
      socket.out.erase(0, static_cast<size_t>(count));
    }
  }

  void Wait(int ms) {
    epoll_event events[256];
    const int count = epoll_wait(poll_, events, 256, ms);
    for (int i = 0; i < count; ++i) {
      Socket& socket = sockets_[events[i].data.u64];
      if (socket.fd >= 0 && (events[i].events & EPOLLOUT) != 0) Write(socket);
      if (socket.fd >= 0 && (events[i].events & ~uint32_t{EPOLLOUT}) != 0) {
        Read(socket, events[i].data.u64);
      }
    }
  }

  void Read(Socket& socket, size_t index) {
    char bytes[64 << 10];
    for (;;) {
      const ssize_t count = recv(socket.fd, bytes, sizeof(bytes), 0);
      if (count < 0 && errno == EAGAIN) break;
      if (count <= 0) return End(socket);
      socket.in.append(bytes, static_cast<size_t>(count));
    }
    const size_t head = socket.in.find("\r\n\r\n");
    if (head == std::string::npos) return;
    const size_t at = socket.in.find("Content-Length: ");
    const size_t length = at < head ? std::strtoull(socket.in.c_str() + at + 16, nullptr, 10) : 0;
    if (socket.in.size() < head + 4 + length) return;
    Answered(socket);
    socket.in.clear();
    socket.busy = false;
    --busy_;
    free_.push_back(index);
  }

  void Answered(const Socket& socket) {
    const int status = std::atoi(socket.in.c_str() + 9);
    if (status / 100 == 2) {
      ++result_.accepted;
      if (Clock::now() < end_) ++result_.accepted_in_time;
      result_.accepted_ms.push_back(MsSince(socket.due));
    } else if (status == 429 && socket.in.find("\r\nRetry-After: ") != std::string::npos) {
      ++result_.refused;
      result_.refused_ms.push_back(MsSince(socket.sent));
    } else if (status == 503 || status == 504) {
      ++result_.interrupted;
    } else {
      if (result_.others++ == 0) result_.first_other = socket.in;
    }
  }

  void End(Socket& socket) {
    close(socket.fd);
    socket.fd = -1;
    if (!socket.busy) return;
    socket.busy = false;
    --busy_;
    ++result_.lost;
  }

  const LoadOptions& options_;
  const int poll_;
  cpu_set_t before_{};
  std::vector<Socket> sockets_;
  std::vector<size_t> free_;  // From first_free_ on.
  size_t first_free_ = 0;
  size_t busy_ = 0;
  Clock::time_point end_;
  LoadResult result_;
};

}  // namespace

double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<size_t>(at)];
}

LoadResult RunLoad(const LoadOptions& options) { return Load(options).Run(); }

}  // namespace holdfast::testing
