// Bounds by time what waits in a node: says whether another request may join those that are
// accepted and not answered yet.
//
//   estimated wait = work accepted and unanswered / work answered per ms
//
// Work is counted in bytes, with a fixed share for each request, so that a batch weighs what it
// costs. The rate is measured while there is a queue: a node with little to do answers little and
// could do more. It follows a rise at once and a fall by half of the way per window, so that one
// slow moment does not turn callers away. A window without any answer (an election, a stalled disk)
// teaches nothing about the rate; meanwhile as much waits as the node could do in kWaitMsMax.
//
// Thread-safe. Step is for one thread.
#pragma once

#include <atomic>
#include <optional>

#include "src/base/error.h"

namespace holdfast::node {

class Admission {
 public:
  // `what` waits: "writes", "reads"; for the error.
  explicit Admission(const char* what) : what_(what) {}

  // Why a request whose caller waits `patience_ms` should not join; nothing: it may.
  std::optional<Error> Refusal(uint64_t patience_ms) const;
  void Enter(size_t bytes);
  // What entered is answered; `done`: by the outcome, not by a refusal.
  void Leave(size_t bytes, bool done);
  // Call at least every few ten milliseconds, with monotonic time.
  void Step(uint64_t now_ms);

  // What another request would wait for about; 0 while that is not known.
  uint64_t wait_ms() const;

 private:
  const char* const what_;
  std::atomic<size_t> requests_{0};  // Accepted and unanswered ...
  std::atomic<uint64_t> work_{0};    // ... and their work.
  std::atomic<uint64_t> answered_{0};
  std::atomic<bool> drained_{true};      // The queue was short at some moment of this window.
  std::atomic<uint64_t> per_second_{0};  // Work; 0: not known yet.
  uint64_t window_ms_ = 0;               // When it began.
  uint64_t window_answered_ = 0;
};

}  // namespace holdfast::node
