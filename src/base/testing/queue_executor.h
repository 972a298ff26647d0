// An executor without a thread.
#pragma once

#include <deque>
#include <utility>

#include "src/base/executor.h"

namespace holdfast::testing {

// What is posted, for whenever, runs when the test says so.
class QueueExecutor : public Executor {
 public:
  void Post(Task task) override { tasks_.push_back(std::move(task)); }
  void PostAfter(uint64_t /*delay_ms*/, Task task) override { Post(std::move(task)); }
  // Also what is posted meanwhile.
  void RunAll() {
    while (!tasks_.empty()) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }

 private:
  std::deque<Task> tasks_;
};

}  // namespace holdfast::testing
