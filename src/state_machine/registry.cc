#include "src/state_machine/registry.h"

#include <absl/strings/string_view.h>

#include <map>

#include "src/base/behaviour.h"
#include "src/state_machine/outcome_field.h"

namespace holdfast::state_machine {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

uint16_t NumberOf(uint8_t service, uint8_t method) {
  return static_cast<uint16_t>(service << 8 | method);
}

// The rules of one message type: only of fields with something to check. Types may refer to
// themselves, so all rules of a tree of types are owned together and point at one another.
struct TypeRules {
  // All that is asked of a field for each message, at hand: descriptors are slow to ask.
  struct FieldRule {
    const FieldDescriptor* field;
    FieldDescriptor::CppType type;
    bool repeated;
    bool required;
    bool positive;
    size_t size_max;          // 0: none.
    uint64_t value_max;       // 0: none.
    const TypeRules* nested;  // Of a message field; may turn out to be empty.
  };
  const Reflection* reflection = nullptr;  // Of the type; asking a message for it costs more.
  std::vector<FieldRule> fields;
};

using TypeRulesMap = std::map<const Descriptor*, std::unique_ptr<TypeRules>>;

// The field that says how long the caller waits; nullptr when there is none.
const FieldDescriptor* WaitField(const Descriptor& request) {
  for (int i = 0; i < request.field_count(); ++i) {
    const FieldDescriptor* field = request.field(i);
    const FieldOptions& options = field->options().GetExtension(::holdfast::field);
    if (!options.wait_ms()) continue;
    HOLDFAST_CHECK(field->type() == FieldDescriptor::TYPE_UINT32 && !field->is_repeated() &&
                       options.max_value() > 0,
                   field->full_name() + " is no bounded uint32");
    return field;
  }
  return nullptr;
}

const Message* PrototypeOf(const Descriptor& type) {
  return google::protobuf::MessageFactory::generated_factory()->GetPrototype(&type);
}

const TypeRules* RulesOf(const Message& prototype, TypeRulesMap& known) {
  const Descriptor& type = *prototype.GetDescriptor();
  if (auto found = known.find(&type); found != known.end()) return found->second.get();
  TypeRules* rules = (known[&type] = std::make_unique<TypeRules>()).get();
  rules->reflection = prototype.GetReflection();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    const FieldOptions& options = field->options().GetExtension(::holdfast::field);
    TypeRules::FieldRule rule{field,
                              field->cpp_type(),
                              field->is_repeated(),
                              options.required(),
                              options.positive(),
                              options.max_size(),
                              options.max_value(),
                              nullptr};
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map()) {
      rule.nested = RulesOf(*PrototypeOf(*field->message_type()), known);
    }
    if (rule.required || rule.size_max > 0 || rule.value_max > 0 || rule.positive ||
        rule.nested != nullptr) {
      rules->fields.push_back(rule);
    }
  }
  return rules;
}

// Paths are put together only where something failed.
Result<void> Under(const std::string& prefix, Result<void> checked) {
  if (!checked) checked.error().field = prefix + checked.error().field;
  return checked;
}

Result<void> CheckType(const TypeRules& rules, const Message& message);

Result<void> CheckGreatest(uint64_t value, const TypeRules::FieldRule& rule) {
  if (rule.value_max == 0 || value <= rule.value_max) return {};
  return Fail(InvalidArgument(
      "", "must be at most " + std::to_string(rule.value_max) + ", is " + std::to_string(value)));
}

Result<void> CheckNumber(int64_t value, const TypeRules::FieldRule& rule) {
  if (rule.positive && value == 0) {
    return Fail(InvalidArgument("", "is required, and must be at least 1"));
  }
  if (rule.positive && value < 1) {
    return Fail(InvalidArgument("", "must be at least 1, is " + std::to_string(value)));
  }
  if (rule.required && value == 0) return Fail(InvalidArgument("", "is required"));
  if (value > 0) return CheckGreatest(static_cast<uint64_t>(value), rule);
  return {};
}

Result<void> CheckSize(size_t size, const TypeRules::FieldRule& rule, const char* of) {
  if (rule.size_max == 0 || size <= rule.size_max) return {};
  return Fail(InvalidArgument("", "has " + std::to_string(size) + " " + of + ", at most " +
                                      std::to_string(rule.size_max) + " are allowed"));
}

Result<void> CheckRepeated(const TypeRules::FieldRule& rule, const Reflection& reflection,
                           const Message& message) {
  const int size = reflection.FieldSize(message, rule.field);
  if (rule.required && size == 0) {
    return Fail(InvalidArgument("", "must have at least one element"));
  }
  if (auto checked = CheckSize(static_cast<size_t>(size), rule, "elements"); !checked) {
    return checked;
  }
  if (rule.nested == nullptr || rule.nested->fields.empty()) return {};
  for (int i = 0; i < size; ++i) {
    auto checked = CheckType(*rule.nested, reflection.GetRepeatedMessage(message, rule.field, i));
    if (!checked) return Under("[" + std::to_string(i) + "].", std::move(checked));
  }
  return {};
}

Result<void> CheckField(const TypeRules::FieldRule& rule, const Reflection& reflection,
                        const Message& message) {
  const FieldDescriptor* field = rule.field;
  if (rule.repeated) return CheckRepeated(rule, reflection, message);
  switch (rule.type) {
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch;
      const std::string& value = reflection.GetStringReference(message, field, &scratch);
      if (rule.required && value.empty()) return Fail(InvalidArgument("", "is required"));
      return CheckSize(value.size(), rule, "bytes");
    }
    case FieldDescriptor::CPPTYPE_INT64:
      return CheckNumber(reflection.GetInt64(message, field), rule);
    case FieldDescriptor::CPPTYPE_INT32:
      return CheckNumber(reflection.GetInt32(message, field), rule);
    case FieldDescriptor::CPPTYPE_UINT32:
      return CheckNumber(reflection.GetUInt32(message, field), rule);
    case FieldDescriptor::CPPTYPE_UINT64: {
      const uint64_t value = reflection.GetUInt64(message, field);
      if (value == 0) return CheckNumber(0, rule);
      return CheckGreatest(value, rule);
    }
    case FieldDescriptor::CPPTYPE_ENUM:
      return CheckNumber(reflection.GetEnumValue(message, field), rule);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (!reflection.HasField(message, field)) {
        if (rule.required) return Fail(InvalidArgument("", "is required"));
        return {};
      }
      if (rule.nested == nullptr) return {};
      return Under(".", CheckType(*rule.nested, reflection.GetMessage(message, field)));
    default: return {};
  }
}

Result<void> CheckType(const TypeRules& rules, const Message& message) {
  for (const TypeRules::FieldRule& rule : rules.fields) {
    if (Result<void> checked = CheckField(rule, *rules.reflection, message); !checked) {
      return Under(rule.field->name(), std::move(checked));
    }
  }
  return {};
}

}  // namespace

std::function<Result<void>(const Message&)> CompileValidator(const Descriptor& type) {
  auto known = std::make_shared<TypeRulesMap>();
  const TypeRules* rules = RulesOf(*PrototypeOf(type), *known);
  return [known, rules](const Message& message) { return CheckType(*rules, message); };
}

const OutcomeOptions& Method::OutcomeOf(std::string_view bytes) const {
  if (outcome == nullptr) return OutcomeOptions::default_instance();
  const auto number = static_cast<int>(PeekNumber(bytes, outcome->number()));
  const auto* value = outcome->enum_type()->FindValueByNumber(number);
  if (value == nullptr) return OutcomeOptions::default_instance();
  return value->options().GetExtension(::holdfast::outcome);
}

uint8_t Registry::AddService(std::string_view full_name, std::unique_ptr<Service> service) {
  const std::string name(full_name);
  const auto* descriptor = DescriptorPool::generated_pool()->FindServiceByName(name);
  HOLDFAST_CHECK(descriptor != nullptr, "no .proto of this build declares service " + name);
  const ServiceOptions& options = descriptor->options().GetExtension(::holdfast::service);
  HOLDFAST_CHECK(options.id() >= 1 && options.id() <= 255,
                 "service " + name + " has no id from 1 to 255 in its options");
  const auto id = static_cast<uint8_t>(options.id());
  HOLDFAST_CHECK(FindService(id) == nullptr,
                 "service id " + std::to_string(id) + " of " + name + " is taken");
  services_.emplace_back(id, std::move(service));
  descriptors_.push_back(descriptor);
  return id;
}

Method& Registry::AddMethod(uint8_t service, std::string_view name, Kind kind,
                            const Message& request, const Message& reply) {
  const google::protobuf::ServiceDescriptor* owner = nullptr;
  for (size_t i = 0; i < services_.size(); ++i) {
    if (services_[i].first == service) owner = descriptors_[i];
  }
  HOLDFAST_CHECK(owner != nullptr, "method of an unknown service");
  const std::string full = owner->full_name() + "." + std::string(name);
  const auto* descriptor = owner->FindMethodByName(std::string(name));
  HOLDFAST_CHECK(descriptor != nullptr, full + " is not declared in its .proto");
  auto method = std::make_unique<Method>();
  method->descriptor = descriptor;
  method->options = descriptor->options().GetExtension(::holdfast::method);
  HOLDFAST_CHECK(method->options.kind() == kind, full + " is declared with another kind");
  HOLDFAST_CHECK(method->options.id() >= 1 && method->options.id() <= 255,
                 full + " has no id from 1 to 255");
  HOLDFAST_CHECK(method->options.since() == 0 ||
                     (kind == WRITE && BehaviourOf(method->options.since()).version != 0),
                 full + " is new, and no write");
  HOLDFAST_CHECK(descriptor->input_type() == request.GetDescriptor(),
                 full + " is bound with another request type");
  HOLDFAST_CHECK(descriptor->output_type() == reply.GetDescriptor(),
                 full + " is bound with another reply type");
  method->service_id = service;
  method->method_id = static_cast<uint8_t>(method->options.id());
  method->service_name = owner->options().GetExtension(::holdfast::service).name();
  method->full_name = "/" + owner->full_name() + "/" + std::string(name);
  method->request = &request;
  method->reply = &reply;
  method->outcome = OutcomeField(*reply.GetDescriptor());
  method->outcomes = std::make_unique<Outcomes>(reply);
  method->wait_ms = WaitField(*request.GetDescriptor());
  const bool new_number =
      by_number_.emplace(NumberOf(service, method->method_id), method.get()).second;
  HOLDFAST_CHECK(new_number, "the id of " + full + " is taken");
  HOLDFAST_CHECK(by_name_.emplace(method->full_name, method.get()).second,
                 full + " is bound twice");
  HOLDFAST_CHECK(
      by_name_.emplace(method->service_name + "." + std::string(name), method.get()).second,
      "the name of the service of " + full + " is taken");
  methods_.push_back(std::move(method));
  return *methods_.back();
}

std::optional<Error> Method::NotYet(uint32_t behaviour) const {
  const uint32_t since = options.since();
  if (since <= behaviour) return std::nullopt;
  return Error{ErrorCode::kUnimplemented,
               full_name + " comes with version " + std::to_string(since) +
                   " of the behaviour, and the cluster goes by version " +
                   std::to_string(behaviour),
               "",
               std::string("Install Holdfast ") + BehaviourOf(since).release +
                   " or newer on every node; holdfast status shows who is missing.",
               0};
}

void Registry::Finish() {
  for (const auto* descriptor : descriptors_) {
    for (int i = 0; i < descriptor->method_count(); ++i) {
      const std::string name = "/" + descriptor->full_name() + "/" + descriptor->method(i)->name();
      HOLDFAST_CHECK(by_name_.contains(name), name + " is declared but bound to no function");
    }
  }
  for (const auto& method : methods_) {
    if (method->options.awaits().empty()) continue;
    const Method* read = Find(method->service_name + "." + method->options.awaits());
    HOLDFAST_CHECK(read != nullptr && method->kind() == WRITE && read->kind() == READ &&
                       method->request == read->request && method->reply == read->reply &&
                       method->wait_ms != nullptr && method->outcome != nullptr,
                   method->full_name + " awaits what cannot answer in its stead");
    method->awaits = read;
  }
  std::sort(methods_.begin(), methods_.end(), [](const auto& a, const auto& b) {
    return NumberOf(a->service_id, a->method_id) < NumberOf(b->service_id, b->method_id);
  });
}

const Method* Registry::Find(std::string_view name) const {
  auto found = by_name_.find(absl::string_view(name.data(), name.size()));
  return found == by_name_.end() ? nullptr : found->second;
}

const Method* Registry::Find(uint8_t service, uint8_t method) const {
  auto found = by_number_.find(NumberOf(service, method));
  return found == by_number_.end() ? nullptr : found->second;
}

Service* Registry::FindService(uint8_t id) const {
  for (const auto& [number, service] : services_) {
    if (number == id) return service.get();
  }
  return nullptr;
}

}  // namespace holdfast::state_machine
