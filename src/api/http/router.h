// HTTP routes of the method table. A template such as /v1/ledger/transfers/{id}:post is split at
// its slashes; a segment is a literal, or a field of the request in braces with an optional literal
// suffix. Segments of a path are split and told apart before they are percent-decoded, so an id
// may hold any character when it is encoded. Where several templates fit, the one with the more
// literal segment, from the left, wins: `transfers:batch` before `{id}:batch` before `{id}`.
//
// Immutable once built; any thread. A template that makes no sense (no such field, two of one
// shape, a GET that writes and does not say so) is a bug that stops the program at start-up.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/state_machine/registry.h"

namespace holdfast::api::http {

// The value of a template's field, percent-decoded.
struct PathField {
  const google::protobuf::FieldDescriptor* field = nullptr;
  std::string value;
};

struct RouteMatch {
  const state_machine::Method* method = nullptr;
  std::vector<PathField> fields;
};

class Router {
 public:
  // `registry` outlives the router.
  explicit Router(const state_machine::Registry& registry);

  // The method behind `path` (without its query) for `verb`, such as "GET".
  // kUnimplemented when there is none; kInvalidArgument for a broken percent-encoding.
  Result<RouteMatch> Match(std::string_view verb, std::string_view path) const;

  // The verbs that `path` takes, in the order of kVerbs (route.h), and "HEAD"; empty for an unknown
  // path. A GET that writes takes no HEAD.
  std::vector<std::string_view> Verbs(std::string_view path) const;

 private:
  struct Segment {
    std::string literal;  // The whole segment, or what follows the field.
    const google::protobuf::FieldDescriptor* field = nullptr;
  };
  struct Route {
    std::string_view verb;
    std::string pattern;
    const state_machine::Method* method = nullptr;
    std::vector<Segment> segments;
  };

  void Add(const state_machine::Method& method, std::string_view verb, const std::string& pattern,
           bool get_writes);
  static bool Fits(const Route& route, const std::vector<std::string_view>& segments);
  const Route* Find(std::string_view verb, const std::vector<std::string_view>& segments) const;

  std::vector<std::vector<Route>> routes_;  // By number of segments, most literal first.
};

// Replaces %XX by the byte; `plus_is_space` for a query. False when a % is not followed by two hex
// digits.
bool PercentDecode(std::string_view text, bool plus_is_space, std::string* out);

}  // namespace holdfast::api::http
