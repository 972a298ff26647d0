#include "src/state_machine/outcome_field.h"

#include "holdfast/options.pb.h"

namespace holdfast::state_machine {

const google::protobuf::FieldDescriptor* OutcomeField(const google::protobuf::Descriptor& reply) {
  for (int i = 0; i < reply.field_count(); ++i) {
    const google::protobuf::FieldDescriptor* field = reply.field(i);
    if (!field->is_repeated() && field->enum_type() != nullptr &&
        field->options().GetExtension(holdfast::field).outcome()) {
      return field;
    }
  }
  return nullptr;
}

}  // namespace holdfast::state_machine
