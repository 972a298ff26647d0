// What makes a request malformed beyond the options of its fields. Stateless; any thread.
#pragma once

#include "services/rounds/rounds.pb.h"
#include "src/base/error.h"

namespace holdfast::rounds {

Result<void> Validate(const CreateRequest& request);
Result<void> Validate(const MoveRequest& request);
Result<void> Validate(const ListRequest& request);

// Of a request that names a game, and perhaps a participant.
Result<void> ValidateNames(const std::string& game, const std::string& participant);
template <class Request>
Result<void> ValidateNames(const Request& request) {
  if constexpr (requires { request.participant(); }) {
    return ValidateNames(request.game(), request.participant());
  } else {
    return ValidateNames(request.game(), "");
  }
}

}  // namespace holdfast::rounds
