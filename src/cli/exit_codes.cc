#include "src/cli/exit_codes.h"

#include "holdfast/options.pb.h"
#include "src/api/errors.h"
#include "src/state_machine/outcome_field.h"

namespace holdfast::cli {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

namespace {

// The list of results, one for each item of the request.
const FieldDescriptor* ItemsOf(const Descriptor& reply) {
  for (int i = 0; i < reply.field_count(); ++i) {
    const FieldDescriptor* field = reply.field(i);
    if (field->is_repeated() && !field->is_map() && field->message_type() != nullptr &&
        state_machine::OutcomeField(*field->message_type()) != nullptr) {
      return field;
    }
  }
  return nullptr;
}

}  // namespace

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
  const auto* value = state_machine::OutcomeOf(reply);
  if (value == nullptr) return {};
  const OutcomeOptions& options = value->options().GetExtension(holdfast::outcome);
  const int status = options.http_status() == 0 ? 200 : static_cast<int>(options.http_status());
  return {value->name(), status, options.help()};
}

ItemOutcomes ItemOutcomesOf(const google::protobuf::Message& reply) {
  ItemOutcomes found;
  const FieldDescriptor* list = ItemsOf(*reply.GetDescriptor());
  if (list == nullptr) return found;
  found.items = static_cast<size_t>(reply.GetReflection()->FieldSize(reply, list));
  for (size_t i = 0; i < found.items; ++i) {
    const auto& item = reply.GetReflection()->GetRepeatedMessage(reply, list, static_cast<int>(i));
    Outcome outcome = OutcomeOf(item);
    if (!outcome.refused() || ++found.refused > 1) continue;
    found.place = list->name() + "[" + std::to_string(i) + "]";
    found.first = std::move(outcome);
  }
  return found;
}

const FieldDescriptor* OutcomeFieldOf(const Descriptor& reply) {
  if (const FieldDescriptor* own = state_machine::OutcomeField(reply)) return own;
  const FieldDescriptor* list = ItemsOf(reply);
  return list == nullptr ? nullptr : state_machine::OutcomeField(*list->message_type());
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
