// What both directions of the TCP peer link share.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <string>
#include <utility>

namespace holdfast::node {

// Read or kept for writing at once; then other events get their turn.
inline constexpr size_t kPeerBytesAtOnce = 1 << 20;

// The last colon is before the port; an IPv6 address stands in brackets.
std::pair<std::string, std::string> HostAndPort(const std::string& address);

// Whether it is one: a name or an IPv4 address of letters, digits, '.', '-' and '_', or an IPv6
// address in brackets; and a port from 1 to 65535. Whether anybody is there is another question.
bool IsHostAndPort(const std::string& address);

// A peer that is gone without a word is noticed, whether or not something is on its way to it.
void SetUpPeerSocket(boost::asio::ip::tcp::socket& socket);

}  // namespace holdfast::node
