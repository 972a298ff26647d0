// Rows as the messages that callers see.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string>

#include "services/chat/chat.pb.h"
#include "services/chat/tables.h"

namespace holdfast::chat {

void FillRoom(const std::string& name, const RoomRow& row, Room* room);
// With how far a member has read.
void FillRoom(const std::string& name, const RoomRow& row, const MemberRow& member, Room* room);
void FillMember(const std::string& name, const MemberRow& row, const RoomRow& room, Member* member);
void FillMessage(uint64_t number, const MessageRow& row, Message* message);

// Texts that a member has not read.
inline uint64_t UnreadOf(const MemberRow& member, const RoomRow& room) {
  return room.texts - member.texts_read;
}

// What is asked for, before it has a place; what the request leaves open is filled in.
HeldRow WantOf(const PostRequest& request);

}  // namespace holdfast::chat
