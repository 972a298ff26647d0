// The public health protocol of gRPC, version 1: whether the server, and each of its services,
// serves. They all do or none does.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "holdfast/health.pb.h"
#include "src/api/grpc/stream.h"
#include "src/state_machine/registry.h"

namespace holdfast::api::grpc {

// Thread-safe; outlives its streams.
class Health {
 public:
  explicit Health(const state_machine::Registry& registry);

  // Whether the method is one of the protocol's.
  static bool Serves(const std::string& method);
  // Serves a call of the protocol; nullptr for any other.
  Stream* Open(Wire& wire);
  // From now on. Whoever watches is told.
  void Set(bool serving);
  // The server stops: as Set(false), and who watches is told to ask elsewhere.
  void Close();

 private:
  class Check;
  class Watch;
  using Status = ::grpc::health::v1::HealthCheckResponse::ServingStatus;
  Status Of(const std::string& service) const;  // Under mutex_.
  void Tell();                                  // Under mutex_: everybody who watches.

  std::set<std::string> services_;  // "" is the server.
  mutable std::mutex mutex_;
  bool serving_ = false;
  bool closed_ = false;
  std::set<Watch*> watches_;
};

}  // namespace holdfast::api::grpc
