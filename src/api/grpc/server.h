// gRPC: one generic handler serves every method of the table as a unary call, and the pipe, which
// carries calls of any method (pipe.h); beside it reflection and gRPC's health protocol. There are
// no generated stubs, so a new method needs no code here. What happens to calls is told by threads
// of ours (queues.h).
//
// Metadata in: idempotency-key, holdfast-after, holdfast-consistency, and the call's deadline,
// which is bounded by kDeadlineMsMax. Metadata out (trailing): holdfast-position,
// idempotency-replayed, holdfast-age-ms; with an error holdfast-code, holdfast-field and
// retry-after-ms.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "src/base/bounds.h"
#include "src/base/error.h"
#include "src/node/dispatcher.h"
#include "src/state_machine/registry.h"

namespace holdfast::api::grpc {

struct ServerOptions {
  std::string address = "127.0.0.1";  // A number, IPv4 or IPv6.
  uint16_t port = 0;                  // 0: any free one.
  node::Dispatcher* pipe = nullptr;   // What the pipes' requests go to; null: where all others go.
  std::chrono::milliseconds pipe_write_time_max{bounds::kPipeWriteMsMax};
  // Of calls that are no pipes: to bring the request, to take the answer.
  std::chrono::milliseconds step_time_max{bounds::kGrpcStepMsMax};
  size_t calls_max = bounds::kGrpcCallsMax;
  size_t files_max = bounds::kGrpcFilesMax;  // Open in this process; see Listener.
};

class Server {
 public:
  // Listens and serves from here on; healthy only after SetServing(true). Both arguments outlive
  // the server, and the dispatcher's calls under way may outlive it: their replies go nowhere,
  // safely.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                               const state_machine::Registry& registry,
                                               node::Dispatcher& dispatcher);
  // As Stop with no grace.
  ~Server();

  uint16_t port() const;

  // What grpc.health.v1 says of the server and of each of its services. Any thread.
  void SetServing(bool serving);

  // Refuses new calls, lets those under way finish for up to `grace`, then cancels what is left.
  void Stop(std::chrono::milliseconds grace);

 private:
  struct Core;
  explicit Server(std::unique_ptr<Core> core);

  std::unique_ptr<Core> core_;
};

}  // namespace holdfast::api::grpc
