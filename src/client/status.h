// A gRPC status and its trailing metadata, back as the Error that the node meant. Internal to the
// client. No state; any thread.
#pragma once

#include <grpcpp/support/status.h>
#include <grpcpp/support/string_ref.h>

#include <map>

#include "src/base/error.h"

namespace holdfast::client {

using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;

struct Failure {
  Error error;
  // The node itself answered. Otherwise the connection broke or time ran out on our side, and
  // nobody knows how far the request got.
  bool from_node = false;
};

Failure ToFailure(const grpc::Status& status, const Metadata& trailing);

// The metadata's value, or empty.
std::string_view FindMetadata(const Metadata& metadata, std::string_view name);
// The value as a number, or 0.
uint64_t FindNumber(const Metadata& metadata, std::string_view name);

}  // namespace holdfast::client
