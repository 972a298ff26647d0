// What makes a request malformed beyond the options of its fields. Stateless; any thread.
#pragma once

#include "services/chat/chat.pb.h"
#include "src/base/error.h"

namespace holdfast::chat {

Result<void> Validate(const CreateRoomRequest& request);
Result<void> Validate(const DeleteRoomRequest& request);
Result<void> Validate(const JoinRequest& request);
Result<void> Validate(const LeaveRequest& request);
Result<void> Validate(const PostRequest& request);
Result<void> Validate(const MarkReadRequest& request);
Result<void> Validate(const GetRoomRequest& request);
Result<void> Validate(const ListRoomsRequest& request);
Result<void> Validate(const ListMembersRequest& request);
Result<void> Validate(const ReceiveRequest& request);
Result<void> Validate(const ListMessagesRequest& request);
Result<void> Validate(const GetMessageRequest& request);

}  // namespace holdfast::chat
