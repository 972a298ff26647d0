#include "src/api/method_part.h"

#include <absl/strings/ascii.h>

#include "holdfast/options.pb.h"
#include "src/api/text.h"

namespace holdfast::api {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;

MethodPart PartOf(const FieldDescriptor* field) {
  return field->options().GetExtension(holdfast::field).of_method();
}

const MethodDescriptor* FindMethod(std::string_view name) {
  const auto* pool = DescriptorPool::generated_pool();
  if (name.starts_with('/')) {
    std::string full(name.substr(1));
    if (const size_t slash = full.find('/'); slash != std::string::npos) full[slash] = '.';
    return pool->FindMethodByName(full);
  }
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0) return nullptr;
  const std::string_view word = name.substr(0, dot);
  return pool->FindMethodByName(Cat("holdfast.", word, ".",
                                    std::string(1, absl::ascii_toupper(word[0])), word.substr(1),
                                    name.substr(dot)));
}

}  // namespace

bool IsMethodPart(const FieldDescriptor* field) {
  return field->type() == FieldDescriptor::TYPE_BYTES && PartOf(field) != NO_PART;
}

std::string MethodBeside(const Message& message) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName("method");
  return field == nullptr ? "" : message.GetReflection()->GetString(message, field);
}

Message* NewMethodPart(const FieldDescriptor* field, std::string_view name,
                       google::protobuf::Arena* arena) {
  const MethodDescriptor* method = FindMethod(name);
  if (method == nullptr) return nullptr;
  const auto* type = PartOf(field) == REQUEST ? method->input_type() : method->output_type();
  return MessageFactory::generated_factory()->GetPrototype(type)->New(arena);
}

}  // namespace holdfast::api
