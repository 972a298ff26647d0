// JSON text <-> protobuf message, by reflection; HTTP and the command line share it.
//
// In: strict JSON (RFC 8259, UTF-8), no unknown or repeated member, nothing after the value, depth
// and number of elements bounded. Names are those of the .proto or their lowerCamelCase. Integers
// are JSON integers or decimal strings and never pass through a double; bytes are base64; enums
// are names; google.protobuf.Timestamp is RFC 3339; null means absent; `true` stands for
// FieldOptions.json_true where that is set. Out: the same, with the .proto's own names, zeros and
// falses included; empty texts, enums that are `unspecified`, and absent messages and optional
// fields left out; map keys in order: equal messages give equal text.
//
// No state; any thread. An error is kInvalidArgument and names the place by its JSON path:
// `transfers[3].amount: must be an integer`.
#pragma once

#include <google/protobuf/message.h>

#include <set>
#include <string>
#include <string_view>

#include "src/base/error.h"

namespace holdfast::api {

// Parses `text` into `message`, which should be empty: members that are absent are left alone.
// After an error `message` holds what came before it.
Result<void> ParseJson(std::string_view text, google::protobuf::Message* message);

enum class JsonStyle { kCompact, kPretty };
std::string ToJson(const google::protobuf::Message& message, JsonStyle style = JsonStyle::kCompact);

// Sets fields of one message from text by dotted name, with the conversions and errors of
// ParseJson: path and query parameters, command-line flags. A repeated field takes one element
// per call; `metadata.colour` sets a key of a map; a message or a list of messages takes JSON.
class FieldWriter {
 public:
  // `message` outlives the writer.
  explicit FieldWriter(google::protobuf::Message* message) : message_(message) {}

  // Refuses an unknown name, a value that does not convert, and a second value for a field that
  // holds one.
  Result<void> Set(std::string_view name, std::string_view text);

 private:
  google::protobuf::Message* message_;
  std::set<std::string, std::less<>> names_;  // Canonical names of singular fields set so far.
};

// The value of a singular scalar field as the text that FieldWriter takes; what JSON shows, without
// quotes.
std::string FieldText(const google::protobuf::Message& message,
                      const google::protobuf::FieldDescriptor* field);

}  // namespace holdfast::api
