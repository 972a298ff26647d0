// What makes a request malformed beyond the options of its fields. Stateless; any thread.
#pragma once

#include "services/queues/queues.pb.h"
#include "src/base/error.h"

namespace holdfast::queues {

// The name of a queue that comes into being by itself, and of a group that nobody named.
inline constexpr char kDefault[] = "default";

// kInvalidArgument with the path of the field.
Result<void> Validate(const CreateRequest& request);
Result<void> Validate(const UpdateRequest& request);
Result<void> Validate(const CreateGroupRequest& request);
Result<void> Validate(const PublishRequest& request);
Result<void> Validate(const PublishBatchRequest& request);
Result<void> Validate(const PushRequest& request);
Result<void> Validate(const PullRequest& request);
Result<void> Validate(const AckRequest& request);
Result<void> Validate(const NackRequest& request);
Result<void> Validate(const ExtendRequest& request);
Result<void> Validate(const PeekRequest& request);

}  // namespace holdfast::queues
