#include "sim/todo_requests.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

constexpr uint64_t kIdsKnown = 12;  // Of the near past.
// Every so many a task is left as it is, for others to be moved behind it ...
constexpr uint64_t kAnchors = 16;
// ... and behind one of so many for a while, so that the room there runs out.
constexpr uint64_t kAnchorsOften = 256;

}  // namespace

std::string TodoRequests::User() { return "u" + std::to_string(random_.Between(1, 2)); }

std::string TodoRequests::List() {
  return random_.OneIn(3) ? "" : std::string(1, static_cast<char>('a' + random_.Between(0, 2)));
}

uint64_t TodoRequests::Id() {
  const uint64_t oldest = last_id_ > kIdsKnown ? last_id_ - kIdsKnown : 1;
  const uint64_t id = random_.Between(oldest, oldest + kIdsKnown);
  return id % kAnchors == 0 ? id + 1 : id;
}

uint64_t TodoRequests::Anchor() {
  if (random_.OneIn(4)) return Id();
  return std::max(last_id_, kAnchors) / kAnchorsOften * kAnchorsOften + kAnchors;
}

google::protobuf::Timestamp TodoRequests::Time() {
  google::protobuf::Timestamp time;
  time.set_seconds(static_cast<int64_t>(random_.Between(0, 20)) - 10);
  return time;
}

template <class Request>
Asked TodoRequests::OfATask(const char* method) {
  Request request;
  request.set_user(User());
  request.set_id(Id());
  request.set_version(Version());
  return AskedOf(method, request);
}

todo::MoveRequest TodoRequests::Move() {
  todo::MoveRequest request;
  request.set_user(User());
  request.set_id(Id());
  request.set_version(Version());
  const uint64_t anchor = Anchor();
  if (anchor == request.id()) return request;
  switch (random_.Between(0, 7)) {
    case 0: request.set_first(true); break;
    case 1: break;
    case 2: request.set_before(anchor); break;
    default: request.set_after(anchor);
  }
  return request;
}

Asked TodoRequests::Make() {
  switch (random_.Between(0, 15)) {
    case 0:
    case 1:
    case 2: {
      todo::AddRequest request;
      request.set_user(User());
      request.set_list(List());
      request.set_title("t" + std::to_string(random_.Between(1, 30)));
      if (random_.OneIn(4)) request.set_note(std::string(random_.Between(1, 9), 'n'));
      if (random_.OneIn(2)) *request.mutable_due() = Time();
      return AskedOf("todo.Add", request);
    }
    case 3:
    case 4:
    case 5: {
      todo::EditRequest request;
      request.set_user(User());
      request.set_id(Id());
      request.set_version(Version());
      if (random_.OneIn(2)) request.set_title("t" + std::to_string(random_.Between(1, 30)));
      if (random_.OneIn(4)) request.set_note("");
      if (random_.OneIn(3)) *request.mutable_due() = Time();
      if (!request.has_due() && random_.OneIn(4)) request.set_clear_due(true);
      if (random_.OneIn(3)) request.set_done(random_.OneIn(2));
      if (random_.OneIn(4)) request.set_list(List());
      return AskedOf("todo.Edit", request);
    }
    case 6:
    case 7: return OfATask<todo::CompleteRequest>("todo.Complete");
    case 8: return OfATask<todo::ReopenRequest>("todo.Reopen");
    case 9:
    case 10: return OfATask<todo::DeleteRequest>("todo.Delete");
    case 11: {
      todo::ClearDoneRequest request;
      request.set_user(User());
      request.set_list(List());
      return AskedOf("todo.ClearDone", request);
    }
    default: return AskedOf("todo.Move", Move());
  }
}

Asked TodoRequests::MakeRead(int64_t /*from_us*/, int64_t /*to_us*/) {
  switch (random_.Between(0, 4)) {
    case 0: {
      todo::GetRequest request;
      request.set_user(User());
      request.set_id(Id());
      return AskedOf("todo.Get", request);
    }
    case 1: {
      todo::ListsRequest request;
      request.set_user(User());
      return AskedOf("todo.Lists", request);
    }
    default: {
      todo::ListRequest request;
      request.set_user(User());
      request.set_list(List());
      request.set_state(static_cast<todo::TaskState::Code>(random_.Between(0, 2)));
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 4)));
      if (random_.OneIn(4)) request.set_contains("1");
      if (random_.OneIn(3)) request.set_by_due(true);
      if (random_.OneIn(6)) *request.mutable_due_from() = Time();
      if (random_.OneIn(6)) *request.mutable_due_before() = Time();
      return AskedOf("todo.List", request);
    }
  }
}

std::optional<Asked> TodoRequests::NextPage(const Asked& asked, const std::string& reply) {
  if (asked.method != "todo.List") return std::nullopt;
  todo::ListReply page;
  Require(page.ParseFromString(reply), "a page does not parse");
  if (page.next_cursor().empty()) return std::nullopt;
  auto request = static_cast<const todo::ListRequest&>(*asked.request);
  request.set_cursor(page.next_cursor());
  return AskedOf("todo.List", request);
}

void TodoRequests::Learn(const std::string& method, const google::protobuf::Message& /*request*/,
                         const std::string& reply) {
  todo::TaskReply added;
  if (method != "todo.Add" || !added.ParseFromString(reply)) return;
  last_id_ = std::max(last_id_, added.task().id());
}

}  // namespace holdfast::sim
