// Timers by log time: rows of the store, so they survive restart and failover like everything else.
#pragma once

#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "src/base/ids.h"
#include "src/store/table.h"

namespace holdfast::state_machine {

// Apply thread only.
class Timers {
 public:
  struct Timer {
    LogTime due;
    uint8_t service = 0;
    std::string key;
  };

  explicit Timers(store::Store& store) : rows_(store, {0, 3}, "timers") {}

  // Finds the earliest timer; once, after the store is opened.
  void Load() { next_ = Earliest(std::numeric_limits<int64_t>::min()); }

  void Set(LogTime due, uint8_t service, std::string_view key) {
    rows_.Put({due.us, service, std::string(key)}, Row{});
    next_ = std::min(next_, due.us);
  }
  void Cancel(LogTime due, uint8_t service, std::string_view key) {
    rows_.Erase({due.us, service, std::string(key)});
  }

  // What is due at `now`, earliest first, at most `max`. Each fires when it is taken; what is not
  // taken remains due.
  std::vector<Timer> Due(LogTime now, size_t max) {
    std::vector<Timer> due;
    if (next_ > now.us) return due;
    rows_.Scan({next_, 0, ""}, [&](const Key& key, const Row&) {
      if (std::get<0>(key) > now.us || due.size() == max) return false;
      due.push_back(
          {LogTime{std::get<0>(key)}, static_cast<uint8_t>(std::get<1>(key)), std::get<2>(key)});
      return true;
    });
    if (due.empty()) Taken();
    return due;
  }
  // False: it has been cancelled since.
  bool Take(const Timer& timer) {
    const Key key{timer.due.us, timer.service, timer.key};
    if (rows_.Find(key) == nullptr) return false;
    rows_.Erase(key);
    return true;
  }
  // Call it after the last Take.
  void Taken() { next_ = Earliest(next_); }

  // No timer is due before this; kNever when there is none. May be early after a Cancel or a
  // rollback: the tick that it causes finds nothing and corrects it.
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  int64_t next_us() const { return next_; }

 private:
  using Key = std::tuple<int64_t, uint64_t, std::string>;  // (due, service, key)
  struct Row {
    auto Fields() { return std::tie(); }
    auto Fields() const { return std::tie(); }
  };

  int64_t Earliest(int64_t from) const {
    int64_t earliest = kNever;
    rows_.Scan({from, 0, ""}, [&](const Key& key, const Row&) {
      earliest = std::get<0>(key);
      return false;
    });
    return earliest;
  }

  store::SortedTable<Key, Row> rows_;
  int64_t next_ = kNever;  // Invariant: <= the due time of every row.
};

}  // namespace holdfast::state_machine
