#include "services/chat/model.h"

#include <xxhash.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "src/base/bounds.h"

namespace holdfast::chat {
namespace {

void SetTime(int64_t us, google::protobuf::Timestamp* time) {
  time->set_seconds(us / 1'000'000);
  time->set_nanos(static_cast<int32_t>(us % 1'000'000 * 1'000));
}

MessageKind::Code KindOf(const PostRequest& request) {
  return request.kind() == MessageKind::unspecified ? MessageKind::text : request.kind();
}

// Why a message of the same id is another one.
std::optional<PostOutcome::Code> Conflict(const PostRequest& there, const PostRequest& asked) {
  if (there.author() != asked.author()) return PostOutcome::exists_with_different_author;
  if (KindOf(there) != KindOf(asked)) return PostOutcome::exists_with_different_kind;
  if (there.target() != asked.target()) return PostOutcome::exists_with_different_target;
  const std::vector<std::string> a(there.follows().begin(), there.follows().end());
  const std::vector<std::string> b(asked.follows().begin(), asked.follows().end());
  if (a != b) return PostOutcome::exists_with_different_follows;
  if (there.text() != asked.text()) return PostOutcome::exists_with_different_text;
  return std::nullopt;
}

// The request that made it.
PostRequest RequestOf(const Message& message) {
  PostRequest request;
  request.set_id(message.id());
  request.set_author(message.author());
  request.set_kind(message.kind());
  request.set_text(message.text());
  for (const Named& named : message.follows()) request.add_follows(named.id());
  request.set_target(message.target().id());
  return request;
}

template <class Request>
size_t LimitOf(const Request& request) {
  return request.limit() == 0 ? bounds::kPageRowsDefault : request.limit();
}

// The names of a page, in order: at most `limit` that are shown, of at most kPageRowsMax.
template <class Rows, class Shows>
std::pair<std::vector<std::string>, std::string> Page(const Rows& rows, const std::string& after,
                                                      size_t limit, Shows shows) {
  std::vector<std::string> page;
  std::string last;
  size_t looked_at = 0;
  for (const auto& [name, row] : rows) {
    if (name <= after) continue;
    if (page.size() == limit || looked_at == bounds::kPageRowsMax) return {page, last};
    ++looked_at;
    last = name;
    if (shows(row)) page.push_back(name);
  }
  return {page, ""};
}

}  // namespace

Model::Chatroom* Model::Find(const std::string& room) {
  const auto found = rooms_.find(room);
  return found == rooms_.end() || found->second.deleted ? nullptr : &found->second;
}
const Model::Chatroom* Model::Find(const std::string& room) const {
  const auto found = rooms_.find(room);
  return found == rooms_.end() || found->second.deleted ? nullptr : &found->second;
}

const Message* Model::MessageOf(const Chatroom& room, const std::string& id) {
  for (const Message& message : room.messages) {
    if (message.id() == id) return &message;
  }
  return nullptr;
}

bool Model::Deleted(const Chatroom& room, const std::string& id) {
  return std::any_of(room.messages.begin(), room.messages.end(), [&](const Message& message) {
    return message.kind() == MessageKind::delete_ && message.target().id() == id;
  });
}

uint64_t Model::Texts(const Chatroom& room, uint64_t up_to) {
  uint64_t texts = 0;
  for (const Message& message : room.messages) {
    if (message.number() <= up_to && message.kind() == MessageKind::text) ++texts;
  }
  return texts;
}

std::vector<std::string> Model::Missing(const Chatroom& room, const PostRequest& request) {
  std::vector<std::string> named(request.follows().begin(), request.follows().end());
  if (!request.target().empty() &&
      std::find(named.begin(), named.end(), request.target()) == named.end()) {
    named.push_back(request.target());
  }
  std::erase_if(named, [&](const std::string& id) { return MessageOf(room, id) != nullptr; });
  return named;
}

std::optional<PostOutcome::Code> Model::Objection(const Chatroom& room,
                                                  const PostRequest& request) {
  const Message* target = MessageOf(room, request.target());
  if (request.target().empty() || target == nullptr) return std::nullopt;
  if (target->kind() != MessageKind::text) return PostOutcome::target_not_text;
  if (target->author() != request.author()) return PostOutcome::not_the_author;
  if (Deleted(room, request.target())) return PostOutcome::target_deleted;
  return std::nullopt;
}

Room Model::Told(const std::string& name, const Chatroom& room) {
  Room told;
  told.set_room(name);
  told.set_topic(room.topic);
  SetTime(room.created_us, told.mutable_created());
  told.set_members(static_cast<uint32_t>(room.members.size()));
  told.set_last(room.messages.size());
  told.set_texts(Texts(room, room.messages.size()));
  told.set_held(static_cast<uint32_t>(room.held.size()));
  return told;
}

Member Model::Told(const Chatroom& room, const Member& member) {
  Member told = member;
  told.set_unread(Texts(room, room.messages.size()) - Texts(room, member.read_to()));
  return told;
}

void Model::PassTo(const sessions::Moment& now) {
  now_ = now;
  for (auto& [name, room] : rooms_) {
    std::erase_if(room.held, [&](const Held& held) { return held.due_us <= now.lease_us(); });
  }
}

RoomReply Model::CreateRoom(const CreateRoomRequest& request) {
  RoomReply reply;
  if (const auto there = rooms_.find(request.room()); there != rooms_.end()) {
    const Chatroom& room = there->second;
    reply.set_outcome(room.deleted                    ? RoomOutcome::room_deleted
                      : room.topic != request.topic() ? RoomOutcome::exists_with_different_topic
                                                      : RoomOutcome::already_exists);
    if (!room.deleted) *reply.mutable_room() = Told(request.room(), room);
    return reply;
  }
  if (rooms_.size() >= bounds::kChatRoomsMax) {
    reply.set_outcome(RoomOutcome::too_many_rooms);
    return reply;
  }
  Chatroom& room = rooms_[request.room()];
  room.topic = request.topic();
  room.created_us = now_.log_us;
  reply.set_outcome(RoomOutcome::created);
  *reply.mutable_room() = Told(request.room(), room);
  return reply;
}

RoomReply Model::DeleteRoom(const DeleteRoomRequest& request) {
  RoomReply reply;
  const auto there = rooms_.find(request.room());
  if (there == rooms_.end() || there->second.deleted) {
    reply.set_outcome(there == rooms_.end() ? RoomOutcome::room_not_found
                                            : RoomOutcome::already_deleted);
    return reply;
  }
  reply.set_outcome(RoomOutcome::deleted);
  *reply.mutable_room() = Told(request.room(), there->second);
  there->second = Chatroom();
  there->second.deleted = true;
  return reply;
}

MemberReply Model::Join(const JoinRequest& request) {
  MemberReply reply;
  Chatroom* room = Find(request.room());
  if (room == nullptr) {
    reply.set_outcome(MemberOutcome::room_not_found);
    return reply;
  }
  const auto there = room->members.find(request.member());
  if (there != room->members.end()) {
    reply.set_outcome(MemberOutcome::already_member);
    *reply.mutable_member() = Told(*room, there->second);
    return reply;
  }
  if (room->members.size() >= bounds::kChatMembersMax) {
    reply.set_outcome(MemberOutcome::too_many_members);
    return reply;
  }
  Member& member = room->members[request.member()];
  member.set_member(request.member());
  SetTime(now_.log_us, member.mutable_joined());
  member.set_read_to(room->messages.size());
  reply.set_outcome(MemberOutcome::joined);
  *reply.mutable_member() = Told(*room, member);
  return reply;
}

MemberReply Model::Leave(const LeaveRequest& request) {
  MemberReply reply;
  Chatroom* room = Find(request.room());
  if (room == nullptr) {
    reply.set_outcome(MemberOutcome::room_not_found);
    return reply;
  }
  const auto there = room->members.find(request.member());
  if (there == room->members.end()) {
    reply.set_outcome(MemberOutcome::not_a_member);
    return reply;
  }
  reply.set_outcome(MemberOutcome::left);
  *reply.mutable_member() = Told(*room, there->second);
  room->members.erase(there);
  return reply;
}

MarkReadReply Model::MarkRead(const MarkReadRequest& request) {
  MarkReadReply reply;
  Chatroom* room = Find(request.room());
  if (room == nullptr) {
    reply.set_outcome(MarkReadOutcome::room_not_found);
    return reply;
  }
  const auto there = room->members.find(request.member());
  if (there == room->members.end()) {
    reply.set_outcome(MarkReadOutcome::not_a_member);
    return reply;
  }
  Member& member = there->second;
  if (request.up_to() > room->messages.size()) {
    reply.set_outcome(MarkReadOutcome::message_not_found);
  } else if (request.up_to() <= member.read_to()) {
    reply.set_outcome(MarkReadOutcome::already_read);
  } else {
    reply.set_outcome(MarkReadOutcome::marked);
    member.set_read_to(request.up_to());
  }
  reply.set_read_to(member.read_to());
  reply.set_unread(Told(*room, member).unread());
  return reply;
}

void Model::Place(Chatroom& room, const PostRequest& request) {
  Message message;
  message.set_number(room.messages.size() + 1);
  message.set_id(request.id());
  message.set_author(request.author());
  message.set_kind(KindOf(request));
  message.set_text(request.text());
  const auto name = [&](const std::string& id, Named* named) {
    named->set_id(id);
    named->set_number(MessageOf(room, id)->number());
  };
  for (const std::string& id : request.follows()) name(id, message.add_follows());
  if (!request.target().empty()) name(request.target(), message.mutable_target());
  SetTime(now_.log_us, message.mutable_posted());
  room.messages.push_back(message);
  const auto author = room.members.find(request.author());
  if (author != room.members.end() && author->second.read_to() + 1 == message.number()) {
    author->second.set_read_to(message.number());
  }
}

PostReply Model::Post(const PostRequest& request) {
  PostReply reply;
  Chatroom* room = Find(request.room());
  if (room == nullptr) {
    reply.set_outcome(PostOutcome::room_not_found);
    return reply;
  }
  const auto miss = [&](const PostRequest& asked) {
    for (const std::string& id : Missing(*room, asked)) reply.add_missing(id);
  };
  if (const Message* there = MessageOf(*room, request.id())) {
    reply.set_number(there->number());
    *reply.mutable_message() = *there;
    reply.set_outcome(Conflict(RequestOf(*there), request).value_or(PostOutcome::already_exists));
    return reply;
  }
  for (const Held& held : room->held) {
    if (held.request.id() != request.id()) continue;
    const auto conflict = Conflict(held.request, request);
    reply.set_outcome(conflict.value_or(PostOutcome::already_held));
    if (!conflict) miss(held.request);
    return reply;
  }
  if (!room->members.contains(request.author())) {
    reply.set_outcome(PostOutcome::not_a_member);
    return reply;
  }
  if (const auto objection = Objection(*room, request)) {
    reply.set_outcome(*objection);
    return reply;
  }
  if (room->messages.size() + room->held.size() >= bounds::kChatMessagesMax) {
    reply.set_outcome(PostOutcome::room_full);
    return reply;
  }
  if (!Missing(*room, request).empty()) {
    const uint32_t hold_ms = request.has_hold_ms() ? request.hold_ms() : bounds::kChatHoldMsDefault;
    if (hold_ms == 0) {
      reply.set_outcome(PostOutcome::unknown_dependency);
      miss(request);
    } else if (room->held.size() >= bounds::kChatHeldMax) {
      reply.set_outcome(PostOutcome::too_many_held);
    } else {
      reply.set_outcome(PostOutcome::held);
      miss(request);
      room->held.push_back({request, now_.lease_us() + int64_t{hold_ms} * 1'000});
    }
    return reply;
  }
  Place(*room, request);
  reply.set_outcome(PostOutcome::posted);
  reply.set_number(room->messages.size());
  // Whoever came first and misses nothing any more is next.
  for (size_t i = 0; i < room->held.size();) {
    const PostRequest held = room->held[i].request;
    if (!Missing(*room, held).empty()) {
      ++i;
      continue;
    }
    room->held.erase(room->held.begin() + static_cast<std::ptrdiff_t>(i));
    if (!Objection(*room, held)) Place(*room, held);
    i = 0;
  }
  return reply;
}

std::optional<Room> Model::GetRoom(const GetRoomRequest& request) const {
  const Chatroom* room = Find(request.room());
  if (room == nullptr) return std::nullopt;
  Room told = Told(request.room(), *room);
  if (request.member().empty()) return told;
  const auto member = room->members.find(request.member());
  if (member == room->members.end()) return std::nullopt;
  told.set_read_to(member->second.read_to());
  told.set_unread(Told(*room, member->second).unread());
  return told;
}

ListRoomsReply Model::ListRooms(const ListRoomsRequest& request) const {
  ListRoomsReply reply;
  std::map<std::string, Chatroom> rooms = rooms_;
  if (!request.member().empty()) {
    std::erase_if(
        rooms, [&](const auto& room) { return !room.second.members.contains(request.member()); });
  }
  const auto [page, next] = Page(rooms, request.after(), LimitOf(request),
                                 [](const Chatroom& room) { return !room.deleted; });
  for (const std::string& name : page) {
    GetRoomRequest one;
    one.set_room(name);
    one.set_member(request.member());
    *reply.add_rooms() = *GetRoom(one);
  }
  reply.set_next_after(next);
  return reply;
}

std::optional<ListMembersReply> Model::ListMembers(const ListMembersRequest& request) const {
  const Chatroom* room = Find(request.room());
  if (room == nullptr) return std::nullopt;
  ListMembersReply reply;
  const auto [page, next] =
      Page(room->members, request.after(), LimitOf(request), [](const Member&) { return true; });
  for (const std::string& name : page) *reply.add_members() = Told(*room, room->members.at(name));
  reply.set_next_after(next);
  return reply;
}

std::optional<ReceiveReply> Model::Receive(const ReceiveRequest& request) const {
  const Chatroom* room = Find(request.room());
  if (room == nullptr) return std::nullopt;
  ReceiveReply reply;
  reply.set_last(room->messages.size());
  reply.set_next_after(request.after());
  std::vector<Message> page;
  size_t bytes = 0;
  for (const Message& message : room->messages) {
    if (message.number() <= request.after()) continue;
    if (page.size() == LimitOf(request) || bytes >= bounds::kChatPageBytesMax) break;
    page.push_back(message);
    bytes += message.ByteSizeLong();
    reply.set_next_after(message.number());
  }
  const bool plays = request.delay_ms_max() != 0 || request.shuffle() ||
                     request.duplicate_percent() != 0 || request.lose_percent() != 0;
  if (!plays) {
    for (const Message& message : page) *reply.add_messages() = message;
    return reply;
  }
  const auto chance = [&](const std::string& what, const Message& message) {
    const std::string text = what + " " + std::to_string(message.number()) + " " + request.room();
    return XXH3_64bits_withSeed(text.data(), text.size(), request.seed());
  };
  using Arrival = std::tuple<uint64_t, uint64_t, uint64_t, bool, Message>;
  std::vector<Arrival> arrivals;  // Delay, place, number, whether again.
  for (const Message& message : page) {
    if (chance("lose", message) % 100 < request.lose_percent()) continue;
    const uint64_t delays = uint64_t{request.delay_ms_max()} + 1;
    arrivals.emplace_back(chance("delay", message) % delays, chance("place", message),
                          message.number(), false, message);
    if (chance("again", message) % 100 >= request.duplicate_percent()) continue;
    arrivals.emplace_back(chance("again-delay", message) % delays, chance("again-place", message),
                          message.number(), true, message);
  }
  if (request.shuffle()) {
    std::sort(arrivals.begin(), arrivals.end(), [](const Arrival& a, const Arrival& b) {
      return std::tie(std::get<0>(a), std::get<1>(a), std::get<2>(a), std::get<3>(a)) <
             std::tie(std::get<0>(b), std::get<1>(b), std::get<2>(b), std::get<3>(b));
    });
  }
  uint64_t delay = 0;
  for (const Arrival& arrival : arrivals) {
    delay = std::max(delay, std::get<0>(arrival));
    Message* message = reply.add_messages();
    *message = std::get<4>(arrival);
    message->set_delay_ms(static_cast<uint32_t>(delay));
    message->set_again(std::get<3>(arrival));
  }
  return reply;
}

std::optional<ListMessagesReply> Model::ListMessages(const ListMessagesRequest& request) const {
  const Chatroom* room = Find(request.room());
  if (room == nullptr) return std::nullopt;
  ListMessagesReply reply;
  size_t bytes = 0;
  uint64_t looked_at = 0;
  for (const Message& message : room->messages) {
    if (message.number() <= request.after()) continue;
    if (static_cast<size_t>(reply.messages_size()) == LimitOf(request) ||
        bytes >= bounds::kChatPageBytesMax || looked_at == bounds::kPageRowsMax) {
      reply.set_next_after(message.number() - 1);
      break;
    }
    ++looked_at;
    if (message.kind() != MessageKind::text) continue;
    Shown* shown = reply.add_messages();
    shown->set_number(message.number());
    shown->set_id(message.id());
    shown->set_author(message.author());
    *shown->mutable_posted() = message.posted();
    shown->set_text(message.text());
    for (const Message& change : room->messages) {
      if (change.target().id() != message.id()) continue;
      shown->set_changed_by(change.number());
      shown->set_text(change.text());
      if (change.kind() == MessageKind::edit) shown->set_edits(shown->edits() + 1);
      if (change.kind() == MessageKind::delete_) shown->set_deleted(true);
    }
    bytes += shown->ByteSizeLong();
  }
  return reply;
}

std::optional<Message> Model::GetMessage(const GetMessageRequest& request) const {
  const Chatroom* room = Find(request.room());
  if (room == nullptr) return std::nullopt;
  const Message* message = MessageOf(*room, request.id());
  return message == nullptr ? std::nullopt : std::optional(*message);
}

std::vector<std::string> Model::Rooms() const {
  std::vector<std::string> names;
  for (const auto& [name, room] : rooms_) {
    if (!room.deleted) names.push_back(name);
  }
  return names;
}

}  // namespace holdfast::chat
