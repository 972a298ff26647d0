#include "src/state_machine/outcomes.h"

#include "holdfast/options.pb.h"
#include "src/state_machine/outcome_field.h"

namespace holdfast::state_machine {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

namespace {

constexpr uint32_t kRefusedFrom = 400;  // HTTP status of an outcome.

// What is only pending was not done: nobody in a list could wait for it.
bool IsRefusal(const EnumValueDescriptor* outcome) {
  if (outcome == nullptr) return false;
  const OutcomeOptions& means = outcome->options().GetExtension(holdfast::outcome);
  return means.pending() || means.http_status() >= kRefusedFrom;
}

}  // namespace

Outcomes::Place::Place(const Message& prototype)
    : reflection(prototype.GetReflection()), field(OutcomeField(*prototype.GetDescriptor())) {}

const EnumValueDescriptor* Outcomes::Place::Of(const Message& message) const {
  if (field == nullptr) return nullptr;
  if (field->has_optional_keyword() && !reflection->HasField(message, field)) return nullptr;
  return reflection->GetEnum(message, field);
}

Outcomes::Outcomes(const Message& prototype) : whole_(prototype) {
  for (int i = 0; i < prototype.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = prototype.GetDescriptor()->field(i);
    if (!field->is_repeated() || field->is_map()) continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM &&
        field->options().GetExtension(holdfast::field).outcome()) {
      items_.push_back({field, std::nullopt});
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
               OutcomeField(*field->message_type()) != nullptr) {
      auto* factory = google::protobuf::MessageFactory::generated_factory();
      items_.push_back({field, Place(*factory->GetPrototype(field->message_type()))});
    }
  }
}

const EnumValueDescriptor* Outcomes::RefusalIn(const Message& reply) const {
  if (const EnumValueDescriptor* whole = Of(reply); IsRefusal(whole)) return whole;
  const auto& reflection = *whole_.reflection;
  for (const Items& items : items_) {
    for (int at = 0; at < reflection.FieldSize(reply, items.field); ++at) {
      const EnumValueDescriptor* item =
          items.place ? items.place->Of(reflection.GetRepeatedMessage(reply, items.field, at))
                      : reflection.GetRepeatedEnum(reply, items.field, at);
      if (IsRefusal(item)) return item;
    }
  }
  return nullptr;
}

}  // namespace holdfast::state_machine
