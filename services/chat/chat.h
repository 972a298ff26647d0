// The chat service: its methods, as chat.proto declares them. README.md is the reference page.
// Writes run on the apply thread; reads on any thread under the store's shared lock.
#pragma once

#include <optional>
#include <string>

#include "services/chat/chat.pb.h"
#include "services/chat/sequence.h"
#include "services/chat/tables.h"
#include "src/state_machine/service.h"

namespace holdfast::chat {

using state_machine::ReadContext;
using state_machine::WriteContext;

class Chat : public state_machine::Service {
 public:
  explicit Chat(store::Store& store) : tables_(store), sequence_(tables_) {}

  Result<void> CreateRoom(const CreateRoomRequest& request, WriteContext& context,
                          RoomReply* reply);
  Result<void> DeleteRoom(const DeleteRoomRequest& request, WriteContext& context,
                          RoomReply* reply);
  Result<void> Join(const JoinRequest& request, WriteContext& context, MemberReply* reply);
  Result<void> Leave(const LeaveRequest& request, WriteContext& context, MemberReply* reply);
  Result<void> Post(const PostRequest& request, WriteContext& context, PostReply* reply);
  Result<void> MarkRead(const MarkReadRequest& request, WriteContext& context,
                        MarkReadReply* reply);

  // --- Reads (reads.cc)
  Result<void> GetRoom(const GetRoomRequest& request, const ReadContext& context,
                       Room* reply) const;
  Result<void> ListRooms(const ListRoomsRequest& request, const ReadContext& context,
                         ListRoomsReply* reply) const;
  Result<void> ListMembers(const ListMembersRequest& request, const ReadContext& context,
                           ListMembersReply* reply) const;
  Result<void> Receive(const ReceiveRequest& request, const ReadContext& context,
                       ReceiveReply* reply) const;
  Result<void> ListMessages(const ListMessagesRequest& request, const ReadContext& context,
                            ListMessagesReply* reply) const;
  Result<void> GetMessage(const GetMessageRequest& request, const ReadContext& context,
                          Message* reply) const;

  void OnTimer(WriteContext& context, std::string_view key) override;
  std::optional<std::string> CheckInvariants() const override;  // invariants.cc

 private:
  // A room that was not deleted; nullopt: there is none.
  std::optional<RoomRow> FindRoom(const std::string& room);
  std::optional<RoomRow> LookUpRoom(const std::string& room) const;  // For reads.
  std::optional<MemberRow> FindMember(const std::string& room, const std::string& member);
  PostOutcome::Code TryPost(const PostRequest& request, WriteContext& context, PostReply* reply);
  // What a message of the same id says of this one; unspecified: there is none any more.
  PostOutcome::Code Known(const PostRequest& request, const HeldRow& want, WriteContext& context,
                          PostReply* reply);
  // Removes some rows of rooms that were deleted, and comes again for the rest.
  void Sweep(WriteContext& context);
  // Removes so many rows of one, at most. Returns whether it is gone.
  bool SweepRoom(TrashRow* trash, size_t rows, WriteContext& context);
  void SweepHeld(TrashRow* trash, size_t* rows, WriteContext& context);
  void SweepMembers(TrashRow* trash, size_t* rows);

  Tables tables_;
  Sequence sequence_;
};

}  // namespace holdfast::chat
