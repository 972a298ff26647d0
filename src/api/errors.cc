#include "src/api/errors.h"

#include <grpcpp/support/status_code_enum.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "src/base/bounds.h"

namespace holdfast::api {
namespace {

constexpr ErrorInfo kErrors[] = {
    {ErrorCode::kInvalidArgument, 400, grpc::INVALID_ARGUMENT, "The request is malformed", "",
     false},
    {ErrorCode::kNotFound, 404, grpc::NOT_FOUND, "There is no such resource", "", false},
    {ErrorCode::kUnimplemented, 404, grpc::UNIMPLEMENTED, "There is no such method",
     "GET /openapi.json lists every route", false, 405, "the path takes other verbs"},
    // What gRPC itself answers to a message above its bound, so one condition has one code.
    {ErrorCode::kTooLarge, 413, grpc::RESOURCE_EXHAUSTED, "The request is too large",
     "split it into several requests", false, 431, "its headers are"},
    {ErrorCode::kIdempotencyKeyReused, 422, grpc::FAILED_PRECONDITION,
     "The idempotency key belongs to another request",
     "send the same request as the first time, or use a new key", false},
    {ErrorCode::kResourceExhausted, 429, grpc::RESOURCE_EXHAUSTED, "A bound was reached",
     "nothing was done; send the same request again later", true},
    {ErrorCode::kUnavailable, 503, grpc::UNAVAILABLE, "The service is unavailable",
     "nothing was done; send the same request again", true},
    {ErrorCode::kDeadlineExceeded, 504, grpc::DEADLINE_EXCEEDED, "Time ran out",
     "nothing was done; send the same request again, with more time", false},
    // gRPC defines DEADLINE_EXCEEDED as "may have completed", and every caller must be ready for
    // it, because its own clock produces it too: one rule covers both. ABORTED would ask for a
    // blind retry, and UNKNOWN stands for a fault of ours. `holdfast-code` tells this case from
    // the one above, in which certainly nothing was done.
    {ErrorCode::kOutcomeUnknown, 504, grpc::DEADLINE_EXCEEDED, "The outcome is unknown",
     "send the same request with the same idempotency key or id again: it is done once only, and "
     "the answer is the first one's",
     false},
    {ErrorCode::kInternal, 500, grpc::INTERNAL, "A fault of the server", "the node's log says more",
     false},
};

}  // namespace

const ErrorInfo& InfoOf(ErrorCode code) {
  for (const ErrorInfo& info : kErrors) {
    if (info.code == code) return info;
  }
  return InfoOf(ErrorCode::kInternal);  // A number from a newer peer.
}

std::span<const ErrorInfo> AllErrors() { return kErrors; }

uint32_t RetryAfterMs(const Error& error) {
  if (error.retry_after_ms > 0) return error.retry_after_ms;
  return InfoOf(error.code).retry ? static_cast<uint32_t>(bounds::kRetryAfterMsDefault) : 0;
}

std::string HintOf(const Error& error) {
  return error.hint.empty() ? InfoOf(error.code).advice : error.hint;
}

std::string DetailOf(const Error& error) {
  return error.field.empty() ? error.message : error.field + ": " + error.message;
}

std::string ToProblemJson(const Error& error, int status) {
  rapidjson::StringBuffer out;
  rapidjson::Writer<rapidjson::StringBuffer> writer(out);
  const auto member = [&](const char* name, const std::string& value) {
    writer.Key(name);
    writer.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  };
  writer.StartObject();
  member("type", std::string("/problems/") + ToString(error.code));
  member("title", InfoOf(error.code).title);
  writer.Key("status");
  writer.Int(status);
  member("code", ToString(error.code));
  member("detail", DetailOf(error));
  if (!error.field.empty()) member("field", error.field);
  if (const std::string hint = HintOf(error); !hint.empty()) member("hint", hint);
  if (const uint32_t retry = RetryAfterMs(error); retry > 0) {
    writer.Key("retry_after_ms");
    writer.Uint(retry);
  }
  writer.EndObject();
  return {out.GetString(), out.GetSize()};
}

}  // namespace holdfast::api
