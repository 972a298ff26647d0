// An executor of a simulated node: its tasks are events, one after another, each some time after
// the one before.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "sim/world.h"
#include "src/base/executor.h"

namespace holdfast::sim {

class Executor final : public holdfast::Executor {
 public:
  // Runs something of the node's life that the executor belongs to, or drops it.
  using RunOn = std::function<void(const std::function<void()>&)>;

  // A task takes `min_us` to `max_us` to get its turn.
  Executor(World& world, RunOn run_on, uint64_t min_us, uint64_t max_us)
      : world_(world), run_on_(std::move(run_on)), min_us_(min_us), max_us_(max_us) {}

  void Post(Task task) override {
    queue_->push_back(std::move(task));
    Schedule();
  }

  void PostAfter(uint64_t delay_ms, Task task) override {
    auto shared = std::make_shared<Task>(std::move(task));
    world_.events.After(delay_ms * 1000, [this, alive = std::weak_ptr(queue_), shared] {
      if (alive.expired()) return;
      run_on_([this, shared] { Post(std::move(*shared)); });
    });
  }

  // The node ends: what waits here is let go of, while all that it refers to is still there.
  void Drop() {
    const auto dropped = std::exchange(queue_, std::make_shared<std::deque<Task>>());
    dropped->clear();
  }

  // Sometimes, as where threads meet: the turn is lent when nothing runs or waits, for the task and
  // one round of what it posts (node/event_loop.h).
  bool TryRun(absl::FunctionRef<void()> task) override {
    if (running_ || !queue_->empty() || world_.random.OneIn(3)) return false;
    running_ = true;
    try {
      task();
      for (size_t left = queue_->size(); left > 0; --left) RunOne();
    } catch (...) {
      running_ = false;
      throw;
    }
    running_ = false;
    Schedule();
    return true;
  }

 private:
  void Schedule() {
    if (scheduled_ || queue_->empty()) return;
    scheduled_ = true;
    world_.events.After(world_.random.Between(min_us_, max_us_),
                        [this, alive = std::weak_ptr(queue_)] {
                          if (alive.expired()) return;
                          run_on_([this] { Step(); });
                        });
  }
  void Step() {
    scheduled_ = false;
    // A turn that is lent ends before another event begins; but what it left may be gone by then.
    if (!queue_->empty()) RunOne();
    Schedule();
  }
  void RunOne() {
    Task task = std::move(queue_->front());
    queue_->pop_front();
    const bool before = std::exchange(running_, true);
    try {
      task();
    } catch (...) {
      running_ = before;
      throw;
    }
    running_ = before;
  }

  World& world_;
  const RunOn run_on_;
  const uint64_t min_us_;
  const uint64_t max_us_;
  std::shared_ptr<std::deque<Task>> queue_ = std::make_shared<std::deque<Task>>();
  bool scheduled_ = false;
  bool running_ = false;
};

}  // namespace holdfast::sim
