// Chat rooms in the plainest words: each is a list of messages in order, looked through from the
// beginning for everything.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "services/chat/chat.pb.h"
#include "services/sessions/moment.h"

namespace holdfast::chat {

class Model {
 public:
  // What is held back and due by then, by lease time, leaves.
  void PassTo(const sessions::Moment& now);

  // --- Writes
  RoomReply CreateRoom(const CreateRoomRequest& request);
  RoomReply DeleteRoom(const DeleteRoomRequest& request);
  MemberReply Join(const JoinRequest& request);
  MemberReply Leave(const LeaveRequest& request);
  PostReply Post(const PostRequest& request);
  MarkReadReply MarkRead(const MarkReadRequest& request);

  // --- Reads; nullopt: 404
  std::optional<Room> GetRoom(const GetRoomRequest& request) const;
  ListRoomsReply ListRooms(const ListRoomsRequest& request) const;
  std::optional<ListMembersReply> ListMembers(const ListMembersRequest& request) const;
  std::optional<ReceiveReply> Receive(const ReceiveRequest& request) const;
  std::optional<ListMessagesReply> ListMessages(const ListMessagesRequest& request) const;
  std::optional<Message> GetMessage(const GetMessageRequest& request) const;

  std::vector<std::string> Rooms() const;  // That are there.

 private:
  struct Held {
    PostRequest request;
    int64_t due_us = 0;  // By lease time.
  };
  struct Chatroom {
    std::string topic;
    int64_t created_us = 0;
    bool deleted = false;
    std::map<std::string, Member> members;
    std::vector<Message> messages;
    std::vector<Held> held;  // In the order of coming.
  };

  Chatroom* Find(const std::string& room);
  const Chatroom* Find(const std::string& room) const;
  static const Message* MessageOf(const Chatroom& room, const std::string& id);
  static bool Deleted(const Chatroom& room, const std::string& id);
  static uint64_t Texts(const Chatroom& room, uint64_t up_to);
  static std::vector<std::string> Missing(const Chatroom& room, const PostRequest& request);
  static std::optional<PostOutcome::Code> Objection(const Chatroom& room,
                                                    const PostRequest& request);
  static Room Told(const std::string& name, const Chatroom& room);
  static Member Told(const Chatroom& room, const Member& member);
  void Place(Chatroom& room, const PostRequest& request);

  sessions::Moment now_;
  std::map<std::string, Chatroom> rooms_;  // With those that were deleted.
};

}  // namespace holdfast::chat
