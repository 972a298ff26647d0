#include "services/journal/validate.h"

#include <string>

#include "services/journal/describe.h"
#include "src/base/bounds.h"
#include "src/base/text.h"

namespace holdfast::journal {
namespace {

// What RFC 3339 can write ends with the year 9999; a clock that says less than 1970 was never set.
constexpr int64_t kSecondsMin = -62'135'596'800;
constexpr int64_t kSecondsMax = 253'402'300'799;

Result<void> Refuse(std::string field, std::string reason) {
  return Fail(InvalidArgument(std::move(field), std::move(reason)));
}

Result<void> CheckName(const std::string& name) {
  for (const char c : name) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '-' || c == '_';
    if (!good) return Refuse("name", "must be letters, digits, dots, dashes and underscores");
  }
  return {};
}

template <class Request>
Result<void> CheckBytes(const Request& request) {
  if (request.max_bytes() != 0 && request.max_bytes() < bounds::kJournalBytesMin) {
    return Refuse("max_bytes", "must be at least 2097152");
  }
  return {};
}

bool IsTime(const google::protobuf::Timestamp& time, int64_t seconds_min) {
  return time.seconds() >= seconds_min && time.seconds() <= kSecondsMax && time.nanos() >= 0 &&
         time.nanos() <= 999'999'999;
}

Result<void> CheckClock(std::string field, const google::protobuf::Timestamp& time) {
  if (IsTime(time, 0)) return {};
  return Refuse(std::move(field), "must be a time between the years 1970 and 9999");
}

}  // namespace

Result<void> Validate(const CreateRequest& request) {
  if (auto checked = CheckName(request.name()); !checked) return checked;
  return CheckBytes(request);
}

Result<void> Validate(const UpdateRequest& request) { return CheckBytes(request); }

Result<void> Validate(const AppendRequest& request) {
  if (HasControlCharacter(request.source())) {
    return Refuse("source", "must not have control characters");
  }
  if (request.records_size() == 0 && request.first_sequence() != 0) {
    return Refuse("first_sequence", "goes only with records");
  }
  if (auto checked = CheckClock("sent_time", request.sent_time()); !checked) return checked;
  if (auto checked = CheckClock("previous.received_time", request.previous().received_time());
      !checked) {
    return checked;
  }
  for (int i = 0; i < request.records_size(); ++i) {
    if (IsTime(request.records(i).time(), 0)) continue;  // Or absent.
    return CheckClock("records[" + std::to_string(i) + "].time", request.records(i).time());
  }
  return {};
}

Result<void> Validate(const QueryRequest& request) {
  for (const auto& [field, time] :
       {std::pair("from", &request.from()), std::pair("before", &request.before())}) {
    if (!IsTime(*time, kSecondsMin)) {
      return Refuse(field, "must be a time between the years 1 and 9999");
    }
  }
  if (!request.cursor().empty() && !ParseCursor(request.cursor())) {
    return Refuse("cursor", "is no cursor of this list; take next_cursor as it is");
  }
  return {};
}

}  // namespace holdfast::journal
