#include "src/raft/read_index.h"

#include "src/base/reached.h"

namespace holdfast::raft {
namespace {
constexpr uint64_t kRepeatMs = 50;  // A probe lost with its connection is sent again.
}

ReadIndex::ReadIndex(const Replica& replica, NodeId self, SendProbe send)
    : replica_(replica), self_(self), send_(std::move(send)) {}

void ReadIndex::Request(Done done) {
  if (replica_.role() != Role::kLeader) {
    done(std::nullopt);
    return;
  }
  next_.push_back(std::move(done));
  if (!round_) Begin();
}

void ReadIndex::Begin() {
  if (next_.empty() || !replica_.KnowsCommitted()) return;
  round_.emplace(Round());
  round_->probe = {replica_.term(), ++sequence_};
  // Not committed(): a follower whose disk is faster than ours may have served reads above it.
  round_->index = replica_.agreed();
  round_->confirmed.insert(self_);
  round_->waiting.swap(next_);
  round_->sent_ms = now_ms_;
  if (round_->confirmed.size() >= replica_.membership().Majority()) {
    Finish(round_->index);
    return;
  }
  send_(round_->probe);
}

void ReadIndex::Answer(NodeId from, Term term, uint64_t sequence) {
  if (!round_ || sequence != round_->probe.sequence || term != round_->probe.term) return;
  if (replica_.term() != term || replica_.role() != Role::kLeader) return;
  if (!replica_.membership().IsVoter(from)) return;
  round_->confirmed.insert(from);
  if (round_->confirmed.size() >= replica_.membership().Majority()) Finish(round_->index);
}

void ReadIndex::Step(uint64_t now_ms) {
  now_ms_ = now_ms;
  if (replica_.role() != Role::kLeader) {
    FailAll();
    return;
  }
  // Led, lost and regained: what an older term confirmed says nothing about this one.
  if (round_ && round_->probe.term != replica_.term()) {
    HOLDFAST_REACHED("raft.read_index.led_lost_and_regained");
    Finish(std::nullopt);
  }
  if (!round_) {
    Begin();
  } else if (now_ms - round_->sent_ms >= kRepeatMs) {
    round_->sent_ms = now_ms;
    send_(round_->probe);
  }
}

void ReadIndex::Finish(std::optional<LogIndex> index) {
  std::vector<Done> waiting = std::move(round_->waiting);
  round_.reset();
  for (Done& done : waiting) done(index);
  if (index && !round_) Begin();
}

void ReadIndex::FailAll() {
  std::vector<Done> failed = std::move(next_);
  next_.clear();
  if (round_) {
    for (Done& done : round_->waiting) failed.push_back(std::move(done));
    round_.reset();
  }
  for (Done& done : failed) done(std::nullopt);
}

}  // namespace holdfast::raft
