// Accepts connections for gRPC, which bounds their calls and not their number: left alone it would
// take file descriptors until the store can open none, and the node ends.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "src/base/error.h"

namespace holdfast::api::grpc {

class Listener {
 public:
  // Listens on the address, a number of IPv4 or IPv6; port 0: any free one. Nobody is accepted yet.
  static Result<std::unique_ptr<Listener>> Open(const std::string& address, uint16_t port);
  ~Listener();  // As Stop.

  uint16_t port() const;

  // Hands over each connection, as a descriptor that whoever takes it closes, on a thread of its
  // own. While the process has `files_max` files and sockets open, new connections are closed.
  void Start(size_t files_max, std::function<void(int connection)> take);
  // No more connections are taken, and those that wait are closed. Any number of times.
  void Stop();

 private:
  struct Socket;
  explicit Listener(std::unique_ptr<Socket> socket);

  const std::unique_ptr<Socket> socket_;
  std::thread thread_;
};

}  // namespace holdfast::api::grpc
