// Answers the reflection protocol from the method table: which services there are, and the .proto
// files that describe them. Immutable once built; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "holdfast/reflection.pb.h"
#include "src/state_machine/registry.h"

namespace holdfast::api::grpc {

class Reflection {
 public:
  // Versions v1alpha and v1 differ in their package only, so both are answered.
  static bool Serves(std::string_view path);

  explicit Reflection(const state_machine::Registry& registry);

  ::grpc::reflection::v1alpha::ServerReflectionResponse Answer(
      const ::grpc::reflection::v1alpha::ServerReflectionRequest& request) const;

 private:
  std::vector<std::string> services_;  // Full names, in order.
};

}  // namespace holdfast::api::grpc
