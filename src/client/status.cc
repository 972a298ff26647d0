#include "src/client/status.h"

#include <charconv>
#include <optional>

namespace holdfast::client {
namespace {

std::optional<ErrorCode> CodeOf(std::string_view word) {
  constexpr auto kFirst = static_cast<int>(ErrorCode::kInvalidArgument);
  constexpr auto kLast = static_cast<int>(ErrorCode::kInternal);
  for (int number = kFirst; number <= kLast; ++number) {
    const auto code = static_cast<ErrorCode>(number);
    if (word == ToString(code)) return code;
  }
  return std::nullopt;
}

// Of a status that gRPC made up by itself, here or on the other side.
ErrorCode CodeOf(grpc::StatusCode status) {
  switch (status) {
    case grpc::INVALID_ARGUMENT: return ErrorCode::kInvalidArgument;
    case grpc::NOT_FOUND: return ErrorCode::kNotFound;
    case grpc::UNIMPLEMENTED: return ErrorCode::kUnimplemented;
    case grpc::RESOURCE_EXHAUSTED:  // A message above gRPC's own bound.
      return ErrorCode::kTooLarge;
    case grpc::UNAVAILABLE:
    case grpc::CANCELLED:  // The node is going down and drops its calls.
      return ErrorCode::kUnavailable;
    case grpc::DEADLINE_EXCEEDED: return ErrorCode::kDeadlineExceeded;
    default: return ErrorCode::kInternal;
  }
}

}  // namespace

std::string_view FindMetadata(const Metadata& metadata, std::string_view name) {
  const auto found = metadata.find(grpc::string_ref(name.data(), name.size()));
  if (found == metadata.end()) return {};
  return {found->second.data(), found->second.size()};
}

uint64_t FindNumber(const Metadata& metadata, std::string_view name) {
  const std::string_view text = FindMetadata(metadata, name);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

Failure ToFailure(const grpc::Status& status, const Metadata& trailing) {
  const auto code = CodeOf(FindMetadata(trailing, "holdfast-code"));
  Failure failure;
  failure.from_node = code.has_value();
  failure.error.code = code ? *code : CodeOf(status.error_code());
  failure.error.message = status.error_message();
  failure.error.field = FindMetadata(trailing, "holdfast-field");
  // The status text leads with the field, for clients that show nothing else.
  const std::string lead = failure.error.field + ": ";
  if (!failure.error.field.empty() && failure.error.message.starts_with(lead)) {
    failure.error.message.erase(0, lead.size());
  }
  failure.error.retry_after_ms =
      static_cast<uint32_t>(std::min<uint64_t>(FindNumber(trailing, "retry-after-ms"), UINT32_MAX));
  return failure;
}

}  // namespace holdfast::client
