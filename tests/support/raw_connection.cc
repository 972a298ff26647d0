#include "tests/support/raw_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace holdfast::testing {
namespace {

using Clock = std::chrono::steady_clock;

// Parses `text` as one response; false while it is not complete.
bool ParseReply(const std::string& text, bool ended, HttpReply* reply) {
  const size_t head_end = text.find("\r\n\r\n");
  if (head_end == std::string::npos || !text.starts_with("HTTP/1.1 ")) return false;
  reply->headers.clear();
  for (size_t at = text.find("\r\n") + 2; at < head_end;) {
    const size_t end = text.find("\r\n", at);
    const size_t colon = text.find(": ", at);
    if (colon < end) {
      std::string name = text.substr(at, colon - at);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      reply->headers[name] = text.substr(colon + 2, end - colon - 2);
    }
    at = end + 2;
  }
  reply->body = text.substr(head_end + 4);
  const auto length = reply->headers.find("content-length");
  if (length != reply->headers.end()) {
    const size_t bytes = std::strtoull(length->second.c_str(), nullptr, 10);
    if (reply->body.size() < bytes) return false;
    reply->body.resize(bytes);
  } else if (!ended) {
    return false;
  }
  reply->status = std::atoi(text.c_str() + 9);
  return true;
}

}  // namespace

RawConnection::RawConnection(uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket_ < 0 ||
      connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    close(socket_);
    throw std::runtime_error("cannot connect to port " + std::to_string(port));
  }
}

RawConnection::~RawConnection() {
  if (socket_ >= 0) close(socket_);
}

bool RawConnection::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void RawConnection::Reset() {
  const linger now{1, 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(std::exchange(socket_, -1));
}

void RawConnection::FinishSending() { shutdown(socket_, SHUT_WR); }

bool RawConnection::ReadSome(Clock::time_point until, bool* timed_out) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
  pollfd wait{socket_, POLLIN, 0};
  *timed_out = poll(&wait, 1, static_cast<int>(std::max<int64_t>(left.count(), 0))) <= 0;
  if (*timed_out) return false;
  char bytes[16 << 10];
  const ssize_t got = recv(socket_, bytes, sizeof(bytes), 0);
  if (got <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(got));
  return true;
}

std::string RawConnection::ReadToEnd(std::chrono::milliseconds patience, bool* closed) {
  const auto until = Clock::now() + patience;
  bool timed_out = false;
  while (ReadSome(until, &timed_out)) {
  }
  *closed = !timed_out;
  return std::move(buffer_);
}

HttpReply RawConnection::ReadReply(std::chrono::milliseconds patience) {
  const auto until = Clock::now() + patience;
  HttpReply reply;
  bool timed_out = false;
  while (!ParseReply(buffer_, false, &reply)) {
    if (ReadSome(until, &timed_out)) continue;
    if (!ParseReply(buffer_, true, &reply)) reply = {};
    break;
  }
  buffer_.clear();
  return reply;
}

std::string HttpRequestText(std::string_view verb, std::string_view target, std::string_view body,
                            const HttpClient::Headers& headers) {
  std::string text;
  text.append(verb).append(" ").append(target).append(" HTTP/1.1\r\nHost: 127.0.0.1\r\n");
  for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
  if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  text += "\r\n";
  return text.append(body);
}

}  // namespace holdfast::testing
