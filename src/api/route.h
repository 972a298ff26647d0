// One HTTP route of a method, as all that show or serve it need it.
#pragma once

#include <string>
#include <string_view>

#include "holdfast/options.pb.h"

namespace holdfast::api {

inline constexpr std::string_view kVerbs[] = {"GET", "POST", "PUT", "DELETE"};

// Valid as long as the route.
struct RouteParts {
  std::string_view verb;  // One of kVerbs.
  const std::string& path;
  bool takes_body = false;  // Else fields that the path does not name are in the query.
};

inline bool TakesBody(std::string_view verb) { return verb == "POST" || verb == "PUT"; }

inline RouteParts PartsOf(const Route& route) {
  switch (route.pattern_case()) {
    case Route::kGet: return {"GET", route.get(), false};
    case Route::kPut: return {"PUT", route.put(), true};
    case Route::kDelete: return {"DELETE", route.delete_(), false};
    default: return {"POST", route.post(), true};
  }
}

}  // namespace holdfast::api
