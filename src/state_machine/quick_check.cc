#include "src/state_machine/quick_check.h"

#include <array>

#include "holdfast/options.pb.h"

namespace holdfast::state_machine {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// Fields with greater numbers may have no rules; one bit of a word for each of the others.
constexpr uint32_t kNumbers = 32;
// Where protobuf itself refuses to parse any deeper.
constexpr int kDepthMax = 100;

enum class Wire : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// Behind it; nullptr when there is none before `end`.
const uint8_t* ReadLongVarint(const uint8_t* at, const uint8_t* end, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64 && at != end; shift += 7) {
    const uint8_t byte = *at++;
    *value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return at;
  }
  return nullptr;
}

inline const uint8_t* ReadVarint(const uint8_t* at, const uint8_t* end, uint64_t* value) {
  if (at == end || *at >= 0x80) return ReadLongVarint(at, end, value);
  *value = *at;
  return at + 1;
}

enum class Kind : uint8_t { kFree, kInt32, kInt64, kUint32, kUint64, kString, kMessage, kRepeated };

}  // namespace

struct QuickCheck::Type {
  struct Rule {
    Kind kind = Kind::kFree;  // Without a rule.
    bool positive = false;
    bool nonzero = false;
    uint32_t size_max = UINT32_MAX;
    uint64_t value_max = UINT64_MAX;
    const Type* nested = nullptr;

    bool Takes(uint64_t value) const { return (value != 0 || !nonzero) && value <= value_max; }
    bool TakesSigned(int64_t value) const {
      if (value < 0) return !positive;
      return Takes(static_cast<uint64_t>(value));
    }
  };
  bool unsure = false;  // Has a rule that only the slow way knows to check.
  bool has_rules = false;
  uint32_t required = 0;  // Bit n: field n must be there.
  std::array<Rule, kNumbers> rules;
};

QuickCheck::QuickCheck(const Descriptor& type) : root_(Compile(type, types_)) {}
QuickCheck::~QuickCheck() = default;
QuickCheck::QuickCheck(QuickCheck&&) noexcept = default;

bool QuickCheck::SurelyMeets(std::string_view bytes) const {
  const auto* begin = reinterpret_cast<const uint8_t*>(bytes.data());
  return Scan(*root_, begin, begin + bytes.size(), 0);
}

const QuickCheck::Type* QuickCheck::Compile(const Descriptor& descriptor, Types& types) {
  if (auto found = types.find(&descriptor); found != types.end()) return found->second.get();
  Type* type = (types[&descriptor] = std::make_unique<Type>()).get();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor* field = descriptor.field(i);
    const FieldOptions& options = field->options().GetExtension(::holdfast::field);
    Type::Rule rule;
    rule.positive = options.positive();
    rule.nonzero = options.positive() || options.required();
    if (options.max_size() > 0) rule.size_max = options.max_size();
    if (options.max_value() > 0) rule.value_max = options.max_value();
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map()) {
      rule.nested = Compile(*field->message_type(), types);
    }
    if (!rule.nonzero && options.max_size() == 0 && options.max_value() == 0 &&
        rule.nested == nullptr) {
      continue;
    }
    type->has_rules = true;
    if (field->is_repeated()) {
      rule.kind = Kind::kRepeated;
      if (field->is_packable()) type->unsure = true;
    } else {
      switch (field->type()) {
        case FieldDescriptor::TYPE_INT32:
        case FieldDescriptor::TYPE_ENUM: rule.kind = Kind::kInt32; break;
        case FieldDescriptor::TYPE_INT64: rule.kind = Kind::kInt64; break;
        case FieldDescriptor::TYPE_UINT32: rule.kind = Kind::kUint32; break;
        case FieldDescriptor::TYPE_UINT64: rule.kind = Kind::kUint64; break;
        case FieldDescriptor::TYPE_STRING:
        case FieldDescriptor::TYPE_BYTES: rule.kind = Kind::kString; break;
        case FieldDescriptor::TYPE_MESSAGE: rule.kind = Kind::kMessage; break;
        default: type->unsure = true;
      }
    }
    const auto number = static_cast<uint32_t>(field->number());
    if (number >= kNumbers || field->real_containing_oneof() != nullptr) {
      type->unsure = true;
      continue;
    }
    if (rule.nonzero) type->required |= uint32_t{1} << number;
    type->rules[number] = rule;
  }
  return type;
}

bool QuickCheck::Scan(const Type& type, const uint8_t* at, const uint8_t* end, int depth) {
  if (type.unsure || depth > kDepthMax) return false;
  uint32_t seen = 0;
  std::array<uint32_t, kNumbers> counts;  // Of repeated fields, valid where `seen` has the bit.
  while (at != end) {
    uint64_t tag;
    if ((at = ReadVarint(at, end, &tag)) == nullptr) return false;
    const uint64_t number = tag >> 3;
    const auto wire = static_cast<Wire>(tag & 7);
    uint64_t value = 0;  // Or the length.
    if (wire == Wire::kVarint || wire == Wire::kBytes) {
      if ((at = ReadVarint(at, end, &value)) == nullptr) return false;
    } else if (wire == Wire::kFixed64 || wire == Wire::kFixed32) {
      value = wire == Wire::kFixed64 ? 8 : 4;
    } else {
      return false;
    }
    const uint8_t* content = at;
    if (wire != Wire::kVarint) {
      if (value > static_cast<uint64_t>(end - at)) return false;
      at += value;
    }
    if (number >= kNumbers) continue;  // No rule: such a type would be unsure.
    const Type::Rule& rule = type.rules[number];
    if (rule.kind == Kind::kFree) continue;

    const bool is_number = rule.kind < Kind::kString;
    if (wire != (is_number ? Wire::kVarint : Wire::kBytes)) return false;
    const uint32_t bit = uint32_t{1} << number;
    if (rule.kind == Kind::kRepeated) {
      const uint32_t count = (seen & bit) != 0 ? counts[number] + 1 : 1;
      if (count > rule.size_max) return false;
      counts[number] = count;
    } else if ((seen & bit) != 0) {
      return false;  // The last one counts, or they are merged.
    }
    seen |= bit;
    bool good = true;
    switch (rule.kind) {
      case Kind::kInt32: good = rule.TakesSigned(static_cast<int32_t>(value)); break;
      case Kind::kInt64: good = rule.TakesSigned(static_cast<int64_t>(value)); break;
      case Kind::kUint32: good = rule.Takes(static_cast<uint32_t>(value)); break;
      case Kind::kUint64: good = rule.Takes(value); break;
      case Kind::kString: good = value <= rule.size_max && (value > 0 || !rule.nonzero); break;
      default:
        good = rule.nested == nullptr || !rule.nested->has_rules ||
               Scan(*rule.nested, content, at, depth + 1);
    }
    if (!good) return false;
  }
  return (seen & type.required) == type.required;
}

}  // namespace holdfast::state_machine
