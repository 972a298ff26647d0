// HTTP/1.1 over TCP: connections, their bounds and their time limits. What a request means is the
// Handler's business.
//
// One request of a connection is in flight at a time; pipelined ones wait in order. A connection
// that is slow to write, slow to read or idle too long is closed; one above the bound is told 503.
// Bodies that come in and responses that nobody takes are bounded over all connections: past that,
// requests and the answers to reads are refused with 429.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/api/http/handler.h"
#include "src/base/bounds.h"

namespace holdfast::api::http {

struct Core;

struct ServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;  // 0: any free one.
  int threads = 1;
  size_t connections_max = bounds::kHttpConnectionsMax;
  size_t files_max = SIZE_MAX;  // While so many are open in this process none is taken.
  size_t bodies_bytes_max = bounds::kHttpBodiesBytesMax;
  size_t replies_bytes_max = bounds::kHttpRepliesBytesMax;
  std::chrono::milliseconds idle_max{bounds::kHttpIdleMsMax};
  std::chrono::milliseconds read_max{bounds::kHttpReadMsMax};  // First to last byte of a request.
  std::chrono::milliseconds write_max{
      bounds::kHttpWriteMsMax};  // First to last byte of a response.
};

class Server {
 public:
  // Listens and serves from here on. `handler` outlives the server. Fails when the address cannot
  // be had.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                               const Handler& handler);
  // As Stop with no grace.
  ~Server();

  uint16_t port() const { return port_; }

  // Stops accepting, closes idle connections, lets requests in flight finish for up to `grace`,
  // then closes what is left and joins the threads. A reply that comes later goes nowhere, safely.
  // Call from one thread, not from a callback.
  void Stop(std::chrono::milliseconds grace);

 private:
  class Acceptor;
  explicit Server(std::shared_ptr<Core> core);

  const std::shared_ptr<Core> core_;
  std::shared_ptr<Acceptor> acceptor_;  // Until Stop.
  std::vector<std::thread> threads_;
  uint16_t port_ = 0;
};

}  // namespace holdfast::api::http
