#include <utility>
#include <vector>

#include "services/chat/chat.h"
#include "services/chat/describe.h"
#include "services/chat/network.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::chat {
namespace {

template <class Request>
size_t LimitOf(const Request& request) {
  return request.limit() == 0 ? bounds::kPageRowsDefault : request.limit();
}

Error NoRoom(const std::string& room) { return NotFound("there is no room '" + room + "'"); }

// One page of names as it grows: bounded by what is on it, and by what had to be looked at.
class NamePage {
 public:
  explicit NamePage(size_t limit) : limit_(limit) {}

  // Whether another row may be looked at. Else the page ends, behind the row before.
  bool TakesMore(size_t size) {
    if (size < limit_ && looked_at_++ < bounds::kPageRowsMax) return true;
    more_ = true;
    return false;
  }
  void Passed(const std::string& name) { last_ = name; }
  // Rows of a table whose rows go, from behind `after`: those that are erased and not written yet
  // are walked over, so many at most. Then the page ends behind the row where the walk stopped.
  template <class Row, class Visit>
  void Scan(const store::SortedTable<std::tuple<std::string, std::string>, Row>& table,
            const std::string& of, const std::string& after, Visit visit) {
    const auto mine = [&](const std::tuple<std::string, std::string>& key, const Row& row) {
      const std::string& name = std::get<1>(key);
      if (std::get<0>(key) != of) return false;
      return name == after || visit(name, row);
    };
    const auto rest = table.ScanWithin({of, after}, bounds::kPageStepsMax, mine);
    if (!rest || std::get<0>(*rest) != of) return;
    const auto row = table.Get(*rest);
    if (row && !mine(*rest, *row)) return;
    Passed(std::get<1>(*rest));
    more_ = true;
  }
  void End(std::string* next_after) const {
    if (more_) *next_after = last_;
  }

 private:
  const size_t limit_;
  size_t looked_at_ = 0;
  std::string last_;
  bool more_ = false;
};

}  // namespace

std::optional<RoomRow> Chat::LookUpRoom(const std::string& room) const {
  auto row = tables_.rooms.Get(room);
  if (row && row->deleted) row.reset();
  return row;
}

Result<void> Chat::GetRoom(const GetRoomRequest& request, const ReadContext& /*context*/,
                           Room* reply) const {
  const auto row = LookUpRoom(request.room());
  if (!row) return Fail(NoRoom(request.room()));
  if (request.member().empty()) {
    FillRoom(request.room(), *row, reply);
    return {};
  }
  const auto member = tables_.members.Get({request.room(), request.member()});
  if (!member) return Fail(NotFound("'" + request.member() + "' is not in the room"));
  FillRoom(request.room(), *row, *member, reply);
  return {};
}

Result<void> Chat::ListRooms(const ListRoomsRequest& request, const ReadContext& /*context*/,
                             ListRoomsReply* reply) const {
  NamePage page(LimitOf(request));
  const auto size = [&] { return static_cast<size_t>(reply->rooms_size()); };
  const std::string& member = request.member();
  if (member.empty()) {
    tables_.rooms.Scan(request.after(), [&](const std::string& room, const RoomRow& row) {
      if (room == request.after()) return true;
      if (!page.TakesMore(size())) return false;
      if (!row.deleted) FillRoom(room, row, reply->add_rooms());
      page.Passed(room);
      return true;
    });
  } else {
    page.Scan(tables_.memberships, member, request.after(),
              [&](const std::string& room, const NoRow&) {
                const auto row = LookUpRoom(room);
                if (!row) return true;  // Deleted, and not swept yet.
                if (!page.TakesMore(size())) return false;
                FillRoom(room, *row, *tables_.members.Get({room, member}), reply->add_rooms());
                page.Passed(room);
                return true;
              });
  }
  page.End(reply->mutable_next_after());
  return {};
}

Result<void> Chat::ListMembers(const ListMembersRequest& request, const ReadContext& /*context*/,
                               ListMembersReply* reply) const {
  const std::string& room = request.room();
  const auto row = LookUpRoom(room);
  if (!row) return Fail(NoRoom(room));
  NamePage page(LimitOf(request));
  page.Scan(tables_.members, room, request.after(),
            [&](const std::string& name, const MemberRow& member) {
              if (!page.TakesMore(static_cast<size_t>(reply->members_size()))) return false;
              FillMember(name, member, *row, reply->add_members());
              page.Passed(name);
              return true;
            });
  page.End(reply->mutable_next_after());
  return {};
}

Result<void> Chat::Receive(const ReceiveRequest& request, const ReadContext& context,
                           ReceiveReply* reply) const {
  const std::string& room = request.room();
  const auto row = LookUpRoom(room);
  if (!row) return Fail(NoRoom(room));
  reply->set_last(row->last);
  reply->set_next_after(request.after());
  if (request.after() >= row->last) {
    context.WaitFor(room);
    return {};
  }
  size_t bytes = 0;
  // To the last and no further: behind it may be what was swept of another room, row by row.
  tables_.messages.Scan({room, request.after() + 1},
                        [&](const MessageKey& key, const MessageRow& message) {
                          if (std::get<0>(key) != room) return false;
                          Message* sent = reply->add_messages();
                          FillMessage(std::get<1>(key), message, sent);
                          bytes += sent->ByteSizeLong();
                          return std::get<1>(key) < row->last &&
                                 static_cast<size_t>(reply->messages_size()) < LimitOf(request) &&
                                 bytes < bounds::kChatPageBytesMax;
                        });
  reply->set_next_after(reply->messages(reply->messages_size() - 1).number());
  if (!PlaysANetwork(request)) return {};
  std::vector<Message> sent(reply->messages().begin(), reply->messages().end());
  reply->clear_messages();
  for (Message& message : Arrivals(request, std::move(sent))) {
    *reply->add_messages() = std::move(message);
  }
  return {};
}

Result<void> Chat::ListMessages(const ListMessagesRequest& request, const ReadContext& /*context*/,
                                ListMessagesReply* reply) const {
  const std::string& room = request.room();
  const auto row = LookUpRoom(room);
  if (!row) return Fail(NoRoom(room));
  if (request.after() >= row->last) return {};
  size_t bytes = 0;
  size_t looked_at = 0;
  uint64_t last = 0;
  tables_.messages.Scan({room, request.after() + 1}, [&](const MessageKey& key,
                                                         const MessageRow& message) {
    const uint64_t number = std::get<1>(key);
    if (std::get<0>(key) != room) return false;
    if (static_cast<size_t>(reply->messages_size()) == LimitOf(request) ||
        bytes >= bounds::kChatPageBytesMax || looked_at++ == bounds::kPageRowsMax) {
      reply->set_next_after(last);
      return false;
    }
    last = number;
    if (message.kind != MessageKind::text) return number < row->last;
    const ChangeRow change = tables_.changes.Get(key).value_or(ChangeRow());
    Shown* shown = reply->add_messages();
    shown->set_number(number);
    shown->set_id(message.id);
    shown->set_author(message.author);
    FillTime(message.posted_us, shown->mutable_posted());
    shown->set_edits(change.edits);
    shown->set_deleted(change.deletion != 0);
    shown->set_changed_by(change.deletion != 0 ? change.deletion : change.last_edit);
    if (!shown->deleted()) {
      shown->set_text(change.last_edit == 0 ? message.text
                                            : tables_.messages.Get({room, change.last_edit})->text);
    }
    bytes += shown->ByteSizeLong();
    return number < row->last;
  });
  return {};
}

Result<void> Chat::GetMessage(const GetMessageRequest& request, const ReadContext& /*context*/,
                              Message* reply) const {
  const std::string& room = request.room();
  if (!LookUpRoom(room)) return Fail(NoRoom(room));
  const auto id = tables_.ids.Get({room, request.id()});
  if (!id || id->number == 0) {
    return Fail(NotFound("there is no message '" + request.id() + "' in the room"));
  }
  FillMessage(id->number, *tables_.messages.Get({room, id->number}), reply);
  return {};
}

}  // namespace holdfast::chat
