// Operating errors: what a caller gets when a request could not be carried out as asked. They are
// not replicated and not stored under an idempotency key. Domain outcomes (insufficient_funds, ...)
// are part of a reply, and broken invariants are HOLDFAST_CHECK.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace holdfast {

// A code exists only where a caller would act on it. Numbers travel between nodes: never reuse one.
enum class ErrorCode : uint8_t {
  kInvalidArgument = 1,       // The request is malformed; `field` names where. HTTP 400.
  kNotFound = 2,              // The path names a resource that does not exist. HTTP 404.
  kUnimplemented = 3,         // No such method or route. HTTP 404, 405 when the route has others.
  kTooLarge = 4,              // Body above its bound. HTTP 413.
  kIdempotencyKeyReused = 5,  // The key was used with another request. HTTP 422.
  kResourceExhausted = 6,     // A bound was reached; nothing was done. HTTP 429 + Retry-After.
  kUnavailable = 7,           // No quorum or no leader; nothing was done. HTTP 503 + Retry-After.
  kDeadlineExceeded = 8,      // Time ran out and certainly nothing was done. HTTP 504.
  kOutcomeUnknown = 9,        // Time or leadership ran out after proposing. HTTP 504.
  kInternal = 10,             // A fault of ours. HTTP 500.
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;          // What is wrong, in a sentence for a person.
  std::string field;            // JSON path of the offending field, or empty.
  std::string hint;             // What to do next, or empty.
  uint32_t retry_after_ms = 0;  // When to try again; 0: not by itself.
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> Fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

inline Error InvalidArgument(std::string field, std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message), std::move(field), "", 0};
}
inline Error NotFound(std::string message) {
  return Error{ErrorCode::kNotFound, std::move(message), "", "", 0};
}

// "invalid_argument", ...: the word used in problem+json and logs.
const char* ToString(ErrorCode code);

}  // namespace holdfast
