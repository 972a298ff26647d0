// Carries writes to the log: batches them into entries on the leader, passes them on elsewhere, and
// keeps whoever waits until the outcome is known, certainly absent, or the deadline has passed.
//
// A write is in exactly one place:
//   waiting    not proposed anywhere: may be proposed, forwarded, or refused without harm
//   proposed   in our log at an index and term; decided when that index is committed, or any index
//              with a later term:  ours -> applied, answered;
//                                  not  -> certainly not done, waits again
//   forwarded  sent to a leader; decided by its answer. "Not proposed" waits again. A broken link
//              or another leader, ourselves included, leaves it unknown: sent or proposed again if
//              it has an idempotency key; else left to the answer, and at last the caller is told.
// One thread, the loop.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "holdfast/log.pb.h"
#include "src/base/behaviour.h"
#include "src/base/bounds.h"
#include "src/node/dispatcher.h"
#include "src/node/entry_stamps.h"
#include "src/raft/replica.h"

namespace holdfast::node {

struct Write {
  LogRequest request;
  uint64_t deadline_ms = 0;      // Monotonic.
  uint64_t not_before_ms = 0;    // After a refusal: when to try again.
  bool forwarded_to_us = false;  // By a peer: answered, never passed on again.
  bool maybe_done = false;       // Sent before, with an outcome that nobody knows.
  Done done;                     // Null once answered.
};

class WriteRouter {
 public:
  // Sends a write to the leader under `id`; its result comes back through ForwardAnswered. False:
  // there is no link, nothing was sent.
  using Forward =
      std::function<bool(NodeId leader, uint64_t id, const Write& write, uint64_t now_ms)>;

  // `first_id` differs from one life of the process to the next: the leader answers by id, and an
  // answer to what this node sent before it restarted must not be taken for one to a new write.
  // An entry takes at most `entry_requests` writes, at least 1.
  WriteRouter(raft::Replica& replica, NodeId self, EntryStamps& stamps, Forward forward,
              uint64_t first_id = 0, size_t entry_requests = bounds::kEntryRequestsMax);

  void Add(std::unique_ptr<Write> write);
  // Call after every event and at least every few milliseconds: proposes, forwards, gives up.
  // `next_timer_us`: when the state machine's earliest timer is due.
  void Step(uint64_t now_ms, int64_t next_timer_us);
  // The entry at `index` is committed: whoever waits for its requests, in order.
  std::vector<Done> TakeWaiting(LogIndex index, Term term);
  // While paused nothing is proposed: writes wait for who leads next. For handing over.
  void Pause(bool paused) { paused_ = paused; }
  // As the leader: appends an entry that raises the behaviour. False: not now.
  bool ProposeStep(uint64_t now_ms, const BehaviourVersion& version);
  // While held, nothing else is proposed.
  void Hold(bool held) { held_ = held; }
  // While there is a refusal nothing is proposed, and as the leader whoever waits is told it.
  void Refuse(std::optional<Error> refusal) { refusal_ = std::move(refusal); }
  // A leader's answer to a forwarded write.
  void ForwardAnswered(uint64_t id, Reply reply, uint64_t now_ms);
  void LinkDown(NodeId to, uint64_t now_ms);
  // The node stops: answers whoever waits.
  void Stop();

  size_t waiting() const { return waiting_.size(); }

 private:
  using Batch = std::vector<std::unique_ptr<Write>>;
  struct Forwarded {
    NodeId to;
    std::unique_ptr<Write> write;
  };

  void Propose(uint64_t now_ms, int64_t next_timer_us);
  bool WorthAnEntry() const;
  bool ProposeOne(uint64_t now_ms);
  // Before a stamp that is a correction of log time, an entry that tells leases so.
  bool MayStamp(uint64_t now_ms);
  void ForwardAll(uint64_t now_ms);
  void FollowLeader(NodeId leader, uint64_t now_ms);
  std::unique_ptr<Write> Extract(std::map<uint64_t, Forwarded>::iterator it);
  void RefuseForeign();
  void RefuseWaiting();
  void Expire(uint64_t now_ms);
  void WaitAgain(std::unique_ptr<Write> write, uint64_t not_before_ms);
  // What was sent under a key and is open: the same again is safe.
  void Repeat(std::unique_ptr<Write> write, uint64_t not_before_ms);

  raft::Replica& replica_;
  const NodeId self_;
  EntryStamps& stamps_;
  const size_t entry_requests_;
  Forward forward_;
  std::deque<std::unique_ptr<Write>> waiting_;
  size_t waiting_bytes_ = 0;    // Of waiting_ ...
  size_t forwarded_bytes_ = 0;  // ... and of forwarded_.
  // A server that lost its leadership and found it again may propose at an index whose earlier
  // proposal is not decided yet.
  std::map<std::pair<LogIndex, Term>, Batch> proposed_;
  std::map<uint64_t, Forwarded> forwarded_;
  NodeId forward_leader_;  // Whom forwarded_ was looked through for last.
  bool paused_ = false;
  bool held_ = false;
  std::optional<Error> refusal_;
  uint64_t next_forward_;
  uint64_t next_expiry_ms_ = 0;
};

}  // namespace holdfast::node
