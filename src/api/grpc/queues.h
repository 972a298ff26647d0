// gRPC's completion queues, each with one thread of ours, to which its calls belong. The thread
// takes what has come, and the requests of single calls among it become one batch (base/batch.h).
// Replies, wherever they were made, are sent from there.
//
// gRPC's own threads (its callback API) would hand every event of a socket on to one another: of
// all threads that wait for gRPC one looks at the sockets, and wakes the next one before it does
// what it has found. So there are as few of them as do the work
// (docs/decisions/0026-completion-queues.md).
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "src/api/grpc/stream.h"

namespace holdfast::api::grpc {

class Queues {
 public:
  // Who serves a call that has come, by its context's method; it is one of so many. Any of the
  // threads.
  using Open = std::function<Stream*(Wire& wire, size_t calls)>;

  // Takes every call of the server that `builder` builds. `step_time_max`: see Stream::idles.
  Queues(::grpc::ServerBuilder& builder, std::chrono::milliseconds step_time_max, Open open);
  ~Queues();  // As Stop.

  // The server is built: takes calls from here on.
  void Start();
  // The server has been shut down, and is not destroyed yet: waits until every call has been
  // finished, and ends the threads.
  void Stop();

 private:
  class Call;
  class Queue;

  const std::chrono::milliseconds step_time_max_;
  const Open open_;
  std::atomic<size_t> calls_{0};  // That have come and are not over.
  ::grpc::AsyncGenericService service_;
  std::vector<std::shared_ptr<Queue>> queues_;
};

}  // namespace holdfast::api::grpc
