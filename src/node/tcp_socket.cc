#include "src/node/tcp_socket.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

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
