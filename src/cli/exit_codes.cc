#include "src/cli/exit_codes.h"

#include <google/protobuf/descriptor.h>

#include "holdfast/options.pb.h"
#include "src/api/errors.h"

namespace holdfast::cli {

using google::protobuf::FieldDescriptor;

ExitCode ExitCodeOf(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnimplemented:
    case ErrorCode::kTooLarge: return kExitUsage;
    case ErrorCode::kNotFound:
    case ErrorCode::kIdempotencyKeyReused: return kExitRefused;
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded: return kExitUnavailable;
    case ErrorCode::kOutcomeUnknown: return kExitOutcomeUnknown;
    case ErrorCode::kInternal: return kExitFault;
  }
  return kExitFault;  // A code of a newer node.
}

Outcome OutcomeOf(const google::protobuf::Message& reply) {
  const auto* type = reply.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_ENUM ||
        !field->options().GetExtension(holdfast::field).outcome()) {
      continue;
    }
    const auto* value = reply.GetReflection()->GetEnum(reply, field);
    const OutcomeOptions& options = value->options().GetExtension(holdfast::outcome);
    const int status = options.http_status() == 0 ? 200 : static_cast<int>(options.http_status());
    return {value->name(), status, options.help()};
  }
  return {};
}

std::string OneLine(const Error& error) {
  std::string line = api::DetailOf(error);
  if (!error.hint.empty()) line += " (" + error.hint + ")";
  // What a node or a file sent may hold anything; a terminal must not obey it.
  for (char& c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) c = ' ';
  }
  return line;
}

}  // namespace holdfast::cli
