#include "tests/support/free_ports.h"

#include <netinet/in.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <stdexcept>

namespace holdfast::testing {
namespace {

constexpr uint16_t kFirst = 10'000;
constexpr int kAttemptsMax = 10'000;

uint16_t FirstOfOutgoing() {
  uint16_t first = 32'768;  // Linux's default, should it not say.
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> first;
  return first < kFirst + 5'000 ? UINT16_MAX : first;  // Where they may have any, so may we.
}

bool Bind(int fd, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

// By chance, as another test may look for its own at the same time. All are held until the last is
// found, so they differ.
std::vector<uint16_t> FreePorts(size_t count, int type) {
  std::random_device random;
  std::uniform_int_distribution<uint16_t> any(kFirst, FirstOfOutgoing() - 1);
  std::vector<uint16_t> ports;
  std::vector<int> held;
  for (int attempt = 0; ports.size() < count && attempt < kAttemptsMax; ++attempt) {
    const int fd = socket(AF_INET, type, 0);
    const uint16_t port = any(random);
    if (fd >= 0 && Bind(fd, port)) {
      held.push_back(fd);
      ports.push_back(port);
    } else if (fd >= 0) {
      close(fd);
    }
  }
  for (int fd : held) close(fd);
  if (ports.size() < count) throw std::runtime_error("no free port");
  return ports;
}

std::string FreeAddress() { return "127.0.0.1:" + std::to_string(FreePorts(1).front()); }

}  // namespace holdfast::testing
