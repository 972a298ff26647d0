#include "tests/support/http_client.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cctype>
#include <chrono>
#include <thread>

namespace holdfast::testing {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

struct HttpClient::Impl {
  std::string host;
  uint16_t port;
  std::chrono::milliseconds timeout;
  asio::io_context io;
  std::unique_ptr<beast::tcp_stream> stream;
  beast::flat_buffer buffer;

  // Runs one asynchronous operation to its end: the blocking calls of Beast know no timeouts.
  bool Finish(beast::error_code& error) {
    io.restart();
    io.run();
    return !error;
  }
  bool Connect() {
    stream = std::make_unique<beast::tcp_stream>(io);
    buffer.clear();
    beast::error_code error;
    stream->expires_after(timeout);
    stream->async_connect({asio::ip::make_address_v4(host), port},
                          [&](beast::error_code e) { error = e; });
    if (!Finish(error)) stream.reset();
    return stream != nullptr;
  }
};

HttpClient::HttpClient(uint16_t port, std::chrono::milliseconds timeout)
    : HttpClient("127.0.0.1", port, timeout) {}
HttpClient::HttpClient(std::string host, uint16_t port, std::chrono::milliseconds timeout)
    : impl_(std::make_unique<Impl>()) {
  impl_->host = std::move(host);
  impl_->port = port;
  impl_->timeout = timeout;
}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;

void HttpClient::SetTimeout(std::chrono::milliseconds timeout) { impl_->timeout = timeout; }

HttpReply HttpClient::Get(const std::string& target, const Headers& headers) {
  return Send("GET", target, "", headers);
}
HttpReply HttpClient::Post(const std::string& target, const std::string& body,
                           const Headers& headers) {
  return Send("POST", target, body, headers);
}
HttpReply HttpClient::PostUntilKnown(const std::string& target, const std::string& body) {
  static std::atomic<int> number{0};
  const Headers key = {{"Idempotency-Key", "until-known-" + std::to_string(getpid()) + "-" +
                                               std::to_string(++number)}};
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  HttpReply reply;
  while (true) {
    reply = Post(target, body, key);
    const bool known =
        reply.status != 0 && reply.status != 429 && reply.status != 503 && reply.status != 504;
    if (known || std::chrono::steady_clock::now() > until) return reply;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // tidy: allow sleep, a pause
  }
}
HttpReply HttpClient::Put(const std::string& target, const std::string& body,
                          const Headers& headers) {
  return Send("PUT", target, body, headers);
}
HttpReply HttpClient::Delete(const std::string& target, const Headers& headers) {
  return Send("DELETE", target, "", headers);
}

HttpReply HttpClient::Send(const std::string& verb, const std::string& target,
                           const std::string& body, const Headers& headers) {
  if (!impl_->stream && !impl_->Connect()) return {};
  http::request<http::string_body> request{http::string_to_verb(verb), target, 11};
  request.set(http::field::host, impl_->host);
  if (!body.empty()) request.set(http::field::content_type, "application/json");
  for (const auto& [name, value] : headers) request.set(name, value);
  request.body() = body;
  request.prepare_payload();
  beast::error_code error;
  impl_->stream->expires_after(impl_->timeout);
  http::async_write(*impl_->stream, request, [&](beast::error_code e, size_t) { error = e; });
  http::response_parser<http::string_body> parser;
  parser.body_limit(64 << 20);
  if (impl_->Finish(error)) {
    impl_->stream->expires_after(impl_->timeout);
    http::async_read(*impl_->stream, impl_->buffer, parser,
                     [&](beast::error_code e, size_t) { error = e; });
    impl_->Finish(error);
  }
  if (error) {
    impl_->stream.reset();
    return {};
  }
  const auto& response = parser.get();
  HttpReply reply;
  reply.status = static_cast<int>(response.result_int());
  reply.body = response.body();
  for (const auto& field : response) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    reply.headers[name] = std::string(field.value());
  }
  if (!response.keep_alive()) impl_->stream.reset();
  return reply;
}

std::string JsonField(const std::string& json, const std::string& name) {
  const std::string quoted = "\"" + name + "\":";
  size_t at = json.find(quoted);
  if (at == std::string::npos) return "";
  at += quoted.size();
  while (at < json.size() && json[at] == ' ') ++at;
  if (at < json.size() && json[at] == '"')
    return json.substr(at + 1, json.find('"', at + 1) - at - 1);
  return json.substr(at, json.find_first_of(",}] \n", at) - at);
}

}  // namespace holdfast::testing
