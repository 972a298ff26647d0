// What nodes promise about the time of the world, against the true time, which only a simulator
// knows:
//
//   - While a node says that it knows the time (synchronised or holdover), the true time lies
//   within
//     its bounds. The promise has a condition: whenever it agreed with others, enough of the clocks
//     that it heard told the truth. Who did is known here by what the machines' clocks really were,
//     never by what the node made of it.
//   - Stamps of the log grow from entry to entry.
//   - As long as no node has been misled in that way, no stamp lies further ahead of the true time
//     than a node that knows the time may be off: a lying minority drags nothing.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "sim/world.h"
#include "src/base/ids.h"
#include "src/node/clock_keeper.h"
#include "src/wal/log.h"

namespace holdfast::sim {

class ClockJudge {
 public:
  // `window_us`: for how long an answer of a clock counts.
  ClockJudge(World& world, int64_t epoch_us, const node::ClockOptions& options);

  // A machine's clock is off by `error_us`, or answers what it likes.
  void IsOff(NodeId node, int64_t error_us, bool lies);
  // A node begins anew, and knows nothing.
  void Begins(NodeId node) { known_.erase(node); }
  // What it knows now.
  void Look(NodeId node, const node::ClockReport& report, int64_t elapsed_us);
  // What it knows now, if it is a leader, and what it has stamped since it was looked at last.
  void LookAtStamps(NodeId node, Term term, const wal::Log& log, const clock::Estimate& estimate);
  // The next entry of the log that has a stamp.
  void Stamped(LogIndex index, Term term, int64_t stamp_us);
  // Every entry so far was stamped with the true time, or as good as that.
  bool log_time_is_true() const { return log_time_is_true_; }

  uint64_t looks() const { return looks_; }      // At nodes that knew the time ...
  uint64_t excused() const { return excused_; }  // ... and whose condition did not hold.
  uint64_t stamps() const { return stamps_; }    // Held against the true time.

 private:
  struct Known {
    uint64_t version = 0;
    std::optional<int64_t> agreed_us;
    bool sound = true;  // The condition held when it last agreed.
  };
  int64_t TrueUs() const { return epoch_us_ + static_cast<int64_t>(world_.events.now_us()); }
  bool ToldTheTruth(NodeId node) const;

  World& world_;
  const int64_t epoch_us_;
  const int64_t own_error_us_;
  const int64_t error_us_max_;
  const uint64_t window_us_;
  std::map<NodeId, uint64_t> false_us_;  // When each was false last.
  std::map<NodeId, Known> known_;
  bool misled_ = false;            // Some node was, ever.
  std::map<Term, LogIndex> seen_;  // Of the stamps that its leader gave.
  std::set<std::pair<LogIndex, Term>>
      true_;  // Entries that were stamped so, and not agreed on yet.
  bool log_time_is_true_ = true;
  int64_t last_stamp_us_ = 0;
  uint64_t looks_ = 0;
  uint64_t excused_ = 0;
  uint64_t stamps_ = 0;
};

}  // namespace holdfast::sim
