#include "services/todo/validate.h"

#include <google/protobuf/timestamp.pb.h>

#include <string>

#include "services/todo/describe.h"
#include "src/base/text.h"

namespace holdfast::todo {
namespace {

// What RFC 3339 can write: years 1 to 9999.
constexpr int64_t kSecondsMin = -62'135'596'800;
constexpr int64_t kSecondsMax = 253'402'300'799;

Result<void> Refuse(const char* field, const char* reason) {
  return Fail(InvalidArgument(field, reason));
}

// Users, lists and titles are one line each, wherever they are shown.
Result<void> CheckLine(const char* field, const std::string& text) {
  if (HasControlCharacter(text)) return Refuse(field, "must not have control characters");
  return {};
}

Result<void> CheckTime(const char* field, const google::protobuf::Timestamp& time) {
  if (time.seconds() < kSecondsMin || time.seconds() > kSecondsMax || time.nanos() < 0 ||
      time.nanos() > 999'999'999) {
    return Refuse(field, "must be a time between the years 1 and 9999");
  }
  return {};
}

}  // namespace

Result<void> Validate(const AddRequest& request) {
  if (auto checked = CheckLine("user", request.user()); !checked) return checked;
  if (auto checked = CheckLine("list", request.list()); !checked) return checked;
  if (auto checked = CheckLine("title", request.title()); !checked) return checked;
  return CheckTime("due", request.due());
}

Result<void> Validate(const EditRequest& request) {
  if (auto checked = CheckLine("user", request.user()); !checked) return checked;
  if (request.has_title() && request.title().empty()) return Refuse("title", "must not be empty");
  if (auto checked = CheckLine("title", request.title()); !checked) return checked;
  if (auto checked = CheckTime("due", request.due()); !checked) return checked;
  if (request.has_due() && request.clear_due()) return Refuse("clear_due", "goes not with due");
  return CheckLine("list", request.list());
}

Result<void> Validate(const CompleteRequest& request) { return CheckLine("user", request.user()); }
Result<void> Validate(const ReopenRequest& request) { return CheckLine("user", request.user()); }
Result<void> Validate(const DeleteRequest& request) { return CheckLine("user", request.user()); }

Result<void> Validate(const MoveRequest& request) {
  if (request.before() != 0 && request.after() != 0) return Refuse("after", "goes not with before");
  if (request.first() && (request.before() != 0 || request.after() != 0)) {
    return Refuse("first", "goes not with before or after");
  }
  if (request.id() == request.before()) return Refuse("before", "must be another task");
  if (request.id() == request.after()) return Refuse("after", "must be another task");
  return CheckLine("user", request.user());
}

Result<void> Validate(const ClearDoneRequest& request) {
  if (auto checked = CheckLine("user", request.user()); !checked) return checked;
  return CheckLine("list", request.list());
}

Result<void> Validate(const GetRequest& request) { return CheckLine("user", request.user()); }

Result<void> Validate(const ListRequest& request) {
  if (auto checked = CheckLine("user", request.user()); !checked) return checked;
  if (auto checked = CheckLine("list", request.list()); !checked) return checked;
  if (!TaskState::Code_IsValid(request.state())) {
    return Refuse("state", "must be open or done");
  }
  if (auto checked = CheckTime("due_from", request.due_from()); !checked) return checked;
  if (auto checked = CheckTime("due_before", request.due_before()); !checked) return checked;
  if (request.cursor().empty()) return {};
  constexpr char kReason[] = "is no cursor of this list; take next_cursor as it is";
  if (ByDue(request)) {
    if (!DueCursor::Parse(request.cursor())) return Refuse("cursor", kReason);
  } else {
    const auto cursor = PlaceCursor::Parse(request.cursor());
    if (!cursor) return Refuse("cursor", kReason);
    if (!request.list().empty() && cursor->list != request.list()) {
      return Refuse("cursor", kReason);
    }
  }
  return {};
}

Result<void> Validate(const ListsRequest& request) { return CheckLine("user", request.user()); }

}  // namespace holdfast::todo
