#include "sim/chat_requests.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

constexpr uint64_t kIdsKnown = 10;       // Of the near past, ...
constexpr uint64_t kIdsToCome = 2;       // ... and of those that nobody has posted yet.
constexpr uint64_t kRoomsMax = 6;        // That are ever deleted.
constexpr uint64_t kHoldMsMax = 800;     // Short, so that some leave and some come.
constexpr uint64_t kHoldMsLong = 8'000;  // As long as nobody leads, or longer.

}  // namespace

// Names are not given again, so a room that was deleted makes place for another name.
std::string ChatRequests::Room() { return "r" + std::to_string(deleted_ + random_.Between(0, 1)); }

std::string ChatRequests::Member() {
  return std::string(1, static_cast<char>('a' + random_.Between(0, 3)));
}

std::string ChatRequests::Id() {
  const uint64_t oldest = last_id_ > kIdsKnown ? last_id_ - kIdsKnown : 1;
  return "m" + std::to_string(random_.Between(oldest, last_id_ + kIdsToCome));
}

template <class Request>
Request ChatRequests::OfAMember() {
  Request request;
  request.set_room(Room());
  request.set_member(Member());
  return request;
}

chat::PostRequest ChatRequests::Post() {
  chat::PostRequest request;
  request.set_room(Room());
  request.set_author(Member());
  // Mostly a new one; at times one that is there, or that others wait for.
  request.set_id(random_.OneIn(3) ? Id() : "m" + std::to_string(++last_id_));
  const uint64_t kind = random_.Between(0, 9);
  if (kind <= 1) {
    request.set_kind(kind == 0 ? chat::MessageKind::edit : chat::MessageKind::delete_);
    request.set_target(Id());
    if (request.target() == request.id()) request.set_target("m1x");
  }
  if (kind != 1) request.set_text("t" + std::to_string(random_.Between(1, 3)));
  for (uint64_t i = random_.Between(0, 2); i > 0; --i) {
    const std::string other = Id();
    const auto& follows = request.follows();
    if (other == request.id()) continue;
    if (std::find(follows.begin(), follows.end(), other) != follows.end()) continue;
    request.add_follows(other);
  }
  if (!random_.OneIn(8)) {
    const uint64_t longest = random_.OneIn(4) ? kHoldMsLong : kHoldMsMax;
    request.set_hold_ms(static_cast<uint32_t>(random_.Between(0, longest)));
  }
  return request;
}

Asked ChatRequests::Make() {
  switch (random_.Between(0, 15)) {
    case 0: {
      chat::CreateRoomRequest request;
      request.set_room(Room());
      if (random_.OneIn(8)) request.set_topic("t");
      return AskedOf("chat.CreateRoom", request);
    }
    case 1:
      // As it costs all that was said.
      if (deleted_ < kRoomsMax && random_.OneIn(12)) {
        chat::DeleteRoomRequest request;
        request.set_room(Room());
        return AskedOf("chat.DeleteRoom", request);
      }
      [[fallthrough]];
    case 2: return AskedOf("chat.Join", OfAMember<chat::JoinRequest>());
    case 3:
      if (random_.OneIn(3)) return AskedOf("chat.Leave", OfAMember<chat::LeaveRequest>());
      return AskedOf("chat.Join", OfAMember<chat::JoinRequest>());
    case 4:
    case 5: {
      auto request = OfAMember<chat::MarkReadRequest>();
      const uint64_t from = last_number_ > 8 ? last_number_ - 8 : 1;
      request.set_up_to(random_.Between(from, last_number_ + 1));
      return AskedOf("chat.MarkRead", request);
    }
    default: return AskedOf("chat.Post", Post());
  }
}

chat::ReceiveRequest ChatRequests::Receive() {
  chat::ReceiveRequest request;
  request.set_room(Room());
  request.set_after(random_.OneIn(3) ? 0 : random_.Between(0, last_number_ + 1));
  request.set_limit(static_cast<uint32_t>(random_.Between(0, 20)));
  if (!random_.OneIn(4)) return request;
  request.set_delay_ms_max(static_cast<uint32_t>(random_.Between(0, 2) * 300));
  request.set_shuffle(random_.OneIn(2));
  request.set_duplicate_percent(static_cast<uint32_t>(random_.Between(0, 50)));
  request.set_lose_percent(static_cast<uint32_t>(random_.Between(0, 20)));
  request.set_seed(random_.Between(0, 1'000));
  return request;
}

Asked ChatRequests::MakeRead(int64_t /*from_us*/, int64_t /*to_us*/) {
  switch (random_.Between(0, 8)) {
    case 0: {
      chat::GetRoomRequest request;
      request.set_room(Room());
      if (random_.OneIn(2)) request.set_member(Member());
      return AskedOf("chat.GetRoom", request);
    }
    case 1: {
      chat::ListRoomsRequest request;
      if (random_.OneIn(2)) request.set_member(Member());
      if (random_.OneIn(2)) request.set_limit(1);
      if (random_.OneIn(2)) request.set_after(Room());
      return AskedOf("chat.ListRooms", request);
    }
    case 2: {
      chat::ListMembersRequest request;
      request.set_room(Room());
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 2)));
      return AskedOf("chat.ListMembers", request);
    }
    case 3: {
      chat::ListMessagesRequest request;
      request.set_room(Room());
      request.set_after(random_.Between(0, last_number_ + 1));
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 4)));
      return AskedOf("chat.ListMessages", request);
    }
    case 4: {
      chat::GetMessageRequest request;
      request.set_room(Room());
      request.set_id(Id());
      return AskedOf("chat.GetMessage", request);
    }
    default: return AskedOf("chat.Receive", Receive());
  }
}

std::optional<Asked> ChatRequests::NextPage(const Asked& asked, const std::string& reply) {
  if (asked.method == "chat.Receive") {
    chat::ReceiveReply page;
    Require(page.ParseFromString(reply), "a page does not parse");
    auto request = static_cast<const chat::ReceiveRequest&>(*asked.request);
    if (page.next_after() >= page.last()) return std::nullopt;
    request.set_after(page.next_after());
    return AskedOf("chat.Receive", request);
  }
  if (asked.method == "chat.ListMessages") {
    chat::ListMessagesReply page;
    Require(page.ParseFromString(reply), "a page does not parse");
    if (page.next_after() == 0) return std::nullopt;
    auto request = static_cast<const chat::ListMessagesRequest&>(*asked.request);
    request.set_after(page.next_after());
    return AskedOf("chat.ListMessages", request);
  }
  return std::nullopt;
}

void ChatRequests::Learn(const std::string& method, const google::protobuf::Message& request,
                         const std::string& reply) {
  if (method == "chat.Post") {
    chat::PostReply posted;
    if (posted.ParseFromString(reply)) last_number_ = std::max(last_number_, posted.number());
  }
  if (method == "chat.DeleteRoom") {
    chat::RoomReply deleted;
    const auto& room = static_cast<const chat::DeleteRoomRequest&>(request).room();
    if (!deleted.ParseFromString(reply)) return;
    if (deleted.outcome() == chat::RoomOutcome::deleted && room == "r" + std::to_string(deleted_)) {
      ++deleted_;
    }
  }
}

}  // namespace holdfast::sim
