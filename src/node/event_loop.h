// Runs tasks one after another and waits for sockets: what arrives is handled where the tasks run,
// without a hand-over. It has a thread of its own, and lends its turn to others: TryRun runs a
// task on the caller's thread when nothing else runs or waits, which spares a wake-up.
//
// Invariant: whoever runs a task or a socket's handler holds the turn, so they never overlap, and
// each sees what the one before it did.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "src/base/executor.h"

namespace holdfast::node {

class EventLoop : public Executor {
 public:
  explicit EventLoop(const std::string& name);  // Shown by top -H; at most 15 characters.
  ~EventLoop() override;                        // Stop().

  void Post(Task task) override;
  void PostAfter(uint64_t delay_ms, Task task) override;
  // Not with a lock held that the task takes. The borrower runs what its task has posted, too, but
  // neither what that posts, nor what others post meanwhile.
  bool TryRun(absl::FunctionRef<void()> task) override;
  // Runs what is queued, drops what is not due and what still waits for sockets, and joins. Later
  // posts are dropped.
  void Stop();

  // For sockets. Their handlers must be wrapped, and nothing be asked of them but in a task or a
  // wrapped handler.
  boost::asio::io_context& io() { return io_; }
  template <class Handler>
  auto Wrap(Handler handler) {
    return [this, handler = std::move(handler)](auto&&... arguments) mutable {
      const Turn turn(*this);
      handler(std::forward<decltype(arguments)>(arguments)...);
    };
  }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  class Turn {
   public:
    explicit Turn(EventLoop& loop) : loop_(loop), lock_(loop.turn_) { Begin(); }
    Turn(EventLoop& loop, std::unique_lock<std::mutex> lock) : loop_(loop), lock_(std::move(lock)) {
      Begin();
    }
    ~Turn();

   private:
    void Begin() { before_ = std::exchange(current, &loop_); }

    EventLoop& loop_;
    std::unique_lock<std::mutex> lock_;
    const EventLoop* before_ = nullptr;
  };
  static thread_local const EventLoop* current;  // Whose turn this thread has.

  // Both with the turn.
  bool RunQueued();  // False: nothing was queued.
  void RunDue();
  void SetTimer();
  // With mutex_: wakes the loop's thread, once.
  void Wake();

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::mutex turn_;
  std::mutex mutex_;  // Within turn_.
  std::vector<Task> queue_;
  bool from_others_ = false;  // Something in queue_ was posted by who did not have the turn.
  bool waking_ = false;
  bool stopping_ = false;
  // With the turn.
  std::vector<Task> batch_;
  boost::asio::steady_timer timer_;
  TimePoint timer_due_ = TimePoint::max();
  std::multimap<TimePoint, Task> timed_;
  std::thread thread_;  // Last: starts when all else is there.
};

}  // namespace holdfast::node
