#include "src/node/tcp_socket.h"

#include <absl/strings/ascii.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "src/base/bounds.h"

namespace holdfast::node {

namespace asio = boost::asio;
using asio::ip::tcp;

std::pair<std::string, std::string> HostAndPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return {host, colon == std::string::npos ? "" : address.substr(colon + 1)};
}

bool IsHostAndPort(const std::string& address) {
  constexpr size_t kHostBytesMax = 253;  // Of a name, as DNS has it.
  constexpr size_t kPortBytesMax = 5;
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return false;
  const std::string_view host = std::string_view(address).substr(0, colon);
  const std::string_view port = std::string_view(address).substr(colon + 1);
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  const bool is_port = error == std::errc() && end == port.data() + port.size() && number > 0;
  if (!is_port || port.size() > kPortBytesMax) return false;
  if (host.empty() || host.size() > kHostBytesMax) return false;
  if (host.front() == '[') {
    boost::system::error_code wrong;
    asio::ip::make_address_v6(HostAndPort(address).first, wrong);
    return !wrong && host.back() == ']';
  }
  const auto in_a_name = [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
  };
  return std::all_of(host.begin(), host.end(), in_a_name) && absl::ascii_isalnum(host.front());
}

void SetUpPeerSocket(tcp::socket& socket) {
  boost::system::error_code ignored;
  socket.non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const auto set = [&socket](int option, int value) {
    setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof(value));
  };
  set(TCP_KEEPIDLE, bounds::kPeerSilentMsMax / 2'000);
  set(TCP_KEEPINTVL, 1);
  set(TCP_USER_TIMEOUT, bounds::kPeerSilentMsMax);
  // A few small frames are under way at most times. What is lost of them is sent again at an even
  // pace, not at a doubling one: on a lossy network that pause would soon be an election timeout.
  set(TCP_THIN_LINEAR_TIMEOUTS, 1);
}

}  // namespace holdfast::node
