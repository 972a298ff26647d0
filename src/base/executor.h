// Where work runs. Components are handed executors instead of making threads, so that a simulator
// can run a whole cluster on one.
#pragma once

#include <absl/functional/any_invocable.h>
#include <absl/functional/function_ref.h>

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace holdfast {

using Task = absl::AnyInvocable<void()>;

// Runs tasks one after another, in the order in which they were posted. Thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Post(Task task) = 0;
  // Runs the task `delay_ms` from now, or a little later.
  virtual void PostAfter(uint64_t delay_ms, Task task) = 0;
  // Runs `task`, and what it posts itself, on the caller's thread when nothing runs or waits here.
  // False: it did not, nor will it.
  virtual bool TryRun(absl::FunctionRef<void()> /*task*/) { return false; }
};

// One thread of its own.
class ThreadExecutor : public Executor {
 public:
  explicit ThreadExecutor(const std::string& name);  // Shown by top -H; at most 15 characters.
  ~ThreadExecutor() override;                        // Stop().

  void Post(Task task) override;
  void PostAfter(uint64_t delay_ms, Task task) override;
  // Runs what is queued and due, drops what is not, and joins. Later posts are dropped.
  void Stop();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  void Run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Task> queue_;
  std::multimap<TimePoint, Task> timed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace holdfast
