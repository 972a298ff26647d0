#include "services/chat/chat.h"

#include <utility>
#include <vector>

#include "services/chat/describe.h"
#include "services/chat/validate.h"
#include "src/base/bounds.h"
#include "src/state_machine/registry.h"

namespace holdfast::chat {
namespace {

constexpr char kSweepTimer[] = "d";

// The first field of a message that is there which the one asked for has otherwise; unspecified:
// it is the same.
template <class There>
PostOutcome::Code DifferenceTo(const There& there, const std::vector<std::string>& follows,
                               const std::string& target, const HeldRow& want) {
  if (there.author != want.author) return PostOutcome::exists_with_different_author;
  if (there.kind != want.kind) return PostOutcome::exists_with_different_kind;
  if (target != want.target) return PostOutcome::exists_with_different_target;
  if (follows != want.follows) return PostOutcome::exists_with_different_follows;
  if (there.text != want.text) return PostOutcome::exists_with_different_text;
  return PostOutcome::unspecified;
}

void Tell(const std::vector<std::string>& missing, PostReply* reply) {
  reply->mutable_missing()->Assign(missing.begin(), missing.end());
}

}  // namespace

std::optional<RoomRow> Chat::FindRoom(const std::string& room) {
  const RoomRow* row = tables_.rooms.Find(room);
  return row == nullptr || row->deleted ? std::nullopt : std::optional(*row);
}

std::optional<MemberRow> Chat::FindMember(const std::string& room, const std::string& member) {
  const MemberRow* row = tables_.members.Find({room, member});
  return row == nullptr ? std::nullopt : std::optional(*row);
}

Result<void> Chat::CreateRoom(const CreateRoomRequest& request, WriteContext& context,
                              RoomReply* reply) {
  const std::string& room = request.room();
  if (const RoomRow* there = tables_.rooms.Find(room)) {
    if (there->deleted) {
      reply->set_outcome(RoomOutcome::room_deleted);
      return {};
    }
    reply->set_outcome(there->topic == request.topic() ? RoomOutcome::already_exists
                                                       : RoomOutcome::exists_with_different_topic);
    FillRoom(room, *there, reply->mutable_room());
    return {};
  }
  MetaRow meta = tables_.meta.Get(kOnlyRow).value_or(MetaRow());
  if (meta.rooms >= bounds::kChatRoomsMax) {
    reply->set_outcome(RoomOutcome::too_many_rooms);
    return {};
  }
  ++meta.rooms;
  tables_.meta.Put(kOnlyRow, meta);
  RoomRow row;
  row.topic = request.topic();
  row.created_us = context.now().us;
  FillRoom(room, row, reply->mutable_room());
  tables_.rooms.Put(room, std::move(row));
  reply->set_outcome(RoomOutcome::created);
  return {};
}

Result<void> Chat::DeleteRoom(const DeleteRoomRequest& request, WriteContext& context,
                              RoomReply* reply) {
  const std::string& room = request.room();
  auto row = FindRoom(room);
  if (!row) {
    reply->set_outcome(tables_.rooms.Find(room) != nullptr ? RoomOutcome::already_deleted
                                                           : RoomOutcome::room_not_found);
    return {};
  }
  FillRoom(room, *row, reply->mutable_room());
  reply->set_outcome(RoomOutcome::deleted);
  row->deleted = true;
  row->topic.clear();
  row->members = row->held = 0;
  tables_.rooms.Put(room, *std::move(row));
  MetaRow meta = *tables_.meta.Find(kOnlyRow);
  if (meta.swept == meta.deleted) context.SetTimer(context.now(), kSweepTimer);
  TrashRow trash;
  trash.room = room;
  tables_.trash.Put(++meta.deleted, std::move(trash));
  tables_.meta.Put(kOnlyRow, meta);
  context.Touch(room);
  return {};
}

Result<void> Chat::Join(const JoinRequest& request, WriteContext& context, MemberReply* reply) {
  const std::string& room = request.room();
  auto row = FindRoom(room);
  if (!row) {
    reply->set_outcome(MemberOutcome::room_not_found);
    return {};
  }
  if (const auto there = FindMember(room, request.member())) {
    reply->set_outcome(MemberOutcome::already_member);
    FillMember(request.member(), *there, *row, reply->mutable_member());
    return {};
  }
  if (row->members >= bounds::kChatMembersMax) {
    reply->set_outcome(MemberOutcome::too_many_members);
    return {};
  }
  const MemberRow member{context.now().us, row->last, row->texts};
  FillMember(request.member(), member, *row, reply->mutable_member());
  tables_.members.Put({room, request.member()}, member);
  tables_.memberships.Put({request.member(), room}, {});
  ++row->members;
  tables_.rooms.Put(room, *std::move(row));
  reply->set_outcome(MemberOutcome::joined);
  return {};
}

Result<void> Chat::Leave(const LeaveRequest& request, WriteContext& /*context*/,
                         MemberReply* reply) {
  const std::string& room = request.room();
  auto row = FindRoom(room);
  if (!row) {
    reply->set_outcome(MemberOutcome::room_not_found);
    return {};
  }
  const auto there = FindMember(room, request.member());
  if (!there) {
    reply->set_outcome(MemberOutcome::not_a_member);
    return {};
  }
  FillMember(request.member(), *there, *row, reply->mutable_member());
  tables_.members.EraseKnown({room, request.member()});
  tables_.memberships.EraseKnown({request.member(), room});
  --row->members;
  tables_.rooms.Put(room, *std::move(row));
  reply->set_outcome(MemberOutcome::left);
  return {};
}

PostOutcome::Code Chat::Known(const PostRequest& request, const HeldRow& want,
                              WriteContext& context, PostReply* reply) {
  const std::string& room = request.room();
  const IdRow* found = tables_.ids.Find({room, request.id()});
  if (found == nullptr) return PostOutcome::unspecified;
  const IdRow id = *found;
  if (id.number != 0) {
    const MessageRow* there = tables_.messages.Find({room, id.number});
    std::vector<std::string> follows;
    for (const NamedRow& named : there->follows) follows.push_back(named.id);
    reply->set_number(id.number);
    FillMessage(id.number, *there, reply->mutable_message());
    const auto different = DifferenceTo(*there, follows, there->target.id, want);
    return different == PostOutcome::unspecified ? PostOutcome::already_exists : different;
  }
  const HeldRow* held = tables_.held.Find({room, id.ticket});
  if (held->due_us <= context.lease_now().us) {  // Its timer has not fired yet.
    sequence_.Drop(room, id.ticket, context);
    return PostOutcome::unspecified;
  }
  const auto different = DifferenceTo(*held, held->follows, held->target, want);
  if (different != PostOutcome::unspecified) return different;
  Tell(sequence_.Missing(room, *held), reply);
  return PostOutcome::already_held;
}

PostOutcome::Code Chat::TryPost(const PostRequest& request, WriteContext& context,
                                PostReply* reply) {
  const std::string& room = request.room();
  if (!FindRoom(room)) return PostOutcome::room_not_found;
  HeldRow want = WantOf(request);
  const auto known = Known(request, want, context, reply);
  if (known != PostOutcome::unspecified) return known;
  if (!FindMember(room, request.author())) return PostOutcome::not_a_member;
  const auto objection = sequence_.Objection(room, want);
  if (objection != PostOutcome::unspecified) return objection;
  const RoomRow row = *FindRoom(room);
  if (row.last + row.held >= bounds::kChatMessagesMax) return PostOutcome::room_full;
  const std::vector<std::string> missing = sequence_.Missing(room, want);
  if (missing.empty()) {
    reply->set_number(sequence_.Append(room, want, context));
    return PostOutcome::posted;
  }
  const uint32_t hold_ms = request.has_hold_ms() ? request.hold_ms() : bounds::kChatHoldMsDefault;
  if (hold_ms != 0 && row.held >= bounds::kChatHeldMax) return PostOutcome::too_many_held;
  Tell(missing, reply);
  if (hold_ms == 0) return PostOutcome::unknown_dependency;
  want.due_us = context.lease_now().us + int64_t{hold_ms} * 1'000;
  sequence_.Hold(room, std::move(want), missing, context);
  return PostOutcome::held;
}

Result<void> Chat::Post(const PostRequest& request, WriteContext& context, PostReply* reply) {
  reply->set_outcome(TryPost(request, context, reply));
  return {};
}

Result<void> Chat::MarkRead(const MarkReadRequest& request, WriteContext& /*context*/,
                            MarkReadReply* reply) {
  const std::string& room = request.room();
  const auto row = FindRoom(room);
  if (!row) {
    reply->set_outcome(MarkReadOutcome::room_not_found);
    return {};
  }
  auto member = FindMember(room, request.member());
  if (!member) {
    reply->set_outcome(MarkReadOutcome::not_a_member);
    return {};
  }
  if (request.up_to() > row->last) {
    reply->set_outcome(MarkReadOutcome::message_not_found);
  } else if (request.up_to() <= member->read_to) {
    reply->set_outcome(MarkReadOutcome::already_read);
  } else {
    member->read_to = request.up_to();
    member->texts_read = tables_.messages.Find({room, request.up_to()})->texts;
    tables_.members.Put({room, request.member()}, *member);
    reply->set_outcome(MarkReadOutcome::marked);
  }
  reply->set_read_to(member->read_to);
  reply->set_unread(UnreadOf(*member, *row));
  return {};
}

void Chat::OnTimer(WriteContext& context, std::string_view key) {
  if (key == kSweepTimer) {
    Sweep(context);
  } else {
    sequence_.Due(key, context);
  }
}

// One room after the other, so that it takes the same small share of an entry whatever was deleted.
void Chat::Sweep(WriteContext& context) {
  MetaRow meta = *tables_.meta.Find(kOnlyRow);
  const uint64_t place = meta.swept + 1;
  TrashRow trash = *tables_.trash.Find(place);
  if (SweepRoom(&trash, bounds::kChatSweptPerEntry, context)) {
    tables_.trash.Erase(place);
    meta.swept = place;
    tables_.meta.Put(kOnlyRow, meta);
  } else {
    tables_.trash.Put(place, std::move(trash));
  }
  if (meta.swept == meta.deleted) return;
  // Nobody waits for what is swept: whoever does something meanwhile comes first.
  context.SetTimer(LogTime{context.now().us + bounds::kChatSweepPauseMs * 1'000}, kSweepTimer);
}

bool Chat::SweepRoom(TrashRow* trash, size_t rows, WriteContext& context) {
  if (!trash->held_is_gone) SweepHeld(trash, &rows, context);
  if (trash->held_is_gone && !trash->members_are_gone) SweepMembers(trash, &rows);
  if (!trash->members_are_gone) return false;
  const uint64_t last = tables_.rooms.Find(trash->room)->last;
  for (; rows > 0 && trash->swept < last; --rows) {
    const MessageKey key{trash->room, ++trash->swept};
    tables_.ids.Erase({trash->room, tables_.messages.Find(key)->id});
    tables_.changes.Erase(key);
    tables_.messages.EraseKnown(key);
  }
  return trash->swept == last;
}

// Both count rows that are there, and go on at one that is: what is erased and not yet written,
// which a walk also passes, differs from node to node.
void Chat::SweepHeld(TrashRow* trash, size_t* rows, WriteContext& context) {
  const std::string& room = trash->room;
  std::vector<std::pair<uint64_t, HeldRow>> swept;
  trash->held_is_gone = true;
  tables_.held.Scan({room, trash->next_ticket}, [&](const HeldKey& key, const HeldRow& held) {
    if (std::get<0>(key) != room) return false;
    if (swept.size() == *rows) {
      trash->held_is_gone = false;
      trash->next_ticket = std::get<1>(key);
      return false;
    }
    swept.emplace_back(std::get<1>(key), held);
    return true;
  });
  for (const auto& [ticket, held] : swept) sequence_.Forget(room, ticket, held, context);
  *rows -= swept.size();
}

void Chat::SweepMembers(TrashRow* trash, size_t* rows) {
  const std::string& room = trash->room;
  std::vector<std::string> swept;
  std::optional<std::string> next;
  tables_.members.Scan({room, trash->next_member}, [&](const MemberKey& key, const MemberRow&) {
    if (std::get<0>(key) != room) return false;
    if (swept.size() == *rows) {
      next = std::get<1>(key);
      return false;
    }
    swept.push_back(std::get<1>(key));
    return true;
  });
  for (const std::string& member : swept) {
    tables_.members.EraseKnown({room, member});
    tables_.memberships.EraseKnown({member, room});
  }
  *rows -= swept.size();
  trash->members_are_gone = !next.has_value();
  if (next) trash->next_member = *std::move(next);
}

void Register(state_machine::Registry& registry) {
  registry.Add("holdfast.chat.Chat", std::make_unique<Chat>(registry.store()))
      .Write("CreateRoom", &Chat::CreateRoom, &Validate)
      .Write("DeleteRoom", &Chat::DeleteRoom, &Validate)
      .Write("Join", &Chat::Join, &Validate)
      .Write("Leave", &Chat::Leave, &Validate)
      .Write("Post", &Chat::Post, &Validate)
      .Write("MarkRead", &Chat::MarkRead, &Validate)
      .Read("GetRoom", &Chat::GetRoom, &Validate)
      .Read("ListRooms", &Chat::ListRooms, &Validate)
      .Read("ListMembers", &Chat::ListMembers, &Validate)
      .Read("Receive", &Chat::Receive, &Validate)
      .Read("ListMessages", &Chat::ListMessages, &Validate)
      .Read("GetMessage", &Chat::GetMessage, &Validate);
}

}  // namespace holdfast::chat
