// A plain gRPC caller, one unary call at a time: what a client without a library of ours sends.
#pragma once

#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>

namespace holdfast::testing {

struct GrpcReply {
  bool ok = false;
  std::string body;
  std::string message;                         // Of a refusal.
  std::map<std::string, std::string> trailer;  // "holdfast-code", "holdfast-field", ...

  std::string Trailer(const std::string& name) const {
    const auto found = trailer.find(name);
    return found == trailer.end() ? "" : found->second;
  }
};

// Thread-safe; a connection of its own.
class GrpcClient {
 public:
  explicit GrpcClient(uint16_t port) : GrpcClient("127.0.0.1", port) {}
  GrpcClient(const std::string& host, uint16_t port);

  GrpcReply Call(const std::string& method, const std::string& request,
                 const std::map<std::string, std::string>& metadata = {},
                 std::chrono::milliseconds timeout = std::chrono::milliseconds(10'000));

 private:
  std::unique_ptr<grpc::GenericStub> stub_;
};

}  // namespace holdfast::testing
