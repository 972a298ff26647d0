// How an operating error is told to a caller: the one table of ErrorCode -> HTTP status -> gRPC
// status. HTTP and gRPC both answer from it, so they cannot disagree. Immutable; any thread.
#pragma once

#include <span>
#include <string>

#include "src/base/error.h"

namespace holdfast::api {

// In the order in which its table is read.
struct ErrorInfo {  // NOLINT(clang-analyzer-optin.performance.Padding)
  ErrorCode code;
  int http_status;
  int grpc_status;     // A grpc::StatusCode.
  const char* title;   // The same for every error of the code, as RFC 9457 asks.
  const char* advice;  // What to do, when the error itself brings no hint. May be empty.
  bool retry;  // Worth repeating unchanged: answered with a Retry-After even if none is set.
  // HTTP has a status of its own for one case of it; 0: it has none.
  int special_http_status = 0;
  const char* special_case = "";
};

const ErrorInfo& InfoOf(ErrorCode code);
std::span<const ErrorInfo> AllErrors();

// When to try again, or 0 when trying again does not help by itself.
uint32_t RetryAfterMs(const Error& error);
// The error's own hint, or the advice of its code.
std::string HintOf(const Error& error);
// "transfers[3].amount: must be positive": the message led by the field, if there is one.
std::string DetailOf(const Error& error);

// The error as application/problem+json (RFC 9457). `status` is usually the table's.
std::string ToProblemJson(const Error& error, int status);

}  // namespace holdfast::api
