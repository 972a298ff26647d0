// How a gRPC call ends that was refused or failed. No state; any thread.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "src/base/error.h"

namespace holdfast::api::grpc {

// The error as a status; what programs want to read goes into the trailing metadata.
::grpc::Status ToStatus(const Error& error, ::grpc::ServerContext& context);

}  // namespace holdfast::api::grpc
