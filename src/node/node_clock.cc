// A node's part in keeping the time (docs/decisions/0024-clock.md): what the log was stamped with,
// and when a leader gives way to one that knows the time.
#include <google/protobuf/io/coded_stream.h>

#include "holdfast/log.pb.h"
#include "src/base/logging.h"
#include "src/base/reached.h"
#include "src/node/node.h"

namespace holdfast::node {
namespace {

using clock::Status;

constexpr uint64_t kGiveWayPauseMsMax = 64 * bounds::kClockHandOverMs;
constexpr uint64_t kTellMs = 5'000;  // After the start: then not to know the time is worth a line.

// The first field of a LogEntry, which is written first, without the requests behind it. 0: none.
int64_t StampOf(const std::string& payload) {
  constexpr uint32_t kTimeTag = LogEntry::kTimeUsFieldNumber << 3;  // A varint.
  google::protobuf::io::CodedInputStream coded(reinterpret_cast<const uint8_t*>(payload.data()),
                                               static_cast<int>(payload.size()));
  uint64_t stamp = 0;
  if (coded.ReadTag() != kTimeTag || !coded.ReadVarint64(&stamp)) return 0;
  return static_cast<int64_t>(stamp);
}

}  // namespace

void Node::StepClock(uint64_t now_ms) {
  if (replica_->membership().index != clock_members_) {
    clock_members_ = replica_->membership().index;
    clock_.SetVoters(replica_->membership().voters);
  }
  clock_.Step(now_ms);
  SeeStampsOfLog();
  GiveWayInTime(now_ms);
  if (clock_.version() == clock_published_) return;
  clock_published_ = clock_.version();
  TellClock(now_ms);
  ClockReport report = clock_.Report();
  report.hand_overs = clock_hand_overs_;
  report.last_stamp_us = stamps_.last_us().value_or(0);
  std::lock_guard lock(status_mutex_);
  clock_report_ = std::move(report);
}

// A new leader's log may end with entries that it does not know to be committed. They will be, and
// its own stamps come behind theirs. Stamps grow along a log, so the last one is enough.
void Node::SeeStampsOfLog() {
  if (replica_->role() != raft::Role::kLeader || stamped_term_ == replica_->term()) return;
  stamped_term_ = replica_->term();
  timeless_ms_ = 0;
  std::optional<int64_t> end_us;
  for (LogIndex at = parts_.log.last(); at > handed_ && !end_us; at = at.Previous()) {
    if (parts_.log.TypeAt(at) == wal::EntryType::kCommand) {
      if (const int64_t stamp_us = StampOf(*parts_.log.Read(at).payload); stamp_us != 0) {
        end_us = stamp_us;
      }
    }
  }
  stamps_.Lead(end_us);
}

void Node::SeeStamp(const std::string& payload) { stamps_.Saw(StampOf(payload)); }

// Where nobody knows the time, it stays: an election would cost writes a moment and gain nothing.
void Node::GiveWayInTime(uint64_t now_ms) {
  const bool leads = replica_->role() == raft::Role::kLeader;
  const auto knows = [this, now_ms](NodeId peer) { return clock_.IsSynchronised(now_ms, peer); };
  if (giving_way_ms_ != 0) {
    if (leads && now_ms < giving_way_ms_) {
      if (!gave_way_) gave_way_ = HandOverWhenLevel(now_ms, knows);
      return;
    }
    giving_way_ms_ = 0;
    // It could not take over: the next attempt keeps writes out as well, so it is not made soon.
    if (leads) give_way_pause_ms_ = std::min(2 * give_way_pause_ms_, kGiveWayPauseMsMax);
    if (!leads && gave_way_) ++clock_hand_overs_;
    if (!handing_over_) writes_->Pause(false);
    return;
  }
  if (!leads || handing_over_ || clock_.Now().agreed()) {
    timeless_ms_ = 0;
    give_way_pause_ms_ = bounds::kClockHandOverMs;
    return;
  }
  if (timeless_ms_ == 0) timeless_ms_ = now_ms;
  if (now_ms < timeless_ms_ + give_way_pause_ms_) return;
  const std::vector<NodeId>& voters = replica_->membership().voters;
  if (std::none_of(voters.begin(), voters.end(), knows)) return;
  HOLDFAST_REACHED("node.clock.gives_way_in_time");
  logging::Warn(Component::kNode,
                "leads without knowing the time, and hands over to a node that does",
                {{"term", replica_->term().value}});
  timeless_ms_ = now_ms;  // Not again for as long.
  giving_way_ms_ = now_ms + options_.raft.election_timeout_ms;
  gave_way_ = false;
  writes_->Pause(true);
}

void Node::TellClock(uint64_t now_ms) {
  const Status status = clock_.Now().status;
  if (clock_told_ == status) return;
  // Nobody has answered yet.
  const bool begins = !clock_told_ && now_ms < begun_ms_ + kTellMs;
  if (begins && status != Status::kSynchronised) return;
  clock_told_ = status;
  if (status == Status::kSynchronised) {
    logging::Info(Component::kNode, "agrees with a majority on the time");
    return;
  }
  logging::Warn(Component::kNode,
                status == Status::kHoldover
                    ? "no agreement on the time any more; goes by its own clock for a while"
                    : "does not know the time",
                {{"why", ClockKeeper::Reason(clock_.Report(), parts_.clock.ElapsedUs())}});
}

ClockReport Node::clock_report() const {
  std::lock_guard lock(status_mutex_);
  return clock_report_;
}

void Node::LookAtClock(absl::FunctionRef<void(const ClockReport&)> look) const {
  std::lock_guard lock(status_mutex_);
  look(clock_report_);
}

void Node::ServerSays(size_t server, ClockKeeper::ServerWord word) {
  OnLoop([this, server, word = std::move(word)]() mutable {
    clock_.ServerSays(server, std::move(word));
  });
}

}  // namespace holdfast::node
