#include "src/state_machine/outcome_field.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

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

const google::protobuf::EnumValueDescriptor* OutcomeOf(const google::protobuf::Message& reply) {
  const google::protobuf::FieldDescriptor* field = OutcomeField(*reply.GetDescriptor());
  if (field == nullptr) return nullptr;
  const google::protobuf::Reflection& reflection = *reply.GetReflection();
  if (field->has_optional_keyword() && !reflection.HasField(reply, field)) return nullptr;
  return reflection.GetEnum(reply, field);
}

uint64_t PeekNumber(std::string_view bytes, int field) {
  using google::protobuf::internal::WireFormatLite;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  while (const uint32_t tag = in.ReadTag()) {
    const int at = WireFormatLite::GetTagFieldNumber(tag);
    if (at == field) {
      uint64_t value = 0;
      return in.ReadVarint64(&value) ? value : 0;
    }
    if (at > field || !WireFormatLite::SkipField(&in, tag)) return 0;
  }
  return 0;
}

}  // namespace holdfast::state_machine
