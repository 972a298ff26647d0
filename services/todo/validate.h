// What makes a request malformed beyond the options of its fields. Stateless; any thread.
#pragma once

#include "services/todo/todo.pb.h"
#include "src/base/error.h"

namespace holdfast::todo {

Result<void> Validate(const AddRequest& request);
Result<void> Validate(const EditRequest& request);
Result<void> Validate(const CompleteRequest& request);
Result<void> Validate(const ReopenRequest& request);
Result<void> Validate(const DeleteRequest& request);
Result<void> Validate(const MoveRequest& request);
Result<void> Validate(const ClearDoneRequest& request);
Result<void> Validate(const GetRequest& request);
Result<void> Validate(const ListRequest& request);
Result<void> Validate(const ListsRequest& request);

}  // namespace holdfast::todo
