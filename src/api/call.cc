#include "src/api/call.h"

#include <google/protobuf/arena.h>

#include <charconv>

#include "src/api/json.h"
#include "src/api/text.h"
#include "src/base/bounds.h"
#include "src/state_machine/canonical.h"

namespace holdfast::api {
namespace {

constexpr std::chrono::milliseconds kAnswerTimeMax{100};

// A plain decimal number from `low` to `high`.
std::optional<uint64_t> ParseNumber(std::string_view text, uint64_t low, uint64_t high) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || value < low || value > high) return std::nullopt;
  return value;
}

tl::unexpected<Error> Refuse(std::string_view name, std::string message) {
  return Fail(InvalidArgument(std::string(name), std::move(message)));
}

Error TooLarge(size_t bytes) {
  return Error{ErrorCode::kTooLarge,
               Cat("the request takes ", bytes, " bytes; at most ", bounds::kRequestBytesMax,
                   " are allowed"),
               "", "", 0};
}

}  // namespace

Result<node::CallOptions> ParseCallWords(const state_machine::Method& method,
                                         const CallWords& words,
                                         std::chrono::steady_clock::time_point now) {
  node::CallOptions options;
  if (words.idempotency_key) {
    const std::string_view key = *words.idempotency_key;
    const bool printable =
        std::all_of(key.begin(), key.end(), [](char c) { return c >= 0x20 && c <= 0x7E; });
    if (key.empty() || key.size() > bounds::kIdempotencyKeyBytesMax || !printable) {
      return Refuse(kIdempotencyKeyName, Cat("must be 1 to ", bounds::kIdempotencyKeyBytesMax,
                                             " printable ASCII characters"));
    }
    // Anything but a write has no effect that a repeat could double.
    if (method.kind() == WRITE) options.idempotency_key = std::string(key);
  }
  if (words.after) {
    const auto index = ParseNumber(*words.after, 0, UINT64_MAX);
    if (!index) {
      return Refuse(kAfterName, Cat("must be a ", kPositionName, " from an earlier reply"));
    }
    options.after = LogIndex(*index);
  }
  if (words.consistency) {
    if (*words.consistency == "session") {
      options.consistency = node::Consistency::kSession;
    } else if (*words.consistency == "linearizable") {
      options.consistency = node::Consistency::kLinearizable;
    } else if (*words.consistency == "stale") {
      options.consistency = node::Consistency::kStale;
    } else {
      return Refuse(kConsistencyName, "must be session, linearizable or stale");
    }
  }
  int64_t timeout_ms = bounds::kDeadlineMsDefault;
  if (words.timeout_ms) {
    const auto number = ParseNumber(*words.timeout_ms, 1, bounds::kDeadlineMsMax);
    if (!number) {
      return Refuse(kTimeoutMsName, Cat("must be an integer from 1 to ", bounds::kDeadlineMsMax));
    }
    timeout_ms = static_cast<int64_t>(*number);
  }
  options.deadline = now + std::chrono::milliseconds(timeout_ms);
  options.default_deadline = !words.timeout_ms.has_value();
  return options;
}

std::chrono::nanoseconds TimeToAnswerIn(std::chrono::nanoseconds left) {
  const std::chrono::nanoseconds most = std::chrono::milliseconds(bounds::kDeadlineMsMax);
  return std::min(left - std::min<std::chrono::nanoseconds>(left / 10, kAnswerTimeMax), most);
}

Result<std::string> EncodeRequest(const state_machine::Method& method, std::string_view sent) {
  if (sent.size() > bounds::kRequestBytesMax) return Fail(TooLarge(sent.size()));
  google::protobuf::Arena arena;
  auto* message = method.request->New(&arena);
  if (!message->ParseFromArray(sent.data(), static_cast<int>(sent.size()))) {
    return Fail(InvalidArgument(
        "", Cat("the bytes are not a valid ", method.request->GetDescriptor()->full_name())));
  }
  return EncodeRequest(method, *message);
}

Result<std::string> EncodeRequest(const state_machine::Method& method,
                                  const google::protobuf::Message& request) {
  if (Result<void> valid = method.validate(request); !valid) return Fail(valid.error());
  // So an idempotent retry is recognised when a client's language shuffles its maps.
  std::string bytes = state_machine::Canonical(request);
  if (bytes.size() > bounds::kRequestBytesMax) return Fail(TooLarge(bytes.size()));
  return bytes;
}

}  // namespace holdfast::api
