// All that services promise, fed by the checker: what is agreed on, and what clients are told.
#pragma once

#include <map>
#include <string>

#include "sim/history.h"
#include "sim/journal_promises.h"
#include "sim/lease_promises.h"
#include "sim/order_promises.h"
#include "sim/queue_promises.h"

namespace holdfast::sim {

class Promises {
 public:
  // `exact`: see LeasePromises.
  explicit Promises(bool exact) : leases_(exact), queues_(exact), orders_(exact) {}

  // The next entry; `ask` the node that has applied it.
  void Applied(LogIndex index, const std::string& payload, uint64_t true_us, uint64_t led_since_us,
               const AskNode& ask);
  void Hear(const WriteRecord& record);
  // At the end; `ask` a node that has all of the log. `log_time_is_true`: see JournalPromises.
  void Check(const AskNode& ask, bool log_time_is_true) const;

 private:
  void HearPart(const Told& told);
  std::optional<LogIndex> DoneBy(const WriteRecord& record) const;

  LeasePromises leases_;
  QueuePromises queues_;
  OrderPromises orders_;
  JournalPromises journals_;
  std::map<std::string, LogIndex> logged_;  // By method and key.
  int64_t log_us_ = 0;
  bool coordinates_ = false;   // Somebody has asked something of sessions or locks ...
  bool has_queues_ = false;    // ... or of queues ...
  bool has_orders_ = false;    // ... or of orders ...
  bool has_journals_ = false;  // ... or of journals.
};

}  // namespace holdfast::sim
