// The way out. Fields in the order of their declaration, map entries in the order of their keys.
#include <absl/strings/escaping.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <charconv>
#include <cmath>

#include "holdfast/options.pb.h"
#include "src/api/json.h"
#include "src/api/method_part.h"
#include "src/api/scalar.h"
#include "src/base/check.h"

namespace holdfast::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kSingular = -1;  // Instead of an index into a repeated field.

void WriteString(auto& writer, std::string_view text) {
  writer.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

void WriteDouble(auto& writer, auto value) {
  if (!std::isfinite(value)) {  // JSON has no number for these.
    WriteString(writer, std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    return;
  }
  char text[32];
  const char* end = std::to_chars(text, text + sizeof(text), value).ptr;
  writer.RawValue(text, static_cast<size_t>(end - text), rapidjson::kNumberType);
}

// `value` as a number, or `true` where the field says so.
bool IsJsonTrue(const FieldDescriptor* field, int64_t value) {
  return value != 0 && value == field->options().GetExtension(holdfast::field).json_true();
}

void WriteMessage(auto& writer, const Message& message);

// False: nobody knows what the bytes are.
bool WriteMethodPart(auto& writer, const Message& message, const FieldDescriptor* field,
                     const std::string& bytes) {
  google::protobuf::Arena arena;
  Message* part = NewMethodPart(field, MethodBeside(message), &arena);
  if (part == nullptr || !part->ParseFromString(bytes)) return false;
  WriteMessage(writer, *part);
  return true;
}

void WriteValue(auto& writer, const Message& message, const FieldDescriptor* field, int index) {
  const Reflection* reflection = message.GetReflection();
  const bool one = index == kSingular;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      const int32_t value = one ? reflection->GetInt32(message, field)
                                : reflection->GetRepeatedInt32(message, field, index);
      IsJsonTrue(field, value) ? writer.Bool(true) : writer.Int(value);
      return;
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      const int64_t value = one ? reflection->GetInt64(message, field)
                                : reflection->GetRepeatedInt64(message, field, index);
      IsJsonTrue(field, value) ? writer.Bool(true) : writer.Int64(value);
      return;
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      const uint32_t value = one ? reflection->GetUInt32(message, field)
                                 : reflection->GetRepeatedUInt32(message, field, index);
      IsJsonTrue(field, value) ? writer.Bool(true) : writer.Uint(value);
      return;
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      const uint64_t value = one ? reflection->GetUInt64(message, field)
                                 : reflection->GetRepeatedUInt64(message, field, index);
      writer.Uint64(value);
      return;
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
      WriteDouble(writer, one ? reflection->GetDouble(message, field)
                              : reflection->GetRepeatedDouble(message, field, index));
      return;
    case FieldDescriptor::CPPTYPE_FLOAT:
      WriteDouble(writer, one ? reflection->GetFloat(message, field)
                              : reflection->GetRepeatedFloat(message, field, index));
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      writer.Bool(one ? reflection->GetBool(message, field)
                      : reflection->GetRepeatedBool(message, field, index));
      return;
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int value = one ? reflection->GetEnumValue(message, field)
                            : reflection->GetRepeatedEnumValue(message, field, index);
      if (const auto* known = field->enum_type()->FindValueByNumber(value)) {
        WriteString(writer, known->name());
      } else {
        writer.Int(value);  // From a newer version.
      }
      return;
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch;
      const std::string& value =
          one ? reflection->GetStringReference(message, field, &scratch)
              : reflection->GetRepeatedStringReference(message, field, index, &scratch);
      if (IsMethodPart(field) && WriteMethodPart(writer, message, field, value)) {
        return;
      }
      if (field->type() == FieldDescriptor::TYPE_BYTES) {
        WriteString(writer, absl::Base64Escape(value));
      } else {
        WriteString(writer, value);
      }
      return;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const Message& value = one ? reflection->GetMessage(message, field)
                                 : reflection->GetRepeatedMessage(message, field, index);
      if (IsTimestamp(field)) {
        WriteString(writer, FormatTimestamp(GetTimestamp(value)));
      } else {
        WriteMessage(writer, value);
      }
      return;
    }
  }
}

void WriteMap(auto& writer, const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  const auto* type = field->message_type();
  std::vector<std::pair<std::string, const Message*>> entries;
  for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
    const Message& entry = reflection->GetRepeatedMessage(message, field, i);
    entries.emplace_back(FieldText(entry, type->map_key()), &entry);
  }
  // By key; the text of a number sorts differently from the number, but as surely.
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  writer.StartObject();
  for (const auto& [key, entry] : entries) {
    writer.Key(key.data(), static_cast<rapidjson::SizeType>(key.size()));
    WriteValue(writer, *entry, type->map_value(), kSingular);
  }
  writer.EndObject();
}

// Whether a field's value is only the absence of one: an empty text, or an enum's `unspecified`.
// Zeros and falses are values: a balance of 0 is worth saying.
bool SaysNothing(const Message& message, const FieldDescriptor* field) {
  if (field->is_repeated()) return false;
  const Reflection* reflection = message.GetReflection();
  if (field->has_presence()) return !reflection->HasField(message, field);
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    return !reflection->HasField(message, field);
  }
  return field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM &&
         !reflection->HasField(message, field) &&
         field->default_value_enum()->name() == "unspecified";
}

void WriteMessage(auto& writer, const Message& message) {
  const auto* type = message.GetDescriptor();
  const Reflection* reflection = message.GetReflection();
  writer.StartObject();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (SaysNothing(message, field)) continue;
    writer.Key(field->name().data(), static_cast<rapidjson::SizeType>(field->name().size()));
    if (field->is_map()) {
      WriteMap(writer, message, field);
    } else if (field->is_repeated()) {
      writer.StartArray();
      const int size = reflection->FieldSize(message, field);
      for (int at = 0; at < size; ++at) WriteValue(writer, message, field, at);
      writer.EndArray();
    } else {
      WriteValue(writer, message, field, kSingular);
    }
  }
  writer.EndObject();
}

}  // namespace

std::string ToJson(const Message& message, JsonStyle style) {
  rapidjson::StringBuffer out;
  if (style == JsonStyle::kPretty) {
    rapidjson::PrettyWriter<rapidjson::StringBuffer> writer(out);
    writer.SetIndent(' ', 2);
    WriteMessage(writer, message);
  } else {
    rapidjson::Writer<rapidjson::StringBuffer> writer(out);
    WriteMessage(writer, message);
  }
  return {out.GetString(), out.GetSize()};
}

std::string FieldText(const Message& message, const FieldDescriptor* field) {
  HOLDFAST_CHECK(!field->is_repeated() && IsScalar(field), field->full_name() + " is no scalar");
  const bool quoted = field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  if (quoted && field->type() != FieldDescriptor::TYPE_BYTES) {
    return message.GetReflection()->GetString(message, field);
  }
  rapidjson::StringBuffer out;
  rapidjson::Writer<rapidjson::StringBuffer> writer(out);
  WriteValue(writer, message, field, kSingular);
  std::string_view text(out.GetString(), out.GetSize());
  // Names, times and base64 hold nothing that JSON escapes.
  if (text.size() >= 2 && text.front() == '"') text = text.substr(1, text.size() - 2);
  return std::string(text);
}

}  // namespace holdfast::api
