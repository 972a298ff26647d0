#include "src/base/error.h"

namespace holdfast {

const char* ToString(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "invalid_argument";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kUnimplemented: return "unimplemented";
    case ErrorCode::kTooLarge: return "too_large";
    case ErrorCode::kIdempotencyKeyReused: return "idempotency_key_reused";
    case ErrorCode::kResourceExhausted: return "resource_exhausted";
    case ErrorCode::kUnavailable: return "unavailable";
    case ErrorCode::kDeadlineExceeded: return "deadline_exceeded";
    case ErrorCode::kOutcomeUnknown: return "outcome_unknown";
    case ErrorCode::kInternal: return "internal";
  }
  return "internal";
}

}  // namespace holdfast
