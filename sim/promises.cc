#include "sim/promises.h"

#include <algorithm>

#include "holdfast/atomic.pb.h"
#include "holdfast/log.pb.h"
#include "sim/checkouts.h"
#include "sim/methods.h"
#include "src/state_machine/repeated_key.h"

namespace holdfast::sim {
namespace {

constexpr char kExecute[] = "atomic.Execute";
constexpr char kCheckout[] = "orders.Checkout";

// A checkout is itself, and what it stands for.
void Log(const std::string& method, const std::string& body, std::vector<Logged>* writes) {
  writes->push_back({method, body});
  if (method != kCheckout) return;
  for (const CheckoutStep& step : StepsOf(Parsed<orders::CheckoutRequest>(body))) {
    writes->push_back({step.method, step.request});
  }
}

}  // namespace

void Promises::Applied(LogIndex index, const std::string& payload, uint64_t true_us,
                       uint64_t led_since_us, const AskNode& ask) {
  Entry entry{index, true_us, !payload.empty(), led_since_us, {}};
  const auto parsed = Parsed<LogEntry>(payload);
  if (entry.is_command) log_us_ = std::max(parsed.time_us(), log_us_ + 1);
  for (const LogRequest& request : parsed.requests()) {
    const std::string& method = NameOf(request.service(), request.method());
    logged_.emplace(method + " " + request.idempotency_key(), index);
    if (method != kExecute) {
      Log(method, request.body(), &entry.writes);
      continue;
    }
    const auto list = Parsed<atomic::ExecuteRequest>(request.body());
    for (const atomic::Write& write : list.writes()) {
      Log(write.method(), write.request(), &entry.writes);
    }
  }
  for (const Logged& write : entry.writes) {
    coordinates_ |= write.method.starts_with("sessions.") || write.method.starts_with("locks.");
    has_queues_ |= write.method.starts_with("queues.");
    has_orders_ |= write.method.starts_with("orders.");
    has_journals_ |= write.method.starts_with("journal.");
  }
  if (coordinates_) leases_.Applied(entry, ask);
  if (has_queues_) queues_.Applied(entry);
  if (has_orders_) orders_.Applied(entry, log_us_);
}

std::optional<LogIndex> Promises::DoneBy(const WriteRecord& record) const {
  const std::string name = record.method + " " + record.key;
  const auto first = logged_.find(name);
  if (first == logged_.end()) return std::nullopt;
  if (record.awaits.empty()) return first->second;
  // The last of its repeats, if any: none follows once there is an answer.
  LogIndex last = first->second;
  for (uint32_t n = 1;; ++n) {
    const auto repeat =
        logged_.find(record.method + " " + state_machine::RepeatedKey(record.key, n));
    if (repeat == logged_.end()) break;
    last = repeat->second;
  }
  const bool by_read = record.replayed ? record.method != "queues.Pull" : last != record.position;
  return by_read ? std::nullopt : std::optional(last);
}

void Promises::Hear(const WriteRecord& record) {
  Told told{record.method, record.request, record.reply, record.began_us, DoneBy(record)};
  if (record.method != kExecute) {
    HearPart(told);
    return;
  }
  const auto list = Parsed<atomic::ExecuteRequest>(record.request);
  const auto reply = Parsed<atomic::ExecuteReply>(record.reply);
  if (reply.outcome() != atomic::ExecuteOutcome::done) return;
  for (int i = 0; i < list.writes_size(); ++i) {
    told.method = list.writes(i).method();
    told.request = list.writes(i).request();
    told.reply = reply.results(i).reply();
    HearPart(told);
  }
}

void Promises::HearPart(const Told& told) {
  if (told.method.starts_with("sessions.") || told.method.starts_with("locks.")) {
    leases_.Hear(told);
  } else if (told.method.starts_with("queues.")) {
    queues_.Hear(told);
  }
  orders_.Hear(told);
  journals_.Hear(told);
}

void Promises::Check(const AskNode& ask, bool log_time_is_true) const {
  if (coordinates_) leases_.Check();
  if (has_queues_) queues_.Check(ask);
  if (has_orders_) orders_.Check(ask);
  if (has_journals_) journals_.Check(ask, log_time_is_true);
}

}  // namespace holdfast::sim
