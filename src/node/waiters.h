// Who waits for something to happen in the state machine: by topic, in the order of coming, each
// until a time of its own. Bounded by who admits them.
//
// Nobody misses anything: who has read the state after entry `seen` and waits from there is woken
// at once when a later entry has touched the topic in between; for entries long ago that is
// assumed.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "src/base/ids.h"
#include "src/state_machine/topic.h"

namespace holdfast::node {

// Thread-safe. `Woken` is called once, on the thread that caused it, with no lock held; or
// destroyed when the node stops.
class Waiters {
 public:
  using Woken = absl::AnyInvocable<void()>;

  void Wait(state_machine::Topic topic, LogIndex seen, uint64_t until_ms, Woken woken);
  // In order of index.
  void Touched(LogIndex index, const std::vector<state_machine::Touched>& touched);
  // Wakes one more of a topic: who was woken has taken nothing.
  void PassOn(state_machine::Topic topic);
  // Wakes those whose time is over.
  void Expire(uint64_t now_ms);
  // Lets go of all, and of whoever comes.
  void Drop();

 private:
  // Of one topic in the order of coming.
  using Place = std::pair<state_machine::Topic, uint64_t>;
  struct Waiter {
    uint64_t until_ms = 0;
    Woken woken;
  };
  using Places = absl::btree_map<Place, Waiter>;

  // Takes it out. Under the mutex.
  Woken Take(Places::iterator& at);

  std::mutex mutex_;
  Places waiters_;
  absl::btree_set<std::pair<uint64_t, Place>> times_;  // Of all waiters.
  uint64_t came_ = 0;
  // The last touches, oldest first; all up to `forgotten_` may be missing.
  std::deque<std::pair<LogIndex, state_machine::Topic>> touches_;
  LogIndex forgotten_;
  bool stopped_ = false;
};

}  // namespace holdfast::node
