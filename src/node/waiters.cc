#include "src/node/waiters.h"

#include <algorithm>

#include "src/base/batch.h"
#include "src/base/bounds.h"

namespace holdfast::node {

using state_machine::Topic;

void Waiters::Wait(Topic topic, LogIndex seen, uint64_t until_ms, Woken woken) {
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    const bool touched =
        seen < forgotten_ || std::any_of(touches_.rbegin(), touches_.rend(), [&](const auto& t) {
          return t.first > seen && t.second == topic;
        });
    if (!touched) {
      const Place place{topic, ++came_};
      times_.emplace(until_ms, place);
      waiters_.try_emplace(place, Waiter{until_ms, std::move(woken)});
      return;
    }
  }
  woken();
}

Waiters::Woken Waiters::Take(Places::iterator& at) {
  times_.erase({at->second.until_ms, at->first});
  Woken woken = std::move(at->second.woken);
  at = waiters_.erase(at);
  return woken;
}

void Waiters::Touched(LogIndex index, const std::vector<state_machine::Touched>& touched) {
  if (touched.empty()) return;
  std::vector<Woken> woken;
  {
    std::lock_guard lock(mutex_);
    for (const state_machine::Touched& touch : touched) {
      touches_.emplace_back(index, touch.topic);
      auto at = waiters_.lower_bound({touch.topic, 0});
      for (uint32_t i = 0; i < touch.waiters; ++i) {
        if (at == waiters_.end() || at->first.first != touch.topic) break;
        woken.push_back(Take(at));
      }
    }
    while (touches_.size() > bounds::kTouchesKept) {
      forgotten_ = touches_.front().first;
      touches_.pop_front();
    }
  }
  Batch together;
  for (Woken& wake : woken) wake();
}

void Waiters::PassOn(Topic topic) {
  Woken woken;
  {
    std::lock_guard lock(mutex_);
    auto at = waiters_.lower_bound({topic, 0});
    if (at == waiters_.end() || at->first.first != topic) return;
    woken = Take(at);
  }
  woken();
}

void Waiters::Expire(uint64_t now_ms) {
  std::vector<Woken> woken;
  {
    std::lock_guard lock(mutex_);
    while (!times_.empty() && times_.begin()->first <= now_ms) {
      auto at = waiters_.find(times_.begin()->second);
      woken.push_back(Take(at));
    }
  }
  Batch together;
  for (Woken& wake : woken) wake();
}

void Waiters::Drop() {
  Places dropped;  // Destroyed after the lock: who waited may be answered by that.
  std::lock_guard lock(mutex_);
  stopped_ = true;
  dropped.swap(waiters_);
  times_.clear();
}

}  // namespace holdfast::node
