// The rows of the chat rooms (docs/formats/store.md). Fields are appended to, never reordered or
// removed.
//
// Invariants (invariants.cc): the messages of a room have the numbers 1 to `last`, and everything
// that one names has a lower number than it. Every message and every one that is held back has its
// id in `ids`, and no other id is there. What is held back waits for at least one message that has
// no number, and has a row in `awaited` for each. The counts of rooms and members are what there
// is; a member is in `members` and in `memberships`. A room that was deleted has rows in `rooms`
// and `trash`, and others as far as it is not swept; nothing else reads these.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "services/chat/chat.pb.h"
#include "src/store/table.h"

namespace holdfast::chat {

struct NamedRow {
  std::string id;
  uint64_t number = 0;

  auto Fields() { return std::tie(id, number); }
  auto Fields() const { return std::tie(id, number); }
};

// Stays when the room is deleted: names are not given again, so that no cursor and no id that
// somebody kept ever means something else.
struct RoomRow {
  std::string topic;
  int64_t created_us = 0;
  bool deleted = false;
  uint32_t members = 0;
  uint64_t last = 0;   // The number of the last message.
  uint64_t texts = 0;  // Of these.
  uint32_t held = 0;

  auto Fields() { return std::tie(topic, created_us, deleted, members, last, texts, held); }
  auto Fields() const { return std::tie(topic, created_us, deleted, members, last, texts, held); }
};

struct MemberRow {
  int64_t joined_us = 0;
  uint64_t read_to = 0;
  uint64_t texts_read = 0;  // Texts up to there.

  auto Fields() { return std::tie(joined_us, read_to, texts_read); }
  auto Fields() const { return std::tie(joined_us, read_to, texts_read); }
};

struct MessageRow {
  std::string id;
  std::string author;
  MessageKind::Code kind = MessageKind::text;
  std::string text;
  std::vector<NamedRow> follows;
  NamedRow target;  // Number 0: none.
  int64_t posted_us = 0;
  uint64_t texts = 0;  // Of the room, up to this one.

  auto Fields() { return std::tie(id, author, kind, text, follows, target, posted_us, texts); }
  auto Fields() const {
    return std::tie(id, author, kind, text, follows, target, posted_us, texts);
  }
};

// Of a message: its number. Of one that is held back: its ticket.
struct IdRow {
  uint64_t number = 0;
  uint64_t ticket = 0;

  auto Fields() { return std::tie(number, ticket); }
  auto Fields() const { return std::tie(number, ticket); }
};

// As it was asked for.
struct HeldRow {
  std::string id;
  std::string author;
  MessageKind::Code kind = MessageKind::text;
  std::string text;
  std::vector<std::string> follows;
  std::string target;
  int64_t due_us = 0;    // Then it leaves, by lease time.
  int64_t timer_us = 0;  // When its timer fires, by log time.

  auto Fields() { return std::tie(id, author, kind, text, follows, target, due_us, timer_us); }
  auto Fields() const {
    return std::tie(id, author, kind, text, follows, target, due_us, timer_us);
  }
};

// Apart from what is held back, as it changes with each message that comes.
struct WaitRow {
  uint32_t missing = 0;  // Rows in `awaited`; at least one.

  auto Fields() { return std::tie(missing); }
  auto Fields() const { return std::tie(missing); }
};

// Of a text that was edited or deleted.
struct ChangeRow {
  uint32_t edits = 0;
  uint64_t last_edit = 0;  // Their numbers; 0: none.
  uint64_t deletion = 0;

  auto Fields() { return std::tie(edits, last_edit, deletion); }
  auto Fields() const { return std::tie(edits, last_edit, deletion); }
};

// What is gone already of a room that was deleted; in this order, as what is held back awaits what
// has no number.
struct TrashRow {
  std::string room;
  uint64_t next_ticket = 0;  // What is held back, up to before this ticket.
  bool held_is_gone = false;
  std::string next_member;  // Members, up to before this one.
  bool members_are_gone = false;
  uint64_t swept = 0;  // Messages, up to this number.

  auto Fields() {
    return std::tie(room, next_ticket, held_is_gone, next_member, members_are_gone, swept);
  }
  auto Fields() const {
    return std::tie(room, next_ticket, held_is_gone, next_member, members_are_gone, swept);
  }
};

struct MetaRow {
  uint64_t rooms = 0;  // With those that were deleted.
  uint64_t last_ticket = 0;
  uint64_t deleted = 0;  // Of the rooms; each has this place in `trash` until it is swept.
  uint64_t swept = 0;    // Of these. One timer is set while they are fewer.

  auto Fields() { return std::tie(rooms, last_ticket, deleted, swept); }
  auto Fields() const { return std::tie(rooms, last_ticket, deleted, swept); }
};

struct NoRow {
  auto Fields() { return std::tie(); }
  auto Fields() const { return std::tie(); }
};

using MemberKey = std::tuple<std::string, std::string>;             // (room, member)
using MembershipKey = std::tuple<std::string, std::string>;         // (member, room)
using MessageKey = std::tuple<std::string, uint64_t>;               // (room, number)
using IdKey = std::tuple<std::string, std::string>;                 // (room, id)
using HeldKey = std::tuple<std::string, uint64_t>;                  // (room, ticket)
using AwaitedKey = std::tuple<std::string, std::string, uint64_t>;  // (room, id, ticket)

inline constexpr uint64_t kOnlyRow = 0;

// Visits the rows from `from` on whose keys are `mine`. Rows that were erased and are not written
// yet have to be walked over: a few of others, but not all of theirs.
template <class Key, class Row, class Mine, class Visit>
void ScanWhile(const store::SortedTable<Key, Row>& table, Key from, Mine mine, Visit visit) {
  constexpr size_t kSteps = 64;
  for (std::optional<Key> next = std::move(from); next && mine(*next);) {
    // tidy: allow reads only, as it goes on to the end whatever a portion has.
    next = table.ScanWithin(*next, kSteps, [&](const Key& key, const Row& row) {
      if (!mine(key)) return false;
      visit(key, row);
      return true;
    });
  }
}

struct Tables {
  explicit Tables(store::Store& store)
      : rooms(store, {11, 1}, "chat rooms"),
        members(store, {11, 2}, "chat members"),
        memberships(store, {11, 3}, "chat memberships"),
        messages(store, {11, 4}, "chat messages"),
        ids(store, {11, 5}, "chat message ids"),
        held(store, {11, 6}, "chat messages held back"),
        awaited(store, {11, 7}, "chat messages awaited"),
        waits(store, {11, 8}, "chat waits"),
        changes(store, {11, 9}, "chat changes of texts"),
        trash(store, {11, 10}, "chat rooms to be swept"),
        meta(store, {11, 11}, "chat meta") {}

  store::SortedTable<std::string, RoomRow> rooms;
  store::SortedTable<MemberKey, MemberRow> members;
  store::SortedTable<MembershipKey, NoRow> memberships;
  store::SortedTable<MessageKey, MessageRow> messages;
  store::HashTable<IdKey, IdRow> ids;
  store::SortedTable<HeldKey, HeldRow> held;
  store::SortedTable<AwaitedKey, NoRow> awaited;
  store::HashTable<HeldKey, WaitRow> waits;
  store::HashTable<MessageKey, ChangeRow> changes;
  store::HashTable<uint64_t, TrashRow> trash;  // Rooms that are deleted and not swept yet.
  store::HashTable<uint64_t, MetaRow> meta;
};

}  // namespace holdfast::chat
