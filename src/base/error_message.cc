#include "src/base/error_message.h"

namespace holdfast {

ErrorMessage ToWire(const Error& error) {
  ErrorMessage out;
  out.set_code(static_cast<uint32_t>(error.code));
  out.set_message(error.message);
  out.set_field(error.field);
  out.set_hint(error.hint);
  out.set_retry_after_ms(error.retry_after_ms);
  return out;
}

Error FromWire(const ErrorMessage& message) {
  Error error{ErrorCode::kInternal, message.message(), message.field(), message.hint(),
              message.retry_after_ms()};
  if (message.code() >= static_cast<uint32_t>(ErrorCode::kInvalidArgument) &&
      message.code() <= static_cast<uint32_t>(ErrorCode::kInternal)) {
    error.code = static_cast<ErrorCode>(message.code());
  }
  return error;
}

}  // namespace holdfast
