#include "src/base/executor.h"

#include <pthread.h>

#include <chrono>
#include <utility>

namespace holdfast {
ThreadExecutor::ThreadExecutor(const std::string& name) : thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

ThreadExecutor::~ThreadExecutor() { Stop(); }

void ThreadExecutor::Post(Task task) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  queue_.push_back(std::move(task));
  if (queue_.size() == 1) wake_.notify_one();
}

void ThreadExecutor::PostAfter(uint64_t delay_ms, Task task) {
  const TimePoint due = std::chrono::steady_clock::now() + std::chrono::milliseconds(delay_ms);
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  const auto place = timed_.emplace(due, std::move(task));
  if (place == timed_.begin()) wake_.notify_one();
}

void ThreadExecutor::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void ThreadExecutor::Run() {
  std::vector<Task> batch;
  std::unique_lock lock(mutex_);
  while (true) {
    const TimePoint now = std::chrono::steady_clock::now();
    while (!timed_.empty() && timed_.begin()->first <= now) {
      queue_.push_back(std::move(timed_.begin()->second));
      timed_.erase(timed_.begin());
    }
    if (queue_.empty()) {
      if (stopping_) break;
      if (timed_.empty()) {
        wake_.wait(lock);
      } else {
        wake_.wait_until(lock, timed_.begin()->first);
      }
      continue;
    }
    batch.swap(queue_);
    lock.unlock();
    for (Task& task : batch) task();
    batch.clear();
    lock.lock();
  }
  // What never ran is destroyed outside the lock: a task may own something that posts.
  std::multimap<TimePoint, Task> dropped;
  dropped.swap(timed_);
  lock.unlock();
}

}  // namespace holdfast
