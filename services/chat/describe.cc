#include "services/chat/describe.h"

#include "src/base/timestamp.h"

namespace holdfast::chat {

void FillRoom(const std::string& name, const RoomRow& row, Room* room) {
  room->set_room(name);
  room->set_topic(row.topic);
  FillTime(row.created_us, room->mutable_created());
  room->set_members(row.members);
  room->set_last(row.last);
  room->set_texts(row.texts);
  room->set_held(row.held);
}

void FillRoom(const std::string& name, const RoomRow& row, const MemberRow& member, Room* room) {
  FillRoom(name, row, room);
  room->set_read_to(member.read_to);
  room->set_unread(UnreadOf(member, row));
}

void FillMember(const std::string& name, const MemberRow& row, const RoomRow& room,
                Member* member) {
  member->set_member(name);
  FillTime(row.joined_us, member->mutable_joined());
  member->set_read_to(row.read_to);
  member->set_unread(UnreadOf(row, room));
}

void FillMessage(uint64_t number, const MessageRow& row, Message* message) {
  message->set_number(number);
  message->set_id(row.id);
  message->set_author(row.author);
  message->set_kind(row.kind);
  message->set_text(row.text);
  for (const NamedRow& followed : row.follows) {
    Named* named = message->add_follows();
    named->set_id(followed.id);
    named->set_number(followed.number);
  }
  if (row.target.number != 0) {
    message->mutable_target()->set_id(row.target.id);
    message->mutable_target()->set_number(row.target.number);
  }
  FillTime(row.posted_us, message->mutable_posted());
}

HeldRow WantOf(const PostRequest& request) {
  HeldRow want;
  want.id = request.id();
  want.author = request.author();
  want.kind = request.kind() == MessageKind::unspecified ? MessageKind::text : request.kind();
  want.text = request.text();
  want.follows.assign(request.follows().begin(), request.follows().end());
  want.target = request.target();
  return want;
}

}  // namespace holdfast::chat
