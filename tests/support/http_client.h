// A plain blocking HTTP/1.1 client for tests: one connection, kept alive.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "src/base/ids.h"

namespace holdfast::testing {

struct HttpReply {
  int status = 0;  // 0: no answer (refused, reset, timed out).
  std::string body;
  std::map<std::string, std::string> headers;  // Names in lower case.
};

class HttpClient {
 public:
  explicit HttpClient(uint16_t port, std::chrono::milliseconds timeout = std::chrono::seconds(15));
  // `host`: an IPv4 address.
  HttpClient(std::string host, uint16_t port, std::chrono::milliseconds timeout);
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;

  // Of each step of the calls from here on: connecting, sending, the answer.
  void SetTimeout(std::chrono::milliseconds timeout);

  using Headers = std::map<std::string, std::string>;
  HttpReply Get(const std::string& target, const Headers& headers = {});
  HttpReply Post(const std::string& target, const std::string& body, const Headers& headers = {});
  // As a careful caller does: the same again, under the same idempotency key, for as long as the
  // answer is that it was not done or that nobody knows (none, 429, 503, 504). After 30 s the last
  // one.
  HttpReply PostUntilKnown(const std::string& target, const std::string& body);
  HttpReply Put(const std::string& target, const std::string& body, const Headers& headers = {});
  HttpReply Delete(const std::string& target, const Headers& headers = {});
  // `verb` in capitals; a body only where there is one.
  HttpReply Send(const std::string& verb, const std::string& target, const std::string& body,
                 const Headers& headers);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The value of a scalar member of a JSON object reply, as text; empty when absent. Good for flat
// replies: finds the first member of that name.
std::string JsonField(const std::string& json, const std::string& name);

}  // namespace holdfast::testing
