// A whole node in one object: log, store, services, consensus, peer link, gRPC and HTTP. What
// `holdfast serve` runs, and what a program or a test embeds.
//
// A node that has fetched a leader's checkpoint is stopped and started anew, within the process and
// at the same ports, to install it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

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
  size_t entry_requests = bounds::kEntryRequestsMax;  // That one entry of the log takes at most.
  size_t checkpoint_rows = bounds::kCheckpointRowsDefault;
  size_t checkpoint_bytes = bounds::kCheckpointBytesDefault;
  uint64_t checkpoint_interval_ms = bounds::kCheckpointIntervalMsDefault;
  uint64_t log_segment_bytes = bounds::kSegmentBytes;   // One file of the log.
  uint64_t log_keep_bytes = bounds::kLogKeepBytes;      // Behind a checkpoint ...
  uint64_t log_keep_entries = bounds::kLogKeepEntries;  // ... whichever is less.
  uint64_t disk_reserve_bytes = bounds::kDiskReserveBytes;
  uint64_t scrub_seconds = bounds::kScrubSecondsDefault;  // 0: never.
  node::ClockOptions clock;
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
  Server(const Server&) = delete;

  uint16_t http_port() const;
  uint16_t grpc_port() const;
  node::NodeStatus status() const;

  // Hands leadership over, lets requests in flight finish for up to `grace`, closes everything.
  void Stop(std::chrono::milliseconds grace);

 private:
  struct Parts;
  explicit Server(ServerConfig config);
  Result<void> Begin();
  void Supervise();

  ServerConfig config_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // Below: mutex_ held.
  std::unique_ptr<Parts> parts_;
  bool restart_wanted_ = false;
  bool stopping_ = false;
  uint32_t restarts_ = 0;
  std::thread supervisor_;
};

}  // namespace holdfast
