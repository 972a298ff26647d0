// What HTTP and gRPC have in common on the way to the dispatcher: the words beside the request
// (headers, metadata) become CallOptions, and the message becomes validated canonical bytes.
// No state; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "src/base/error.h"
#include "src/node/dispatcher.h"
#include "src/state_machine/registry.h"

namespace holdfast::api {

// Names of HTTP headers and gRPC metadata; both compare them in lower case.
inline constexpr std::string_view kIdempotencyKeyName = "idempotency-key";
inline constexpr std::string_view kAfterName = "holdfast-after";
inline constexpr std::string_view kConsistencyName = "holdfast-consistency";
inline constexpr std::string_view kTimeoutMsName = "holdfast-timeout-ms";
inline constexpr std::string_view kPositionName = "holdfast-position";
inline constexpr std::string_view kReplayedName = "idempotency-replayed";
inline constexpr std::string_view kAgeMsName = "holdfast-age-ms";

// The words as the caller sent them; absent and empty are not the same.
struct CallWords {
  std::optional<std::string_view> idempotency_key;
  std::optional<std::string_view> after;
  std::optional<std::string_view> consistency;
  std::optional<std::string_view> timeout_ms;
};

// Refuses a word that is not of its form, naming it. The deadline is now + the timeout.
Result<node::CallOptions> ParseCallWords(const state_machine::Method& method,
                                         const CallWords& words,
                                         std::chrono::steady_clock::time_point now);

// How much of a caller's time the node may take: an answer that says what happened is worth a
// little of it. Without it the caller's own clock ends the call first, and tells nothing.
std::chrono::nanoseconds TimeToAnswerIn(std::chrono::nanoseconds left);

// Validates the request and returns the bytes that go to the dispatcher, and into the log.
Result<std::string> EncodeRequest(const state_machine::Method& method,
                                  const google::protobuf::Message& request);
// The same for a request as it came over the wire.
Result<std::string> EncodeRequest(const state_machine::Method& method, std::string_view sent);

}  // namespace holdfast::api
