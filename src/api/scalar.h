// One scalar value between text and a field of a message. Internal to the JSON code.
#pragma once

#include <google/protobuf/message.h>

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::api {

// What kind of text a value was written as; decides which types it may become.
enum class Text {
  kString,  // A JSON string, unescaped.
  kNumber,  // A JSON number as written.
  kBool,    // JSON true or false.
  kPlain,   // A path or query parameter, a flag, a map key: any scalar, without quotes.
};

// Why a value does not fit its field: "must be an integer". Empty when it does.
using Reason = std::optional<std::string>;

bool IsTimestamp(const google::protobuf::FieldDescriptor* field);

// Whether a value of the field is written as one scalar in JSON (a Timestamp is, other messages are
// not). For a repeated field: one element.
bool IsScalar(const google::protobuf::FieldDescriptor* field);

// "must be an integer", "must be an object", ...: what one value of the field has to look like.
std::string Expectation(const google::protobuf::FieldDescriptor* field);

// Sets the field, or adds one element when it is repeated. The field is scalar in the sense above.
Reason SetScalar(google::protobuf::Message* message, const google::protobuf::FieldDescriptor* field,
                 Text kind, std::string_view text);

// Seconds and nanoseconds of a google.protobuf.Timestamp <-> RFC 3339 in UTC.
struct TimestampParts {
  int64_t seconds = 0;
  int32_t nanos = 0;
};
std::optional<TimestampParts> ParseTimestamp(std::string_view text);
std::string FormatTimestamp(TimestampParts time);
TimestampParts GetTimestamp(const google::protobuf::Message& timestamp);

bool IsValidUtf8(std::string_view text);

}  // namespace holdfast::api
