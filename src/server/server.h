// A whole node in one object: log, store, services, consensus, peer link, gRPC and HTTP. What
// `holdfast serve` runs, and what a program or a test embeds.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "src/base/error.h"
#include "src/base/ids.h"
#include "src/node/node.h"

namespace holdfast {

struct Address {
  std::string host;
  uint16_t port = 0;
  std::string ToString() const { return host + ":" + std::to_string(port); }
};

// "127.0.0.1:7001": an IP address and a port.
Result<Address> ParseAddress(const std::string& text);

struct ServerConfig {
  NodeId id{1};
  std::string data;                   // Folder; created when missing.
  std::map<NodeId, Address> members;  // Peer addresses, this node's included. One: stands alone.
  Address http{"127.0.0.1", 0};       // Port 0: any free one.
  Address grpc{"127.0.0.1", 0};
  uint32_t election_timeout_ms = 400;
  uint32_t heartbeat_ms = 80;
  size_t checkpoint_rows = bounds::kCheckpointRowsDefault;
  // Told why the node cannot go on. Must end the process.
  std::function<void(const std::string&)> fatal;
};

class Server {
 public:
  // Opens the folder and serves. Fails with what to do about it: folder in use or damaged, address
  // taken, members that do not fit.
  static Result<std::unique_ptr<Server>> Start(ServerConfig config);
  // As Stop with no grace.
  ~Server();

  uint16_t http_port() const;
  uint16_t grpc_port() const;
  node::NodeStatus status() const;

  // Hands leadership over, lets requests in flight finish for up to `grace`, closes everything.
  void Stop(std::chrono::milliseconds grace);

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace holdfast
