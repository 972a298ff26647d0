// What makes a request malformed beyond the options of its fields. Stateless; any thread.
#pragma once

#include "services/journal/journal.pb.h"
#include "src/base/error.h"

namespace holdfast::journal {

// kInvalidArgument with the path of the field.
Result<void> Validate(const CreateRequest& request);
Result<void> Validate(const UpdateRequest& request);
Result<void> Validate(const AppendRequest& request);
Result<void> Validate(const QueryRequest& request);

}  // namespace holdfast::journal
