#include "tests/faults/network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>

namespace holdfast::faults {
namespace {

constexpr int kMtu = 9'000;
// Of the packets that wait for their time. More than a second of all that the nodes can send.
constexpr size_t kDelayedMax = 100'000;

[[noreturn]] void Refused(const std::string& what) {
  throw std::runtime_error(what + ": " + strerror(errno));
}

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void SetAddress(int socket_fd, ifreq& request, unsigned long what, const std::string& address) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  inet_pton(AF_INET, address.c_str(), &in.sin_addr);
  std::memcpy(&request.ifr_addr, &in, sizeof(in));
  if (ioctl(socket_fd, what, &request) != 0) Refused("cannot give a device its address");
}

void Up(int socket_fd, ifreq& request) {
  request.ifr_flags = IFF_UP;
  if (ioctl(socket_fd, SIOCSIFFLAGS, &request) != 0) Refused("cannot switch a device on");
}

// In the namespace of the calling thread. Returns the file behind the device.
int MakeDevice(const std::string& address) {
  const int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0) Refused("/dev/net/tun");
  ifreq request{};
  std::strcpy(request.ifr_name, "net0");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (ioctl(device, TUNSETIFF, &request) != 0) Refused("cannot make a network device");
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  SetAddress(fd, request, SIOCSIFADDR, address);
  SetAddress(fd, request, SIOCSIFNETMASK, "255.255.255.0");
  request.ifr_mtu = kMtu;
  if (ioctl(fd, SIOCSIFMTU, &request) != 0) Refused("cannot set a device's packet size");
  Up(fd, request);
  ifreq loopback{};
  std::strcpy(loopback.ifr_name, "lo");
  Up(fd, loopback);
  close(fd);
  return device;
}

}  // namespace

std::string Network::Host(int place) { return "10.99.0." + std::to_string(place + 1); }

Network::Network(int nodes, uint64_t seed)
    : places_(static_cast<size_t>(nodes) + 1),
      links_(places_.size() * places_.size()),
      random_(seed) {
  places_[0].device = MakeDevice(Host(0));
  for (int node = 1; node <= nodes; ++node) {
    Place& place = places_[static_cast<size_t>(node)];
    std::exception_ptr failure;
    std::thread([&] {
      try {
        if (unshare(CLONE_NEWNET) != 0) Refused("cannot make a network namespace");
        place.device = MakeDevice(Host(node));
        // The file keeps the namespace when the thread is gone.
        place.name_space = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (place.name_space < 0) Refused("/proc/thread-self/ns/net");
      } catch (...) {
        failure = std::current_exception();
      }
    }).join();
    if (failure) std::rethrow_exception(failure);
  }
  stop_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this] { Run(); });
}

Network::~Network() {
  const uint64_t one = 1;
  if (::write(stop_, &one, sizeof(one)) == sizeof(one)) thread_.join();
  close(stop_);
  for (const Place& place : places_) {
    close(place.device);
    if (place.name_space >= 0) close(place.name_space);
  }
}

void Network::Enter(int node) const {
  if (setns(places_[static_cast<size_t>(node)].name_space, CLONE_NEWNET) != 0) {
    Refused("cannot join a network namespace");
  }
}

void Network::Set(int from, int to, const Link& link) {
  std::lock_guard lock(mutex_);
  At(from, to) = link;
}

void Network::SetBoth(int a, int b, const Link& link) {
  Set(a, b, link);
  Set(b, a, link);
}

void Network::Heal() {
  std::lock_guard lock(mutex_);
  std::fill(links_.begin(), links_.end(), Link{});
}

void Network::Deliver(int to, std::string_view packet) {
  ++carried_;
  // A device that takes no more drops the packet, as a switch would.
  if (::write(places_[static_cast<size_t>(to)].device, packet.data(), packet.size()) < 0) ++lost_;
}

void Network::Carry(int from, std::string_view packet) {
  constexpr size_t kHeaderBytes = 20;
  if (packet.size() < kHeaderBytes || (packet[0] & 0xf0) != 0x40) return;  // Not IPv4.
  const int to = static_cast<unsigned char>(packet[19]) - 1;
  if (to < 0 || static_cast<size_t>(to) >= places_.size()) return;
  Link link;
  {
    std::lock_guard lock(mutex_);
    link = At(from, to);
  }
  if (link.cut || random_.Percent(link.loss_percent)) {
    ++lost_;
    return;
  }
  for (int copy = random_.Percent(link.twice_percent) ? 2 : 1; copy > 0; --copy) {
    if (link.delay_ms_max == 0) {
      Deliver(to, packet);
    } else if (delayed_.size() < kDelayedMax) {
      const uint64_t delay_us =
          random_.Between(uint64_t{link.delay_ms_min} * 1000, uint64_t{link.delay_ms_max} * 1000);
      delayed_.push(
          {NowUs() + static_cast<int64_t>(delay_us), ++sequence_, to, std::string(packet)});
    }
  }
}

void Network::Run() {
  std::vector<pollfd> files;
  for (const Place& place : places_) files.push_back({place.device, POLLIN, 0});
  files.push_back({stop_, POLLIN, 0});
  std::array<char, kMtu> buffer;
  while ((files.back().revents & POLLIN) == 0) {
    timespec patience{1, 0};
    if (!delayed_.empty()) {
      const int64_t us = std::clamp<int64_t>(delayed_.top().due_us - NowUs(), 0, 1'000'000 - 1);
      patience = {0, us * 1000};
    }
    ppoll(files.data(), files.size(), &patience, nullptr);
    while (!delayed_.empty() && delayed_.top().due_us <= NowUs()) {
      Deliver(delayed_.top().to, delayed_.top().bytes);
      delayed_.pop();
    }
    for (size_t place = 0; place < places_.size(); ++place) {
      if ((files[place].revents & POLLIN) == 0) continue;
      for (int i = 0; i < 32; ++i) {  // So many, and then the others have their turn.
        const ssize_t size = ::read(places_[place].device, buffer.data(), buffer.size());
        if (size <= 0) break;
        Carry(static_cast<int>(place), {buffer.data(), static_cast<size_t>(size)});
      }
    }
  }
}

}  // namespace holdfast::faults
