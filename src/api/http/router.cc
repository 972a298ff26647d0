#include "src/api/http/router.h"

#include "src/api/route.h"
#include "src/api/scalar.h"
#include "src/base/check.h"

namespace holdfast::api::http {
namespace {

std::vector<std::string_view> Split(std::string_view path) {
  if (path.empty() || path[0] != '/') return {};
  std::vector<std::string_view> segments;
  size_t start = 1;
  for (size_t slash; (slash = path.find('/', start)) != std::string_view::npos; start = slash + 1) {
    segments.push_back(path.substr(start, slash - start));
  }
  segments.push_back(path.substr(start));
  return segments;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool PercentDecode(std::string_view text, bool plus_is_space, std::string* out) {
  out->clear();
  out->reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (text.size() - i < 3) return false;
      const int high = HexValue(text[i + 1]), low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out->push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out->push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
    }
  }
  return true;
}

Router::Router(const state_machine::Registry& registry) {
  for (const auto& method : registry.methods()) {
    for (const holdfast::Route& route : method->options.http()) {
      const RouteParts parts = PartsOf(route);
      Add(*method, parts.verb, parts.path, route.get_writes());
    }
  }
  // More literal first, from the left; a longer suffix is more literal.
  const auto rank = [](const Segment& segment) {
    return segment.field == nullptr ? SIZE_MAX : segment.literal.size();
  };
  const auto before = [&](const Route& a, const Route& b) {
    for (size_t i = 0; i < a.segments.size(); ++i) {
      const size_t left = rank(a.segments[i]), right = rank(b.segments[i]);
      if (left != right) return left > right;
    }
    return false;
  };
  const auto same_segment = [](const Segment& a, const Segment& b) {
    return (a.field == nullptr) == (b.field == nullptr) && a.literal == b.literal;
  };
  for (auto& routes : routes_) {
    std::stable_sort(routes.begin(), routes.end(), before);
    for (size_t i = 0; i < routes.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        HOLDFAST_CHECK(
            routes[i].verb != routes[j].verb ||
                !std::equal(routes[i].segments.begin(), routes[i].segments.end(),
                            routes[j].segments.begin(), same_segment),
            "two routes of one shape: " + routes[i].pattern + " and " + routes[j].pattern);
      }
    }
  }
}

void Router::Add(const state_machine::Method& method, std::string_view verb,
                 const std::string& pattern, bool get_writes) {
  const std::string where = method.full_name + ": route " + pattern;
  HOLDFAST_CHECK(pattern.starts_with('/'), where + " does not start with a slash");
  HOLDFAST_CHECK(verb != "GET" || method.kind() != WRITE || get_writes,
                 where + " is a GET that writes");
  HOLDFAST_CHECK((verb != "PUT" && verb != "DELETE") || method.kind() == WRITE,
                 where + " is a PUT or a DELETE that does not write");
  const auto* type = method.request->GetDescriptor();
  Route route{verb, pattern, &method, {}};
  for (const std::string_view text : Split(pattern)) {
    Segment segment;
    segment.literal = std::string(text);
    if (text.starts_with('{')) {
      const size_t close = text.find('}');
      HOLDFAST_CHECK(close != std::string_view::npos, where + " lacks a closing brace");
      const std::string name(text.substr(1, close - 1));
      segment.field = type->FindFieldByName(name);
      HOLDFAST_CHECK(
          segment.field != nullptr && !segment.field->is_repeated() && IsScalar(segment.field),
          where + " names " + name + ", which is no scalar field of the request");
      segment.literal = std::string(text.substr(close + 1));
    }
    HOLDFAST_CHECK(segment.literal.find_first_of("{}%?#") == std::string::npos,
                   where + " has a stray brace or a character that needs encoding");
    route.segments.push_back(std::move(segment));
  }
  const size_t count = route.segments.size();
  if (routes_.size() <= count) routes_.resize(count + 1);
  routes_[count].push_back(std::move(route));
}

bool Router::Fits(const Route& route, const std::vector<std::string_view>& segments) {
  for (size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = route.segments[i];
    const bool fits = segment.field == nullptr ? segments[i] == segment.literal
                                               : segments[i].size() > segment.literal.size() &&
                                                     segments[i].ends_with(segment.literal);
    if (!fits) return false;
  }
  return true;
}

const Router::Route* Router::Find(std::string_view verb,
                                  const std::vector<std::string_view>& segments) const {
  if (segments.size() >= routes_.size()) return nullptr;
  for (const Route& route : routes_[segments.size()]) {
    if (route.verb == verb && Fits(route, segments)) return &route;
  }
  return nullptr;
}

Result<RouteMatch> Router::Match(std::string_view verb, std::string_view path) const {
  const std::vector<std::string_view> segments = Split(path);
  const Route* route = Find(verb, segments);
  if (route == nullptr) {
    return Fail(Error{ErrorCode::kUnimplemented, "no such route", "", "", 0});
  }
  RouteMatch match;
  match.method = route->method;
  for (size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = route->segments[i];
    if (segment.field == nullptr) continue;
    PathField value{segment.field, {}};
    const std::string_view text =
        segments[i].substr(0, segments[i].size() - segment.literal.size());
    if (!PercentDecode(text, false, &value.value)) {
      return Fail(InvalidArgument(segment.field->name(),
                                  "has a % in the path that two hex digits must follow"));
    }
    match.fields.push_back(std::move(value));
  }
  return match;
}

std::vector<std::string_view> Router::Verbs(std::string_view path) const {
  const std::vector<std::string_view> segments = Split(path);
  std::vector<std::string_view> verbs;
  for (const std::string_view verb : kVerbs) {
    if (Find(verb, segments) != nullptr) verbs.push_back(verb);
  }
  // Who only looks must not write.
  const Route* get = Find("GET", segments);
  if (get != nullptr && get->method->kind() != WRITE) verbs.push_back("HEAD");
  return verbs;
}

}  // namespace holdfast::api::http
