#include "src/api/grpc/status.h"

#include <algorithm>

#include "src/api/errors.h"
#include "src/api/text.h"
#include "src/base/bounds.h"

namespace holdfast::api::grpc {

::grpc::Status ToStatus(const Error& error, ::grpc::ServerContext& context) {
  context.AddTrailingMetadata("holdfast-code", ToString(error.code));
  // Metadata is printable ASCII; a path may hold a key of the caller's.
  const bool printable = std::all_of(error.field.begin(), error.field.end(),
                                     [](char c) { return c >= 0x20 && c <= 0x7E; });
  if (!error.field.empty() && printable && error.field.size() <= bounds::kGrpcStatusBytesMax) {
    context.AddTrailingMetadata("holdfast-field", error.field);
  }
  if (const uint32_t ms = RetryAfterMs(error); ms > 0) {
    context.AddTrailingMetadata("retry-after-ms", std::to_string(ms));
  }
  std::string message = DetailOf(error);
  if (const std::string hint = HintOf(error); !hint.empty()) Append(&message, " (", hint, ")");
  if (message.size() > bounds::kGrpcStatusBytesMax) message.resize(bounds::kGrpcStatusBytesMax);
  return {static_cast<::grpc::StatusCode>(InfoOf(error.code).grpc_status), message};
}

}  // namespace holdfast::api::grpc
