// For the tests of the chat rooms: the service in the machine that runs it, and short ways to call
// it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "services/chat/chat.h"
#include "src/state_machine/testing/service_fixture.h"

namespace holdfast::chat {

void Register(state_machine::Registry& registry);

namespace testing {

inline constexpr uint8_t kChat = 11;

class ChatFixture : public state_machine::testing::ServiceFixture {
 protected:
  ChatFixture() : ServiceFixture({&chat::Register}) {}

  // Every write is followed by a look at what must hold.
  template <class Reply>
  Reply Do(const std::string& method, const google::protobuf::Message& request) {
    const Reply reply = Write<Reply>("chat." + method, request);
    EXPECT_EQ(Broken(kChat), "") << method << " " << request.ShortDebugString();
    return reply;
  }

  template <class Request>
  static Request Of(const std::string& room, const std::string& member = "") {
    Request request;
    request.set_room(room);
    if constexpr (requires { request.set_member(member); }) request.set_member(member);
    return request;
  }
  std::string Create(const std::string& room, const std::string& topic = "") {
    auto request = Of<CreateRoomRequest>(room);
    request.set_topic(topic);
    return Name(Do<RoomReply>("CreateRoom", request).outcome());
  }
  std::string Delete(const std::string& room) {
    return Name(Do<RoomReply>("DeleteRoom", Of<DeleteRoomRequest>(room)).outcome());
  }
  MemberReply Join(const std::string& room, const std::string& member) {
    return Do<MemberReply>("Join", Of<JoinRequest>(room, member));
  }
  MemberReply Leave(const std::string& room, const std::string& member) {
    return Do<MemberReply>("Leave", Of<LeaveRequest>(room, member));
  }
  MarkReadReply Mark(const std::string& room, const std::string& member, uint64_t up_to) {
    auto request = Of<MarkReadRequest>(room, member);
    request.set_up_to(up_to);
    return Do<MarkReadReply>("MarkRead", request);
  }

  using Ids = std::vector<std::string>;
  static PostRequest TextOf(const std::string& room, const std::string& author,
                            const std::string& id, const Ids& follows = {}) {
    PostRequest request;
    request.set_room(room);
    request.set_author(author);
    request.set_id(id);
    request.set_text("text of " + id);
    for (const std::string& other : follows) request.add_follows(other);
    return request;
  }
  static PostRequest EditOf(const std::string& room, const std::string& author,
                            const std::string& id, const std::string& target) {
    PostRequest request = TextOf(room, author, id);
    request.set_kind(MessageKind::edit);
    request.set_target(target);
    return request;
  }
  static PostRequest DeleteOf(const std::string& room, const std::string& author,
                              const std::string& id, const std::string& target) {
    PostRequest request = EditOf(room, author, id, target);
    request.set_kind(MessageKind::delete_);
    request.clear_text();
    return request;
  }
  static PostRequest Held(PostRequest request, uint32_t hold_ms) {
    request.set_hold_ms(hold_ms);
    return request;
  }
  PostReply Post(const PostRequest& request) { return Do<PostReply>("Post", request); }

  // "posted 3", "held:m1,m2".
  static std::string Told(const PostReply& reply) {
    std::string told = PostOutcome::Code_Name(reply.outcome());
    if (reply.number() != 0) told += " " + std::to_string(reply.number());
    for (int i = 0; i < reply.missing_size(); ++i) told += (i == 0 ? ":" : ",") + reply.missing(i);
    return told;
  }

  static ReceiveRequest ReceiveOf(const std::string& room, uint64_t after = 0) {
    auto request = Of<ReceiveRequest>(room);
    request.set_after(after);
    return request;
  }
  Result<ReceiveReply> Receive(const ReceiveRequest& request) {
    return Read<ReceiveReply>("chat.Receive", request);
  }
  // "1:a 2:b": numbers and ids, in order.
  static std::string IdsOf(const ReceiveReply& reply) {
    std::string all;
    for (const Message& message : reply.messages()) {
      all += (all.empty() ? "" : " ") + std::to_string(message.number()) + ":" + message.id();
    }
    return all;
  }
  std::string History(const std::string& room) { return IdsOf(*Receive(ReceiveOf(room))); }
  // What the room shows: "1 text of a (edited 2) | 3 deleted".
  std::string Shown(const std::string& room) {
    std::string all;
    const auto reply = Read<ListMessagesReply>("chat.ListMessages", Of<ListMessagesRequest>(room));
    for (const chat::Shown& shown : reply->messages()) {
      all += (all.empty() ? "" : " | ") + std::to_string(shown.number()) + " " +
             (shown.deleted() ? "deleted" : shown.text());
      EXPECT_TRUE(!shown.deleted() || shown.text().empty());
      if (shown.edits() > 0) all += " (edited " + std::to_string(shown.edits()) + ")";
    }
    return all;
  }
  Result<Room> Get(const std::string& room, const std::string& member = "") {
    return Read<Room>("chat.GetRoom", Of<GetRoomRequest>(room, member));
  }
  uint64_t Unread(const std::string& room, const std::string& member) {
    return Get(room, member)->unread();
  }

  static std::string Name(RoomOutcome::Code code) { return RoomOutcome::Code_Name(code); }
  static std::string Name(const MemberReply& reply) {
    return MemberOutcome::Code_Name(reply.outcome());
  }
  static std::string Name(const MarkReadReply& reply) {
    return MarkReadOutcome::Code_Name(reply.outcome());
  }
};

}  // namespace testing
}  // namespace holdfast::chat
