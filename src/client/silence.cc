// The client's way away from a node that has fallen silent.
#include <algorithm>
#include <utility>

#include "src/client/core.h"
#include "src/client/turn.h"

namespace holdfast::client {
namespace {

constexpr std::chrono::milliseconds kLate{100};  // Behind its time, a look says nothing.

}  // namespace

Error Core::NoAnswer(const Endpoint& endpoint) {
  return Error{ErrorCode::kDeadlineExceeded, "no answer from " + endpoint.address + " in time", "",
               "", 0};
}

void Core::SetWatch(Endpoint& endpoint, TimePoint at) {
  endpoint.watch_at = at;
  if (at < timer_wakes_at_) timers_changed_.notify_one();
}

// A node whose machine has died closes no connection, and a call that waits for something is as
// quiet as one that is lost. So a node that says nothing while calls are on it is asked for a sign
// of life, which whoever lives gives at once, whatever its calls wait for:
//
//   call --patience--> nothing heard: ping --patience--> still nothing: its calls go elsewhere
//                      heard: look again a patience after that
//
// What waits behind a write that gRPC does not take is left to attempt_timeout: perhaps it is only
// large.
void Core::Watch(Turn& turn, Endpoint& endpoint, TimePoint now) {
  const TimePoint due = std::exchange(endpoint.watch_at, TimePoint::max());
  if (endpoint.sent.empty() && endpoint.queued.empty()) return;
  if (now - endpoint.heard_at < endpoint.patience) {
    return SetWatch(endpoint, endpoint.heard_at + endpoint.patience);
  }
  if (endpoint.ping) return SetWatch(endpoint, now + endpoint.patience);
  if (endpoint.pinged_at <= endpoint.heard_at) {
    endpoint.ping = true;
    turn.Written(endpoint.pipe);
    return SetWatch(endpoint, now + endpoint.patience);
  }
  if (now - endpoint.pinged_at < endpoint.patience) {
    return SetWatch(endpoint, endpoint.pinged_at + endpoint.patience);
  }
  // This process itself stood still, and what has come meanwhile is not read yet.
  if (now - due > kLate) return SetWatch(endpoint, now + endpoint.patience);
  LeaveSilent(turn, endpoint);
}

// A node that was taken for silent says something: it was slow, or what it said was large. The next
// time it gets longer, up to what any call may take.
void Core::HeardAfterAll(Endpoint& endpoint) {
  endpoint.silent = false;
  endpoint.patience = std::min<std::chrono::steady_clock::duration>(2 * endpoint.patience,
                                                                    options_.attempt_timeout);
}

// Moves what may be repeated to other nodes. They find out who leads now, and wait for it.
void Core::LeaveSilent(Turn& turn, Endpoint& endpoint) {
  endpoint.silent = true;
  if (endpoints_[near_].get() == &endpoint) near_ = (near_ + 1) % endpoints_.size();
  std::vector<Operation*> moved;
  for (const auto& [id, operation] : endpoint.queued) {
    if (operation->repeatable) moved.push_back(operation);
  }
  for (const auto& [id, operation] : endpoint.sent) {
    if (operation->repeatable) moved.push_back(operation);
  }
  for (Operation* operation : moved) {
    const bool sent = operation->place == Operation::Place::kSent;
    TakeOut(turn, *operation);
    AttemptEnded(turn, *operation, sent ? End::kMaybeDone : End::kNotDone, NoAnswer(endpoint));
  }
}

}  // namespace holdfast::client
