#include "sim/clock_judge.h"

#include <cstdlib>

#include "holdfast/log.pb.h"
#include "sim/judge.h"

namespace holdfast::sim {
namespace {

constexpr int64_t kRoundingUs = 2;
// What a stamp may be off beside: entries of the same moment are a microsecond apart.
constexpr int64_t kGrainUs = 15;

std::string Us(int64_t us) { return std::to_string(us) + " us"; }

}  // namespace

ClockJudge::ClockJudge(World& world, int64_t epoch_us, const node::ClockOptions& options)
    : world_(world),
      epoch_us_(epoch_us),
      own_error_us_(static_cast<int64_t>(options.own_error_ms) * 1'000),
      error_us_max_(static_cast<int64_t>(options.error_ms_max) * 1'000),
      window_us_((bounds::kClockSamplesKept * options.sample_ms + 2 * bounds::kClockAnswerMsMax) *
                 1'000) {}

void ClockJudge::IsOff(NodeId node, int64_t error_us, bool lies) {
  if (lies || std::abs(error_us) > own_error_us_) false_us_[node] = world_.events.now_us();
}

bool ClockJudge::ToldTheTruth(NodeId node) const {
  const auto found = false_us_.find(node);
  return found == false_us_.end() || found->second + window_us_ < world_.events.now_us();
}

void ClockJudge::Look(NodeId node, const node::ClockReport& report, int64_t elapsed_us) {
  if (report.sources.empty()) return;  // It has not begun.
  Known& known = known_[node];
  const auto agreed_us = report.knowledge.agreed_us();
  if (report.version != known.version && agreed_us != known.agreed_us) {
    known.agreed_us = agreed_us;
    // There are no servers of time here: every source is a member.
    const size_t majority = report.sources.size() / 2 + 1;
    Require(report.knowledge.heard() >= majority,
            "node " + node.ToString() + " agrees with " + std::to_string(report.knowledge.heard()) +
                " of " + std::to_string(report.sources.size()) + " clocks, its own included");
    size_t true_ones = 0;
    for (const node::ClockSource& source : report.sources) {
      true_ones += source.heard && ToldTheTruth(source.node) ? 1 : 0;
    }
    known.sound = true_ones >= majority;
    misled_ = misled_ || !known.sound;
  }
  known.version = report.version;
  const clock::Estimate estimate = report.knowledge.At(elapsed_us);
  if (!estimate.agreed()) return;
  ++looks_;
  Require(estimate.bounds.earliest_us <= estimate.now_us &&
              estimate.now_us <= estimate.bounds.latest_us,
          "node " + node.ToString() + " goes by a time out of its own bounds");
  const int64_t true_us = TrueUs();
  if (estimate.bounds.earliest_us <= true_us + kRoundingUs &&
      true_us <= estimate.bounds.latest_us + kRoundingUs) {
    return;
  }
  if (!known.sound) {
    ++excused_;
    return;
  }
  Require(false, "node " + node.ToString() + " says " + ToString(estimate.status) +
                     ", and the true time lies " +
                     (true_us < estimate.bounds.earliest_us
                          ? Us(estimate.bounds.earliest_us - true_us) + " before"
                          : Us(true_us - estimate.bounds.latest_us) + " after") +
                     " its bounds, which are " +
                     Us(estimate.bounds.latest_us - estimate.bounds.earliest_us) + " wide");
}

void ClockJudge::LookAtStamps(NodeId node, Term term, const wal::Log& log,
                              const clock::Estimate& estimate) {
  LogIndex& seen = seen_[term];
  for (LogIndex at = log.last(); at > seen && at >= log.first() && log.TermAt(at) == term;
       at = at.Previous()) {
    const wal::Entry entry = log.Read(at);
    if (entry.type != wal::EntryType::kCommand || entry.payload->empty()) continue;
    const int64_t stamp_us = Parsed<LogEntry>(*entry.payload).time_us();
    if (std::abs(stamp_us - TrueUs()) <= kGrainUs) true_.emplace(at, term);
    Require(!estimate.agreed() || stamp_us + kRoundingUs >= estimate.bounds.earliest_us,
            "node " + node.ToString() + " knows the time, and stamps entry " + at.ToString() + " " +
                Us(estimate.bounds.earliest_us - stamp_us) + " before its bounds");
  }
  seen = std::max(seen, log.last());
}

void ClockJudge::Stamped(LogIndex index, Term term, int64_t stamp_us) {
  log_time_is_true_ = log_time_is_true_ && true_.count({index, term}) > 0;
  true_.erase(true_.begin(), true_.upper_bound({index, Term(UINT64_MAX)}));
  Require(stamp_us > last_stamp_us_, "entry " + index.ToString() + " is stamped " +
                                         std::to_string(stamp_us) + ", and one before it " +
                                         std::to_string(last_stamp_us_));
  const bool is_first = last_stamp_us_ == 0;
  last_stamp_us_ = stamp_us;
  // A node that knows the time stamps within its bounds, and they hold the true time.
  const int64_t ahead_us = stamp_us - TrueUs();
  // Whoever stamps without agreement goes on from the stamps before: from the first, if that was
  // given without it, too; and their own pace may take them further ahead by a little.
  if (is_first && ahead_us > error_us_max_) misled_ = true;
  if (misled_) return;
  ++stamps_;
  Require(ahead_us <= 2 * error_us_max_ + kRoundingUs,
          "entry " + index.ToString() + " is stamped " + Us(ahead_us) +
              " ahead of the true time, though no node was misled");
}

}  // namespace holdfast::sim
