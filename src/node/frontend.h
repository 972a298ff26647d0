// A node's side towards its callers. It refuses at once what would wait too long, answers by itself
// what needs no loop, and hands the rest on: writes through an inbox that the loop empties, reads
// once the loop has found the index that they must see.
//
//   caller's thread                        loop                 apply        reads
//   stateless, stale, satisfied session
//     read: answered here
//   write -----------> inbox, wake ------> TakeWrites
//   linearizable read -------------------> find_index -------> applied ---> ReadNow
//   session read with a position ----------------------------> applied ---> ReadNow
//   ... that may wait for more than there is -------------------------------> ReadNow -> waiters
//   write whose outcome is pending -----> ... -> the read that it awaits
//
// Whoever waits is answered once: by the outcome, by a refusal, or by its deadline. Thread-safe,
// but for what says "the loop".
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/peer.pb.h"
#include "src/base/executor.h"
#include "src/clock/clock.h"
#include "src/node/admission.h"
#include "src/node/applier.h"
#include "src/node/dispatcher.h"
#include "src/node/read_router.h"
#include "src/node/waiters.h"
#include "src/node/write_router.h"
#include "src/state_machine/machine.h"

namespace holdfast::node {

// What a frontend works with, as long as calls come.
struct FrontendParts {
  const Clock& clock;
  state_machine::Machine& machine;
  Applier& applier;
  Executor& reads;  // Runs the reads that had to wait.
  // Writes have come into an empty inbox: the loop is to take them soon. With no lock held; may run
  // the loop's turn on this thread.
  std::function<void()> wake;
  // Which index a linearizable read must see, or why that is not known by the deadline; told on the
  // loop.
  std::function<void(uint64_t deadline_ms, ReadRouter::Done found)> find_index;
  // How old this node's state up to `applied` is.
  std::function<std::chrono::milliseconds(LogIndex applied)> age;
};

class Frontend {
 public:
  explicit Frontend(FrontendParts parts) : parts_(std::move(parts)) {}

  // Consensus runs. Until then writes and reads that would have to wait are refused.
  void Open() { open_.store(true, std::memory_order_release); }
  bool is_open() const { return open_.load(std::memory_order_acquire); }

  // As the Dispatcher's.
  void Call(const state_machine::Method& method, std::string request, CallOptions options,
            Done done);
  std::optional<Error> Refusal(const state_machine::Method& method) const;

  // A peer's write, which counts among those of our own callers, for the loop to propose; null when
  // `done` has been told already why not. What is large is moved out of `forward`.
  std::unique_ptr<Write> Forwarded(ForwardWrite& forward, Done done);

  // The loop takes what has come since it did so last.
  std::vector<std::unique_ptr<Write>> TakeWrites();
  // What an entry touched, for those who wait. The apply thread, after every entry.
  void Touched(LogIndex index, const std::vector<state_machine::Touched>& touched) {
    waiters_.Touched(index, touched);
  }
  // The loop, at least every few ten milliseconds.
  void Step(uint64_t now_ms);
  // The node stops, and the loop takes no more: answers what lies in the inbox, and what comes.
  void Stop();
  // Answers the calls that wait for what is not there yet, and whoever comes to wait: the node is
  // about to stop, and others are still to be answered. Any thread.
  void StopWaiting() { waiters_.Drop(); }

  size_t waiting_reads() const { return waiting_reads_.load(std::memory_order_relaxed); }

 private:
  class PendingRead;
  struct Continued;
  void CallWrite(const state_machine::Method& method, std::string request, CallOptions options,
                 Done done);
  void CallRead(const state_machine::Method& method, std::string request, CallOptions options,
                Done done);
  // Counts a write among those that are accepted and not answered yet.
  Done Admitted(size_t bytes, Done done);
  // Wakes the loop; refuses what does not fit.
  void PutIntoInbox(std::vector<std::unique_ptr<Write>> writes);
  // A write that is answered by the read it awaits while its outcome is pending, and is done again
  // when that says so.
  void CallAwaiting(std::shared_ptr<Continued> call);
  // What it was told is pending: looks in the state after that, and as often as there is reason to.
  void Await(std::shared_ptr<Continued> call);
  // `found`: what was read for it, or why nothing was.
  void GoOn(std::shared_ptr<Continued> call, Reply found);
  // Leads it to the last of its repeats that has been carried out, as far as this node has applied;
  // true: that one was told how it ended.
  bool FollowRepeats(Continued& call) const;
  // A call that was woken and takes nothing wakes the next one.
  void PassOn(Continued& call);
  uint64_t DeadlineMs(const CallOptions& options) const;
  // Until when a call may wait that asks for so long; its deadline, if it is a default, moves on.
  uint64_t UntilMs(CallOptions& options, uint64_t wait_ms) const;
  // Counts a read that is not answered at once; false: it is refused, and has been told so.
  bool AdmitsRead(uint64_t deadline_ms, Done* done);
  // Counts a call that may wait, and the bytes of its request, which is kept meanwhile; false:
  // there are too many, and it has been told so.
  bool Waits(size_t bytes, Done* done);
  Reply ReadNow(const state_machine::Method& method, const std::string& request,
                std::optional<state_machine::Topic>* waits_for = nullptr);
  // Reads on the reads thread, now and as often as there is reason to until it need not wait.
  void ReadOrWait(PendingRead read, std::optional<state_machine::Topic> woken_by = std::nullopt);
  // Reads once entry `index` is applied here, or fails at the deadline; `field` is what of the
  // request asked for that entry.
  void ReadAt(LogIndex index, const char* field, uint64_t deadline_ms, PendingRead read);

  const FrontendParts parts_;
  std::atomic<bool> open_{false};
  Admission write_admission_{"writes"};  // Of this node's callers and of peers that forward.
  Admission read_admission_{"reads"};
  std::atomic<size_t> waiting_reads_{0};
  std::atomic<size_t> waiting_calls_{0};
  std::atomic<size_t> waiting_bytes_{0};
  Waiters waiters_;

  // Writes on their way to the loop, gathered so that a burst costs one wake-up.
  std::mutex inbox_mutex_;
  std::vector<std::unique_ptr<Write>> inbox_;
  size_t inbox_bytes_ = 0;
  bool stopped_ = false;
};

}  // namespace holdfast::node
