// The OpenAPI 3.0 description of every HTTP route, made from the method table.
#pragma once

#include <string>
#include <string_view>

#include "src/state_machine/registry.h"

namespace holdfast::api {

// Deterministic: equal tables give equal text. `version` is that of the build.
std::string OpenApiJson(const state_machine::Registry& registry, std::string_view version);

}  // namespace holdfast::api
