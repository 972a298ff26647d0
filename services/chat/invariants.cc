// What must hold after every entry; see tables.h.
#include <map>
#include <set>

#include "services/chat/chat.h"

namespace holdfast::chat {
namespace {

// Up to so many messages everything is looked at anew each time.
constexpr uint64_t kCountedMax = 2'048;

}  // namespace

std::optional<std::string> Chat::CheckInvariants() const {
  std::optional<std::string> broken;
  const auto expect = [&broken](bool holds, const std::string& what) {
    if (!holds && !broken) broken = what;
  };
  std::map<std::string, RoomRow> rooms;  // Those that are not deleted.
  uint64_t all = 0, messages = 0, waiting = 0;
  tables_.rooms.Scan("", [&](const std::string& room, const RoomRow& row) {
    ++all;
    if (!row.deleted) rooms[room] = row;
    messages += row.deleted ? 0 : row.last;
    return true;
  });
  const MetaRow meta = tables_.meta.Get(kOnlyRow).value_or(MetaRow());
  expect(meta.rooms == all, "miscounted rooms");
  std::set<std::string> trash;
  for (uint64_t place = meta.swept + 1; place <= meta.deleted; ++place) {
    const auto row = tables_.trash.Get(place);
    expect(row.has_value(), "a room that was deleted is not swept");
    if (!row) continue;
    const auto of = tables_.rooms.Get(row->room);
    expect(of && of->deleted && row->swept <= of->last, row->room + " is swept and not deleted");
    expect(trash.insert(row->room).second, row->room + " is swept twice");
  }

  std::map<std::string, uint32_t> members, held;
  uint64_t memberships = 0;
  tables_.members.Scan({"", ""}, [&](const MemberKey& key, const MemberRow& row) {
    const auto& [room, member] = key;
    ++memberships;
    expect(tables_.memberships.Get({member, room}).has_value(), member + " is in no room");
    expect(rooms.contains(room) || trash.contains(room), "members of a room that is gone");
    if (!rooms.contains(room)) return true;
    ++members[room];
    expect(row.read_to <= rooms[room].last, member + " has read what is not there");
    const auto read = tables_.messages.Get({room, row.read_to});
    expect(row.texts_read == (read ? read->texts : 0), "miscounted what " + member + " has read");
    return true;
  });
  tables_.memberships.Scan({"", ""}, [&](const MembershipKey&, const NoRow&) {
    --memberships;
    return true;
  });
  expect(memberships == 0, "members and memberships differ");

  tables_.held.Scan({"", 0}, [&](const HeldKey& key, const HeldRow& row) {
    const auto& [room, ticket] = key;
    ++held[room];
    expect(rooms.contains(room) || trash.contains(room),
           "messages held back of a room that is gone");
    const auto id = tables_.ids.Get({room, row.id});
    expect(id && id->number == 0 && id->ticket == ticket, row.id + " has no ticket");
    const auto missing = sequence_.Missing(room, row);
    expect(!missing.empty(), row.id + " is held back and nothing of it is missing");
    const auto wait = tables_.waits.Get(key);
    expect(wait && wait->missing == missing.size(), row.id + " waits for another number");
    for (const std::string& other : missing) {
      expect(tables_.awaited.Get({room, other, ticket}).has_value(), "nobody awaits " + other);
    }
    waiting += missing.size();
    return true;
  });
  tables_.awaited.Scan({"", "", 0}, [&](const AwaitedKey&, const NoRow&) {
    --waiting;
    return true;
  });
  expect(waiting == 0, "somebody awaits what is there");
  for (const auto& [room, row] : rooms) {
    expect(row.members == members[room], "miscounted members of " + room);
    expect(row.held == held[room], "miscounted what is held back in " + room);
  }
  if (broken || messages > kCountedMax) return broken;

  std::map<std::string, RoomRow> counted;
  tables_.messages.Scan({"", 0}, [&](const MessageKey& key, const MessageRow& row) {
    const std::string& room = std::get<0>(key);
    const uint64_t number = std::get<1>(key);
    expect(rooms.contains(room) || trash.contains(room), "messages of a room that is gone");
    if (!rooms.contains(room)) return true;
    RoomRow& count = counted[room];
    expect(++count.last == number, room + " has a gap before message " + std::to_string(number));
    if (row.kind == MessageKind::text) ++count.texts;
    expect(row.texts == count.texts, "miscounted texts of " + room);
    const auto id = tables_.ids.Get({room, row.id});
    expect(id && id->number == number, row.id + " has another number");
    const auto precedes = [&](const NamedRow& named) {
      const auto other = tables_.messages.Get({room, named.number});
      expect(named.number < number && other && other->id == named.id,
             row.id + " comes before " + named.id + ", which it follows");
    };
    for (const NamedRow& named : row.follows) precedes(named);
    expect((row.kind == MessageKind::text) == (row.target.number == 0), row.id + " and its target");
    if (row.target.number != 0) precedes(row.target);
    return true;
  });
  for (const auto& [room, row] : rooms) {
    const RoomRow& count = counted[room];
    expect(row.last == count.last && row.texts == count.texts, "miscounted messages of " + room);
  }
  return broken;
}

}  // namespace holdfast::chat
