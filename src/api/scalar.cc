#include "src/api/scalar.h"

#include <absl/strings/escaping.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "holdfast/options.pb.h"
#include "src/api/method_part.h"
#include "src/api/text.h"

namespace holdfast::api {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int64_t kSecondsMin = -62'135'596'800;  // 0001-01-01T00:00:00Z
constexpr int64_t kSecondsMax = 253'402'300'799;  // 9999-12-31T23:59:59Z

// Enough to choose from; a longer list belongs into the documentation.
constexpr int kEnumNamesShownMax = 16;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// -?(0|[1-9][0-9]*), as JSON writes an integer.
bool IsIntegerText(std::string_view text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  if (text.empty() || (text[0] == '0' && text.size() > 1)) return false;
  return std::all_of(text.begin(), text.end(), IsDigit);
}

template <class T>
Reason ParseInteger(Text kind, std::string_view text, T* out) {
  if (kind == Text::kBool) return "must be an integer";
  if (!IsIntegerText(text)) {
    const bool number = kind == Text::kNumber;  // Then JSON itself saw to the syntax.
    return number ? "must be an integer, without a fraction or exponent" : "must be an integer";
  }
  if (text == "-0") text = "0";
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Cat("must be an integer from ", std::numeric_limits<T>::min(), " to ",
               std::numeric_limits<T>::max());
  }
  return std::nullopt;
}

template <class T>
Reason ParseFloat(Text kind, std::string_view text, T* out) {
  if (kind == Text::kBool || text.empty() || text[0] == '+') return "must be a number";
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  if (end != text.data() + text.size()) return "must be a number";
  if (error != std::errc() || (kind != Text::kString && !std::isfinite(*out))) {
    return "must be a number that fits its type";
  }
  return std::nullopt;
}

const EnumValueDescriptor* FindEnumValue(const FieldDescriptor* field, std::string_view text) {
  return field->enum_type()->FindValueByName(std::string(text));
}

bool DecodeBase64(std::string_view text, std::string* out) {
  const absl::string_view view(text.data(), text.size());
  return absl::Base64Unescape(view, out) || absl::WebSafeBase64Unescape(view, out);
}

}  // namespace

bool IsValidUtf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    if (*p < 0x80) {
      ++p;
      continue;
    }
    // Lead byte, number of continuation bytes, and the bounds of the first of them: these exclude
    // overlong forms, surrogates and what lies above U+10FFFF.
    int more = 0;
    unsigned char low = 0x80, high = 0xBF;
    if (*p >= 0xC2 && *p <= 0xDF) {
      more = 1;
    } else if (*p >= 0xE0 && *p <= 0xEF) {
      more = 2;
      if (*p == 0xE0) low = 0xA0;
      if (*p == 0xED) high = 0x9F;
    } else if (*p >= 0xF0 && *p <= 0xF4) {
      more = 3;
      if (*p == 0xF0) low = 0x90;
      if (*p == 0xF4) high = 0x8F;
    } else {
      return false;
    }
    if (end - p <= more || p[1] < low || p[1] > high) return false;
    for (int i = 2; i <= more; ++i) {
      if (p[i] < 0x80 || p[i] > 0xBF) return false;
    }
    p += more + 1;
  }
  return true;
}

bool IsTimestamp(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field->message_type()->full_name() == "google.protobuf.Timestamp";
}

bool IsScalar(const FieldDescriptor* field) {
  return field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || IsTimestamp(field);
}

std::string Expectation(const FieldDescriptor* field) {
  if (IsMethodPart(field)) return "must be an object";
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return field->options().GetExtension(holdfast::field).json_true() != 0
                 ? "must be an integer or true"
                 : "must be an integer";
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT: return "must be a number";
    case FieldDescriptor::CPPTYPE_BOOL: return "must be true or false";
    case FieldDescriptor::CPPTYPE_ENUM: {
      std::string names;
      const auto* type = field->enum_type();
      for (int i = 0; i < std::min(type->value_count(), kEnumNamesShownMax); ++i) {
        Append(&names, i == 0 ? "" : ", ", type->value(i)->name());
      }
      return Cat("must be one of ", names, type->value_count() > kEnumNamesShownMax ? ", ..." : "");
    }
    case FieldDescriptor::CPPTYPE_STRING:
      return field->type() == FieldDescriptor::TYPE_BYTES ? "must be a string of base64"
                                                          : "must be a string";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return IsTimestamp(field) ? "must be a time such as \"2030-12-31T23:59:59Z\""
                                : "must be an object";
  }
  return "must be something else";
}

Reason SetScalar(Message* message, const FieldDescriptor* field, Text kind, std::string_view text) {
  const Reflection* reflection = message->GetReflection();
  const bool add = field->is_repeated();
  const bool integer_true = (kind == Text::kBool || kind == Text::kPlain) &&
                            (text == "true" || text == "false") &&
                            field->options().GetExtension(holdfast::field).json_true() != 0;
  const std::string true_text =
      integer_true && text == "true"
          ? std::to_string(field->options().GetExtension(holdfast::field).json_true())
          : "0";
  if (integer_true && field->cpp_type() != FieldDescriptor::CPPTYPE_BOOL) {
    return SetScalar(message, field, Text::kNumber, true_text);
  }
  // A word where a word is allowed: which one is part of the answer.
  if (field->options().GetExtension(holdfast::field).json_true() != 0 && kind != Text::kNumber &&
      !IsIntegerText(text)) {
    return Expectation(field);
  }

// Parses into a local of the type, then sets or adds it.
#define HOLDFAST_SET(Type, Name, Parse)                           \
  {                                                               \
    Type value = 0;                                               \
    if (Reason reason = Parse(kind, text, &value)) return reason; \
    if (add) {                                                    \
      reflection->Add##Name(message, field, value);               \
    } else {                                                      \
      reflection->Set##Name(message, field, value);               \
    }                                                             \
    return std::nullopt;                                          \
  }
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: HOLDFAST_SET(int32_t, Int32, ParseInteger)
    case FieldDescriptor::CPPTYPE_INT64: HOLDFAST_SET(int64_t, Int64, ParseInteger)
    case FieldDescriptor::CPPTYPE_UINT32: HOLDFAST_SET(uint32_t, UInt32, ParseInteger)
    case FieldDescriptor::CPPTYPE_UINT64: HOLDFAST_SET(uint64_t, UInt64, ParseInteger)
    case FieldDescriptor::CPPTYPE_DOUBLE: HOLDFAST_SET(double, Double, ParseFloat)
    case FieldDescriptor::CPPTYPE_FLOAT: HOLDFAST_SET(float, Float, ParseFloat)
#undef HOLDFAST_SET
    case FieldDescriptor::CPPTYPE_BOOL: {
      const bool known = text == "true" || text == "false";
      if (!known || (kind != Text::kBool && kind != Text::kPlain)) return Expectation(field);
      if (add) {
        reflection->AddBool(message, field, text == "true");
      } else {
        reflection->SetBool(message, field, text == "true");
      }
      return std::nullopt;
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const bool string = kind == Text::kString || kind == Text::kPlain;
      const EnumValueDescriptor* value = string ? FindEnumValue(field, text) : nullptr;
      if (value == nullptr) return Expectation(field);
      if (add) {
        reflection->AddEnum(message, field, value);
      } else {
        reflection->SetEnum(message, field, value);
      }
      return std::nullopt;
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      if (kind != Text::kString && kind != Text::kPlain) return Expectation(field);
      std::string value;
      if (field->type() == FieldDescriptor::TYPE_BYTES) {
        if (!DecodeBase64(text, &value)) return Expectation(field);
      } else {
        // A JSON string too: RapidJSON makes bytes that are no UTF-8 of "\udc00".
        if (!IsValidUtf8(text)) return "must be valid UTF-8";
        value.assign(text);
      }
      if (add) {
        reflection->AddString(message, field, std::move(value));
      } else {
        reflection->SetString(message, field, std::move(value));
      }
      return std::nullopt;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const bool string = kind == Text::kString || kind == Text::kPlain;
      const auto time = string ? ParseTimestamp(text) : std::nullopt;
      if (!IsTimestamp(field) || !time) return Expectation(field);
      Message* value =
          add ? reflection->AddMessage(message, field) : reflection->MutableMessage(message, field);
      const auto* type = value->GetDescriptor();
      value->GetReflection()->SetInt64(value, type->FindFieldByNumber(1), time->seconds);
      value->GetReflection()->SetInt32(value, type->FindFieldByNumber(2), time->nanos);
      return std::nullopt;
    }
  }
  return Expectation(field);
}

std::optional<TimestampParts> ParseTimestamp(std::string_view text) {
  // "2030-12-31T23:59:59" then perhaps a fraction, then Z or an offset.
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  if (text.size() <= kShape.size()) return std::nullopt;
  for (size_t i = 0; i < kShape.size(); ++i) {
    const bool fits = kShape[i] == 'd'   ? IsDigit(text[i])
                      : kShape[i] == 'T' ? text[i] == 'T' || text[i] == 't'
                                         : text[i] == kShape[i];
    if (!fits) return std::nullopt;
  }
  const auto number = [&](size_t at, size_t digits) {
    int value = 0;
    for (size_t i = at; i < at + digits; ++i) value = value * 10 + (text[i] - '0');
    return value;
  };
  const std::chrono::year_month_day date{std::chrono::year(number(0, 4)),
                                         std::chrono::month(number(5, 2)),
                                         std::chrono::day(number(8, 2))};
  const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 59 || number(0, 4) == 0) {
    return std::nullopt;
  }
  size_t at = kShape.size();
  int32_t nanos = 0;
  if (text[at] == '.') {
    int32_t unit = 100'000'000;
    const size_t first = ++at;
    for (; at < text.size() && IsDigit(text[at]); ++at, unit /= 10) {
      if (at - first == 9) return std::nullopt;  // Finer than a nanosecond.
      nanos += (text[at] - '0') * unit;
    }
    if (at == first) return std::nullopt;
  }
  int64_t offset = 0;
  const std::string_view zone = text.substr(at);
  if (zone.size() == 6 && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':' &&
      IsDigit(zone[1]) && IsDigit(zone[2]) && IsDigit(zone[4]) && IsDigit(zone[5])) {
    const int hours = number(at + 1, 2), minutes = number(at + 4, 2);
    if (hours > 23 || minutes > 59) return std::nullopt;
    offset = (hours * int64_t{3600} + minutes * int64_t{60}) * (zone[0] == '+' ? 1 : -1);
  } else if (zone != "Z" && zone != "z") {
    return std::nullopt;
  }
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const int64_t seconds =
      days * 86'400 + hour * int64_t{3600} + minute * int64_t{60} + second - offset;
  if (seconds < kSecondsMin || seconds > kSecondsMax) return std::nullopt;
  return TimestampParts{seconds, nanos};
}

std::string FormatTimestamp(TimestampParts time) {
  // The range of RFC 3339's four digits: a message may hold any number, text may not.
  time.seconds = std::clamp<int64_t>(time.seconds, kSecondsMin, kSecondsMax);
  time.nanos = std::clamp(time.nanos, 0, 999'999'999);
  const std::chrono::sys_seconds at{std::chrono::seconds(time.seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date{day};
  const auto rest = (at - day).count();
  std::string out =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  rest / 3600, rest / 60 % 60, rest % 60);
  if (time.nanos % 1'000 != 0) {
    out += fmt::format(".{:09}", time.nanos);
  } else if (time.nanos % 1'000'000 != 0) {
    out += fmt::format(".{:06}", time.nanos / 1'000);
  } else if (time.nanos != 0) {
    out += fmt::format(".{:03}", time.nanos / 1'000'000);
  }
  return out + "Z";
}

TimestampParts GetTimestamp(const Message& timestamp) {
  const auto* type = timestamp.GetDescriptor();
  const Reflection* reflection = timestamp.GetReflection();
  return {reflection->GetInt64(timestamp, type->FindFieldByNumber(1)),
          reflection->GetInt32(timestamp, type->FindFieldByNumber(2))};
}

}  // namespace holdfast::api
