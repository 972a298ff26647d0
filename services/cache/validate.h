// What makes a request malformed beyond the options of its fields. Stateless; any thread.
#pragma once

#include "services/cache/cache.pb.h"
#include "src/base/error.h"

namespace holdfast::cache {

// kInvalidArgument with the path of the field.
Result<void> Validate(const SetRequest& request);
Result<void> Validate(const CompareAndSetRequest& request);
Result<void> Validate(const DeleteRequest& request);
Result<void> Validate(const IncrementRequest& request);
Result<void> Validate(const SetManyRequest& request);
Result<void> Validate(const TouchRequest& request);
Result<void> Validate(const ConfigureRequest& request);
Result<void> Validate(const GetRequest& request);
Result<void> Validate(const GetManyRequest& request);
Result<void> Validate(const WriteBackRequest& request);

}  // namespace holdfast::cache
