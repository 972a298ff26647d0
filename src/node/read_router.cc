#include "src/node/read_router.h"

#include "src/base/bounds.h"

namespace holdfast::node {
namespace {

constexpr uint64_t kAskAgainMs = 200;    // A question or answer lost with its connection.
constexpr uint64_t kRefusedMs = 20;      // Elections take longer than this.
constexpr uint64_t kExpirySweepMs = 20;  // How late a deadline may be noticed.

Error NoQuorum() {
  return Error{ErrorCode::kUnavailable,
               "no leader with a quorum could confirm in time what is the latest state", "",
               "Try again; or read with Holdfast-Consistency: stale if an older state will do.",
               static_cast<uint32_t>(bounds::kRetryAfterMsDefault)};
}

}  // namespace

ReadRouter::ReadRouter(raft::Replica& replica, raft::ReadIndex& read_index, NodeId self, Ask ask,
                       uint64_t first_id)
    : replica_(replica),
      read_index_(read_index),
      self_(self),
      ask_(std::move(ask)),
      question_(first_id) {}

void ReadRouter::Add(uint64_t deadline_ms, Done done) {
  if (stopped_) return done(Fail(NoQuorum()));
  waiting_.push_back({deadline_ms, std::move(done)});
}

void ReadRouter::Step(uint64_t now_ms) {
  const NodeId leader = replica_.leader();
  if (!asked_.empty() && leader != asked_node_) {
    for (Waiter& waiter : asked_) waiting_.push_back(std::move(waiter));
    asked_.clear();
  }
  // A round of our own always ends by itself, however slow the peers are. A peer is asked the same
  // again: whichever answer comes was found after the question, and a slow one is not thrown away.
  if (!asked_.empty() && asked_node_ != self_ && now_ms - asked_ms_ >= kAskAgainMs) {
    asked_ms_ = now_ms;
    ask_(leader, question_);
  }
  const bool leads = replica_.role() == raft::Role::kLeader;
  const bool somebody_leads = leads || (leader.value != 0 && leader != self_);
  if (!waiting_.empty() && asked_.empty() && somebody_leads && now_ms >= not_before_ms_) {
    asked_.swap(waiting_);
    asked_node_ = leader;
    asked_ms_ = now_ms;
    const uint64_t id = ++question_;
    if (leads) {
      read_index_.Request(
          [this, id](std::optional<LogIndex> index) { Answered(id, index.value_or(LogIndex(0))); });
    } else {
      ask_(leader, id);
    }
  }
  if (now_ms >= next_expiry_ms_) Expire(now_ms);
}

void ReadRouter::Expire(uint64_t now_ms) {
  next_expiry_ms_ = now_ms + kExpirySweepMs;
  for (std::vector<Waiter>* list : {&waiting_, &asked_}) {
    std::erase_if(*list, [now_ms](Waiter& waiter) {
      if (waiter.deadline_ms > now_ms) return false;
      waiter.done(Fail(NoQuorum()));
      return true;
    });
  }
}

void ReadRouter::Answered(uint64_t id, LogIndex index) {
  if (id != question_) return;  // Asked again since.
  std::vector<Waiter> answered = std::move(asked_);
  asked_.clear();
  if (index.value == 0) not_before_ms_ = asked_ms_ + kRefusedMs;
  for (Waiter& waiter : answered) {
    if (index.value != 0) {
      waiter.done(index);
    } else {
      waiting_.push_back(std::move(waiter));
    }
  }
}

void ReadRouter::Stop() {
  stopped_ = true;
  Expire(UINT64_MAX);
}

}  // namespace holdfast::node
