#include "services/chat/validate.h"

#include <algorithm>
#include <string>

#include "src/base/bounds.h"
#include "src/base/text.h"

namespace holdfast::chat {
namespace {

Result<void> Refuse(const std::string& field, const std::string& reason) {
  return Fail(InvalidArgument(field, reason));
}

// Names and ids are one line each, wherever they are shown.
Result<void> CheckLine(const std::string& field, const std::string& text) {
  if (HasControlCharacter(text)) return Refuse(field, "must not have control characters");
  return {};
}

template <class Request>
Result<void> CheckRoomAndMember(const Request& request) {
  if (auto checked = CheckLine("room", request.room()); !checked) return checked;
  return CheckLine("member", request.member());
}

template <class Request>
Result<void> CheckPageOfNames(const Request& request) {
  return CheckLine("after", request.after());
}

Result<void> CheckFollows(const PostRequest& request) {
  for (int i = 0; i < request.follows_size(); ++i) {
    const std::string& id = request.follows(i);
    const std::string field = "follows[" + std::to_string(i) + "]";
    if (id.empty() || id.size() > bounds::kChatNameBytesMax) {
      return Refuse(field, "must have 1 to " + std::to_string(bounds::kChatNameBytesMax) +
                               " bytes, has " + std::to_string(id.size()));
    }
    if (auto checked = CheckLine(field, id); !checked) return checked;
    if (id == request.id()) return Refuse(field, "must be another message");
    const auto end = request.follows().begin() + i;
    if (std::find(request.follows().begin(), end, id) != end) {
      return Refuse(field, "must not be given twice");
    }
  }
  return {};
}

}  // namespace

Result<void> Validate(const CreateRoomRequest& request) {
  if (auto checked = CheckLine("room", request.room()); !checked) return checked;
  return CheckLine("topic", request.topic());
}

Result<void> Validate(const DeleteRoomRequest& request) {
  return CheckLine("room", request.room());
}
Result<void> Validate(const JoinRequest& request) { return CheckRoomAndMember(request); }
Result<void> Validate(const LeaveRequest& request) { return CheckRoomAndMember(request); }
Result<void> Validate(const MarkReadRequest& request) { return CheckRoomAndMember(request); }
Result<void> Validate(const GetRoomRequest& request) { return CheckRoomAndMember(request); }

Result<void> Validate(const PostRequest& request) {
  if (auto checked = CheckLine("room", request.room()); !checked) return checked;
  if (auto checked = CheckLine("id", request.id()); !checked) return checked;
  if (auto checked = CheckLine("author", request.author()); !checked) return checked;
  if (!MessageKind::Code_IsValid(request.kind())) {
    return Refuse("kind", "must be text, edit or delete");
  }
  const bool is_delete = request.kind() == MessageKind::delete_;
  if (is_delete != request.text().empty()) {
    return Refuse("text", is_delete ? "goes not with a delete" : "must not be empty");
  }
  if (auto checked = CheckFollows(request); !checked) return checked;
  const bool has_target = request.kind() == MessageKind::edit || is_delete;
  if (has_target != !request.target().empty()) {
    return Refuse("target", has_target ? "must name the text" : "goes not with a text");
  }
  if (has_target && request.target() == request.id()) {
    return Refuse("target", "must be another message");
  }
  return CheckLine("target", request.target());
}

Result<void> Validate(const ListRoomsRequest& request) {
  if (auto checked = CheckLine("member", request.member()); !checked) return checked;
  return CheckPageOfNames(request);
}
Result<void> Validate(const ListMembersRequest& request) {
  if (auto checked = CheckLine("room", request.room()); !checked) return checked;
  return CheckPageOfNames(request);
}

Result<void> Validate(const ReceiveRequest& request) { return CheckLine("room", request.room()); }
Result<void> Validate(const ListMessagesRequest& request) {
  return CheckLine("room", request.room());
}
Result<void> Validate(const GetMessageRequest& request) {
  if (auto checked = CheckLine("room", request.room()); !checked) return checked;
  return CheckLine("id", request.id());
}

}  // namespace holdfast::chat
