// Time that leases are measured by: log time without the stretches in which nobody led. What was
// promised for ten seconds lasts for ten in which its holder could have asked for more; a failover,
// and the difference between two leaders' clocks, count for nothing
// (docs/decisions/0020-leases.md).
#pragma once

#include <compare>
#include <cstdint>
#include <tuple>
#include <utility>

#include "src/base/ids.h"
#include "src/store/table.h"

namespace holdfast::state_machine {

// Never compare it with a LogTime: it lies behind, by more with every failover.
struct LeaseTime {
  int64_t us = 0;
  constexpr auto operator<=>(const LeaseTime&) const = default;
};

// Apply thread; what is const also under the shared lock.
class LeaseClock {
 public:
  explicit LeaseClock(store::Store& store) : rows_(store, {0, 8}, "lease clock") {}

  // Once, after the store is opened.
  void Load() { row_ = rows_.Get(kOnlyRow).value_or(Row{}); }

  // A new leader has begun: the time from the last stamp to its first one does not count.
  void NewLeader() {
    if (std::exchange(row_.new_leader, true)) return;
    rows_.Put(kOnlyRow, row_);
  }
  // An entry moves log time from `before` to `now`.
  void Advance(LogTime before, LogTime now) {
    if (!std::exchange(row_.new_leader, false)) return;
    // Of the first entry ever there is no time before.
    if (before.us != 0) row_.left_out_us += now.us - before.us;
    rows_.Put(kOnlyRow, row_);
  }

  LeaseTime At(LogTime now) const { return {now.us - row_.left_out_us}; }
  // The log time at which the lease time will be `due`, if nothing more is left out.
  LogTime LogTimeOf(LeaseTime due) const { return {due.us + row_.left_out_us}; }

 private:
  static constexpr uint64_t kOnlyRow = 0;
  struct Row {
    int64_t left_out_us = 0;
    bool new_leader = false;
    auto Fields() { return std::tie(left_out_us, new_leader); }
    auto Fields() const { return std::tie(left_out_us, new_leader); }
  };

  store::HashTable<uint64_t, Row> rows_;
  Row row_;  // As stored: it changes between requests only, so nothing rolls it back.
};

}  // namespace holdfast::state_machine
