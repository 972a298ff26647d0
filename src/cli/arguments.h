// Flags <-> fields: which flags a request type has, and how their texts become a message.
//
//   string from_account        --from-account alice        (or --from_account)
//   Price price                --price.amount 5, or --price '{"amount": 5}'
//   repeated string tags       --tags a --tags b, or --tags '["a", "b"]'
//   repeated Leg legs          --legs '{"from": ...}' --legs '{...}', or one '[{...}, {...}]'
//   map metadata               --metadata colour=red --metadata size=L, or '{"colour": "red"}'
//   bool pending               --pending, or --pending false
//   Timestamp at               --at 2030-12-31T23:59:59Z
//
// No state; any thread. Errors are kInvalidArgument and name the field.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <iosfwd>
#include <set>
#include <string>
#include <vector>

#include "src/base/error.h"

namespace holdfast::cli {

struct Flag {
  const google::protobuf::FieldDescriptor* field = nullptr;
  std::string path;   // "price.amount", in the .proto's names.
  std::string names;  // "--price.amount", and a second spelling with _ if that differs.
  std::string type;   // "TEXT", "INTEGER", ... as help shows it.
  std::string help;
  bool is_switch = false;  // May stand without a value, for true.
};

// In the order of the .proto. Fields of nested messages have flags of their own, unless the type
// contains itself: then only JSON reaches them.
std::vector<Flag> FlagsOf(const google::protobuf::Descriptor& type);

// A flag and its texts in the order given.
using Given = std::pair<const Flag*, std::vector<std::string>>;

// Sets what is given over what `request` holds already (from --json).
Result<void> ApplyFlags(const std::vector<Given>& given, google::protobuf::Message* request);

// A whole request: the JSON itself, "@file", or "-" for `in`.
Result<void> ApplyJson(const std::string& text, std::istream& in,
                       google::protobuf::Message* request);

// "CreateTransfer" -> "create-transfer".
std::string ToWord(std::string_view method);

// An example of the type as flags and as JSON: what is required, with made-up values, and the
// fields of these names.
using FieldNames = std::set<std::string>;
std::string SampleFlags(const google::protobuf::Descriptor& type, const FieldNames& more = {});
std::string SampleJson(const google::protobuf::Descriptor& type, const FieldNames& more = {});

// The same for a route such as "/v1/counters/{name}": its path with values in it, and what else is
// required, as "?key=KEY" for a GET or as the body of a POST, and likewise for DELETE and PUT.
struct SampleCall {
  std::string path;
  std::string query;
  std::string body;
};
SampleCall SampleHttp(const google::protobuf::Descriptor& type, const std::string& route,
                      const FieldNames& more = {});

}  // namespace holdfast::cli
