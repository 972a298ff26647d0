#include "src/node/write_router.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/reached.h"
#include "src/node/wire.h"
#include "src/state_machine/repeated_key.h"

namespace holdfast::node {
namespace {

using state_machine::kRepeatedKeyBytesMax;

// What a request costs in an entry beside its own bytes: a tag and a length.
constexpr size_t kRequestFrameBytes = 8;
constexpr size_t kEntryFrameBytes = 16;  // The time.
// While the disk is busy with an entry, the next one waits for it and grows; unless it is as large
// as this, where it gains no more.
constexpr size_t kFullEntryRequests = 256;
constexpr size_t kFullEntryBytes = 64 << 10;
static_assert(bounds::kRequestBytesMax + kRepeatedKeyBytesMax + bounds::kPrincipalBytesMax + 64 <=
                  bounds::kEntryBytesMax - kEntryFrameBytes,
              "a request of the greatest size fits an entry of its own");
constexpr uint64_t kRetryMs = 20;        // After "not the leader": elections take longer than this.
constexpr uint64_t kExpirySweepMs = 20;  // How late a deadline may be noticed.

Reply Failed(Error error) { return Reply{Fail(std::move(error)), LogIndex(0), false}; }

Error NoLeader() {
  return Error{ErrorCode::kUnavailable,
               "no leader could be reached in time: the cluster has no quorum or is electing one",
               "", "Nothing was done. Try again.",
               static_cast<uint32_t>(bounds::kRetryAfterMsDefault)};
}

Error NotProposed() {
  return Error{ErrorCode::kUnavailable,
               "this node leads, but its disk does not take the entries before this one in time",
               "", "Nothing was done. Try again; and look at the node's disk.",
               static_cast<uint32_t>(bounds::kRetryAfterMsDefault)};
}

Error Unknown() {
  return Error{
      ErrorCode::kOutcomeUnknown,
      "the request was on its way into the log when time or contact ran out: it may or may "
      "not be done",
      "",
      "Send the very same request again, with the same id or Idempotency-Key: what was done "
      "is not done twice. Or read the resource by its id.",
      static_cast<uint32_t>(bounds::kRetryAfterMsDefault)};
}

Error Overloaded() {
  return Error{ErrorCode::kResourceExhausted, "too many requests are waiting on this node", "",
               "Nothing was done. Slow down and try again.", 100};
}

Error TooLarge() {
  return Error{
      ErrorCode::kTooLarge,
      "the request or its idempotency key is larger than an entry of the log may hold", "",
      "Split it: a request holds at most " + std::to_string(bounds::kRequestBytesMax) + " bytes.",
      0};
}

void Answer(Write& write, Reply reply) {
  if (write.done) std::exchange(write.done, nullptr)(std::move(reply));
}

}  // namespace

WriteRouter::WriteRouter(raft::Replica& replica, NodeId self, EntryStamps& stamps, Forward forward,
                         uint64_t first_id, size_t entry_requests)
    : replica_(replica),
      self_(self),
      stamps_(stamps),
      entry_requests_(entry_requests),
      forward_(std::move(forward)),
      next_forward_(first_id) {
  HOLDFAST_CHECK(entry_requests_ >= 1 && entry_requests_ <= bounds::kEntryRequestsMax,
                 "an entry for no request, or for more than fit");
}

void WriteRouter::Add(std::unique_ptr<Write> write) {
  const size_t bytes = write->request.body().size();
  if (bytes > bounds::kRequestBytesMax ||
      write->request.idempotency_key().size() > kRepeatedKeyBytesMax ||
      write->request.principal().size() > bounds::kPrincipalBytesMax) {
    Answer(*write, Failed(TooLarge()));
    return;
  }
  if (waiting_.size() + forwarded_.size() >= bounds::kWaitingRequestsMax ||
      waiting_bytes_ + forwarded_bytes_ + bytes > bounds::kWaitingBytesMax) {
    Answer(*write, Failed(Overloaded()));
    return;
  }
  waiting_bytes_ += bytes;
  waiting_.push_back(std::move(write));
}

void WriteRouter::WaitAgain(std::unique_ptr<Write> write, uint64_t not_before_ms) {
  if (!write->done) return;
  write->not_before_ms = not_before_ms;
  waiting_bytes_ += write->request.body().size();
  waiting_.push_back(std::move(write));
}

void WriteRouter::Repeat(std::unique_ptr<Write> write, uint64_t not_before_ms) {
  write->maybe_done = true;
  WaitAgain(std::move(write), not_before_ms);
}

void WriteRouter::Step(uint64_t now_ms, int64_t next_timer_us) {
  // First: what has waited too long is certainly not done, and stays so.
  if (now_ms >= next_expiry_ms_) {
    next_expiry_ms_ = now_ms + kExpirySweepMs;
    Expire(now_ms);
  }
  if (replica_.role() == raft::Role::kLeader) {
    FollowLeader(self_, now_ms);
    if (refusal_) {
      RefuseWaiting();
    } else if (!paused_ && !held_) {
      Propose(now_ms, next_timer_us);
    }
  } else {
    RefuseForeign();
    const NodeId leader = replica_.leader();
    if (leader.value != 0 && leader != self_) {
      FollowLeader(leader, now_ms);
      ForwardAll(now_ms);
    }
  }
}

bool WriteRouter::WorthAnEntry() const {
  return replica_.all_durable() ||
         waiting_.size() >= std::min(kFullEntryRequests, entry_requests_) ||
         waiting_bytes_ >= kFullEntryBytes;
}

void WriteRouter::Propose(uint64_t now_ms, int64_t next_timer_us) {
  while (!waiting_.empty() && proposed_.size() < bounds::kBatchesInFlightMax && WorthAnEntry() &&
         ProposeOne(now_ms)) {
  }
  if (proposed_.empty() && next_timer_us <= stamps_.Now()) {
    // Nobody writes, but a hold, a lease or a key has run out: an empty entry tells the time.
    ProposeOne(now_ms);
  }
}

bool WriteRouter::MayStamp(uint64_t now_ms) {
  if (!stamps_.MayStamp(now_ms) || !replica_.CanPropose()) return false;
  if (!stamps_.Steps()) return true;
  HOLDFAST_REACHED("node.write_router.log_time_is_put_forward");
  return replica_.ProposeBarrier(now_ms) && replica_.CanPropose();
}

bool WriteRouter::ProposeStep(uint64_t now_ms, const BehaviourVersion& version) {
  if (paused_ || refusal_ || !MayStamp(now_ms)) return false;
  LogEntry entry;
  entry.set_time_us(stamps_.Next());
  entry.mutable_step()->set_version(version.version);
  entry.mutable_step()->set_release(version.release);
  return replica_.Propose(now_ms, entry.SerializeAsString()).has_value();
}

bool WriteRouter::ProposeOne(uint64_t now_ms) {
  if (!MayStamp(now_ms)) return false;
  Batch batch;
  LogEntry entry;
  size_t bytes = kEntryFrameBytes;
  while (!waiting_.empty() && batch.size() < entry_requests_) {
    Write& next = *waiting_.front();
    const size_t size = next.request.ByteSizeLong() + kRequestFrameBytes;
    if (!batch.empty() && bytes + size > bounds::kEntryBytesMax) break;
    bytes += size;
    waiting_bytes_ -= next.request.body().size();
    entry.mutable_requests()->UnsafeArenaAddAllocated(&next.request);  // Lent; taken back below.
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  entry.set_time_us(stamps_.Next());
  const auto position = replica_.Propose(now_ms, entry.SerializeAsString());
  while (entry.requests_size() > 0) entry.mutable_requests()->UnsafeArenaReleaseLast();
  if (!position) {
    for (auto& write : batch) WaitAgain(std::move(write), now_ms);
    return false;
  }
  const bool fresh =
      proposed_.emplace(std::pair(position->index, position->term), std::move(batch)).second;
  HOLDFAST_CHECK(fresh, "entry " + position->index.ToString() + " was proposed twice");
  return true;
}

void WriteRouter::FollowLeader(NodeId leader, uint64_t now_ms) {
  if (leader == forward_leader_) return;
  forward_leader_ = leader;
  // The leader before may be gone without a word. What has a key may go to the new one as well: it
  // is done once all the same.
  for (auto it = forwarded_.begin(); it != forwarded_.end();) {
    const bool again =
        it->second.to != leader && !it->second.write->request.idempotency_key().empty();
    if (!again) {
      ++it;
      continue;
    }
    std::unique_ptr<Write> write = Extract(it++);
    Repeat(std::move(write), now_ms);
  }
}

void WriteRouter::ForwardAll(uint64_t now_ms) {
  std::deque<std::unique_ptr<Write>> later;
  // What the leader has not answered is bounded, so that the link to it has room for Raft.
  while (!waiting_.empty() && forwarded_bytes_ < bounds::kForwardedBytesMax) {
    std::unique_ptr<Write> write = std::move(waiting_.front());
    waiting_.pop_front();
    if (write->not_before_ms > now_ms) {
      later.push_back(std::move(write));
      continue;
    }
    const uint64_t id = ++next_forward_;
    if (!forward_(replica_.leader(), id, *write, now_ms)) {
      write->not_before_ms = now_ms + kRetryMs;
      later.push_back(std::move(write));
      continue;
    }
    waiting_bytes_ -= write->request.body().size();
    forwarded_bytes_ += write->request.body().size();
    forwarded_.emplace(id, Forwarded{replica_.leader(), std::move(write)});
  }
  for (; !later.empty(); later.pop_back()) waiting_.push_front(std::move(later.back()));
}

std::unique_ptr<Write> WriteRouter::Extract(std::map<uint64_t, Forwarded>::iterator it) {
  std::unique_ptr<Write> write = std::move(it->second.write);
  forwarded_bytes_ -= write->request.body().size();
  forwarded_.erase(it);
  return write;
}

void WriteRouter::RefuseForeign() {
  std::erase_if(waiting_, [this](std::unique_ptr<Write>& write) {
    if (!write->forwarded_to_us) return false;
    waiting_bytes_ -= write->request.body().size();
    Answer(*write, Failed(NoLeader()));
    return true;
  });
}

void WriteRouter::RefuseWaiting() {
  for (auto& write : std::exchange(waiting_, {})) {
    Answer(*write, Failed(write->maybe_done ? Unknown() : *refusal_));
  }
  waiting_bytes_ = 0;
}

std::vector<Done> WriteRouter::TakeWaiting(LogIndex index, Term term) {
  std::vector<Done> waiting;
  for (auto it = proposed_.begin(); it != proposed_.end();) {
    const auto [proposed_index, proposed_term] = it->first;
    if (proposed_index > index && proposed_term >= term) {
      ++it;  // Open.
      continue;
    }
    Batch batch = std::move(it->second);
    it = proposed_.erase(it);
    if (proposed_index == index && proposed_term == term) {
      waiting.reserve(batch.size());
      for (auto& write : batch) waiting.push_back(std::move(write->done));
    } else {
      // Another entry was agreed on for that place, or one of a later term before it, and terms
      // never go down along the log: ours never will be there.
      HOLDFAST_REACHED("node.write_router.another_entry_in_its_place");
      for (auto& write : batch) WaitAgain(std::move(write), 0);
    }
  }
  return waiting;
}

void WriteRouter::ForwardAnswered(uint64_t id, Reply reply, uint64_t now_ms) {
  const auto found = forwarded_.find(id);
  if (found == forwarded_.end()) return;  // Given up, or sent again elsewhere.
  std::unique_ptr<Write> write = Extract(found);
  if (!reply.body && reply.body.error().code == ErrorCode::kUnavailable) {
    WaitAgain(std::move(write), now_ms + kRetryMs);
    return;
  }
  if (!reply.body && reply.body.error().code == ErrorCode::kOutcomeUnknown &&
      !write->request.idempotency_key().empty()) {
    HOLDFAST_REACHED("node.write_router.leader_does_not_know");
    Repeat(std::move(write), now_ms + kRetryMs);  // The leader stopped, or lost its patience.
    return;
  }
  // This sending had no effect; an earlier one may have had.
  const bool refused = !reply.body && reply.body.error().code == ErrorCode::kResourceExhausted;
  if (refused && write->maybe_done) reply = Failed(Unknown());
  Answer(*write, std::move(reply));
}

void WriteRouter::LinkDown(NodeId to, uint64_t now_ms) {
  for (auto it = forwarded_.begin(); it != forwarded_.end();) {
    if (it->second.to != to) {
      ++it;
      continue;
    }
    std::unique_ptr<Write> write = Extract(it++);
    if (write->request.idempotency_key().empty()) {
      Answer(*write, Failed(Unknown()));
    } else {
      Repeat(std::move(write), now_ms + kRetryMs);
    }
  }
}

void WriteRouter::Expire(uint64_t now_ms) {
  std::erase_if(waiting_, [&](std::unique_ptr<Write>& write) {
    if (write->deadline_ms > now_ms) return false;
    waiting_bytes_ -= write->request.body().size();
    const bool leads = replica_.role() == raft::Role::kLeader;
    Answer(*write, Failed(write->maybe_done ? Unknown() : leads ? NotProposed() : NoLeader()));
    return true;
  });
  for (auto& [position, batch] : proposed_) {
    for (auto& write : batch) {
      if (write->deadline_ms <= now_ms) Answer(*write, Failed(Unknown()));
    }
  }
  std::erase_if(forwarded_, [&](auto& item) {
    if (item.second.write->deadline_ms > now_ms) return false;
    forwarded_bytes_ -= item.second.write->request.body().size();
    Answer(*item.second.write, Failed(Unknown()));
    return true;
  });
}

void WriteRouter::Stop() { Expire(UINT64_MAX); }

}  // namespace holdfast::node
