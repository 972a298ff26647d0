#include "services/chat/sequence.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/reached.h"

namespace holdfast::chat {

bool Sequence::HasNumber(const std::string& room, const std::string& id) const {
  const auto row = tables_.ids.Get({room, id});
  return row && row->number != 0;
}

std::vector<std::string> Sequence::Missing(const std::string& room, const HeldRow& message) const {
  std::vector<std::string> missing;
  for (const std::string& id : message.follows) {
    if (!HasNumber(room, id)) missing.push_back(id);
  }
  const bool named = std::find(message.follows.begin(), message.follows.end(), message.target) !=
                     message.follows.end();
  if (!message.target.empty() && !named && !HasNumber(room, message.target)) {
    missing.push_back(message.target);
  }
  return missing;
}

PostOutcome::Code Sequence::Objection(const std::string& room, const HeldRow& message) const {
  if (message.kind == MessageKind::text) return PostOutcome::unspecified;
  const auto id = tables_.ids.Get({room, message.target});
  if (!id || id->number == 0) return PostOutcome::unspecified;
  const auto target = tables_.messages.Get({room, id->number});
  if (target->kind != MessageKind::text) return PostOutcome::target_not_text;
  if (target->author != message.author) return PostOutcome::not_the_author;
  const auto change = tables_.changes.Get({room, id->number});
  return change && change->deletion != 0 ? PostOutcome::target_deleted : PostOutcome::unspecified;
}

void Sequence::Place(const std::string& room, const HeldRow& message, WriteContext& context,
                     RoomRow* row, std::set<uint64_t>* ready) {
  const uint64_t number = ++row->last;
  const bool is_text = message.kind == MessageKind::text;
  if (is_text) ++row->texts;
  const auto named = [&](const std::string& id) {
    return NamedRow{id, tables_.ids.Find({room, id})->number};
  };
  MessageRow placed;
  placed.id = message.id;
  placed.author = message.author;
  placed.kind = message.kind;
  placed.text = message.text;
  for (const std::string& id : message.follows) placed.follows.push_back(named(id));
  if (!is_text) placed.target = named(message.target);
  placed.posted_us = context.now().us;
  placed.texts = row->texts;
  if (!is_text) {
    const MessageKey target{room, placed.target.number};
    const ChangeRow* before = tables_.changes.Find(target);
    ChangeRow change = before == nullptr ? ChangeRow() : *before;
    if (message.kind == MessageKind::edit) {
      ++change.edits;
      change.last_edit = number;
    } else {
      change.deletion = number;
    }
    tables_.changes.Put(target, change);
  }
  tables_.messages.PutNew({room, number}, std::move(placed));
  tables_.ids.Put({room, message.id}, {number, 0});
  // Who had read everything has read what they say themselves.
  const MemberRow* author = tables_.members.Find({room, message.author});
  if (author != nullptr && author->read_to + 1 == number) {
    MemberRow read = *author;
    read.read_to = number;
    read.texts_read = row->texts;
    tables_.members.Put({room, message.author}, read);
  }
  std::vector<uint64_t> waiting;
  ScanWhile(
      tables_.awaited, {room, message.id, 0},
      [&](const AwaitedKey& key) {
        return std::get<0>(key) == room && std::get<1>(key) == message.id;
      },
      [&](const AwaitedKey& key, const NoRow&) { waiting.push_back(std::get<2>(key)); });
  for (const uint64_t ticket : waiting) {
    tables_.awaited.EraseKnown({room, message.id, ticket});
    WaitRow wait = *tables_.waits.Find({room, ticket});
    HOLDFAST_CHECK(wait.missing > 0, "chat: a message waits for more than it counts");
    if (--wait.missing == 0) ready->insert(ticket);
    tables_.waits.Put({room, ticket}, wait);
  }
}

// Those that have waited follow in the order of their tickets, as far as nothing of them is
// missing: the same on every node, whatever set them free.
uint64_t Sequence::Append(const std::string& room, const HeldRow& message, WriteContext& context) {
  RoomRow row = *tables_.rooms.Find(room);
  std::set<uint64_t> ready;
  Place(room, message, context, &row, &ready);
  const uint64_t number = row.last;
  while (!ready.empty()) {
    const uint64_t ticket = *ready.begin();
    ready.erase(ready.begin());
    const HeldRow held = *tables_.held.Find({room, ticket});
    Forget(room, ticket, held, context);
    --row.held;
    // Its timer may not have fired yet.
    if (held.due_us <= context.lease_now().us) continue;
    if (Objection(room, held) != PostOutcome::unspecified) {
      HOLDFAST_REACHED("chat.sequence.is_refused_after_all");
      continue;
    }
    HOLDFAST_REACHED("chat.sequence.is_set_free");
    Place(room, held, context, &row, &ready);
  }
  tables_.rooms.Put(room, std::move(row));
  context.Touch(room);
  return number;
}

void Sequence::Hold(const std::string& room, HeldRow message,
                    const std::vector<std::string>& missing, WriteContext& context) {
  MetaRow meta = *tables_.meta.Find(kOnlyRow);
  const uint64_t ticket = ++meta.last_ticket;
  tables_.meta.Put(kOnlyRow, meta);
  RoomRow row = *tables_.rooms.Find(room);
  ++row.held;
  tables_.rooms.Put(room, std::move(row));
  tables_.ids.Put({room, message.id}, {0, ticket});
  for (const std::string& id : missing) tables_.awaited.PutNew({room, id, ticket}, {});
  tables_.waits.Put({room, ticket}, {static_cast<uint32_t>(missing.size())});
  context.SetLeaseTimer(state_machine::LeaseTime{message.due_us}, HeldTimer(room, ticket),
                        &message.timer_us);
  tables_.held.PutNew({room, ticket}, std::move(message));
}

void Sequence::Forget(const std::string& room, uint64_t ticket, const HeldRow& held,
                      WriteContext& context) {
  for (const std::string& id : Missing(room, held)) {
    tables_.awaited.EraseKnown({room, id, ticket});
  }
  int64_t timer_us = held.timer_us;
  context.CancelLeaseTimer(HeldTimer(room, ticket), &timer_us);
  tables_.ids.Erase({room, held.id});
  tables_.waits.Erase({room, ticket});
  tables_.held.EraseKnown({room, ticket});
}

void Sequence::Drop(const std::string& room, uint64_t ticket, WriteContext& context) {
  const HeldRow held = *tables_.held.Find({room, ticket});
  Forget(room, ticket, held, context);
  RoomRow row = *tables_.rooms.Find(room);
  --row.held;
  tables_.rooms.Put(room, std::move(row));
}

std::string Sequence::HeldTimer(const std::string& room, uint64_t ticket) {
  std::string key = "h";
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(ticket >> shift));
  return key + room;
}

void Sequence::Due(std::string_view key, WriteContext& context) {
  constexpr size_t kRoomAt = 9;
  uint64_t ticket = 0;
  for (size_t i = 1; i < kRoomAt; ++i) ticket = ticket << 8 | static_cast<uint8_t>(key[i]);
  const std::string room(key.substr(kRoomAt));
  const HeldRow* held = tables_.held.Find({room, ticket});
  if (held == nullptr) return;
  HeldRow fired = *held;
  fired.timer_us = 0;
  if (fired.due_us > context.lease_now().us) {
    HOLDFAST_REACHED("chat.sequence.nobody_led");
    context.SetLeaseTimer(state_machine::LeaseTime{fired.due_us}, HeldTimer(room, ticket),
                          &fired.timer_us);
    tables_.held.Put({room, ticket}, std::move(fired));
    return;
  }
  if (tables_.rooms.Find(room)->deleted) return;  // It goes with the room.
  HOLDFAST_REACHED("chat.sequence.never_came");
  Drop(room, ticket, context);
}

}  // namespace holdfast::chat
