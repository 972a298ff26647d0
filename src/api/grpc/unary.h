// Unary calls of every method of the table, on completion queues of their own. Each queue has one
// thread, to which its calls belong: it takes what has come, hands it to the dispatcher as one
// batch, and sends the replies, wherever they were made. So a call costs no change of threads of
// its own, and who applies entries does not write to sockets.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <vector>

#include "src/node/dispatcher.h"
#include "src/state_machine/registry.h"

namespace holdfast::api::grpc {

// The error as a status; what programs want to read goes into the trailing metadata.
::grpc::Status ToStatus(const Error& error, ::grpc::ServerContextBase* context);

class UnaryCalls {
 public:
  // Takes every method that no other service of the builder's has. Both outlive the server; the
  // dispatcher's calls under way may outlive it and this.
  UnaryCalls(::grpc::ServerBuilder& builder, const state_machine::Registry& registry,
             node::Dispatcher& dispatcher);
  ~UnaryCalls();  // As Stop.

  // The server is built: takes calls from here on.
  void Start();
  // The server has been shut down, and not been destroyed yet. Its calls are over.
  void Stop();

 private:
  class Call;
  class Queue;

  const state_machine::Registry& registry_;
  node::Dispatcher& dispatcher_;
  ::grpc::AsyncGenericService service_;
  std::vector<std::shared_ptr<Queue>> queues_;
};

}  // namespace holdfast::api::grpc
