#include "src/node/event_loop.h"

#include <pthread.h>

#include <boost/asio/post.hpp>
#include <utility>

namespace holdfast::node {

namespace asio = boost::asio;

thread_local const EventLoop* EventLoop::current = nullptr;

EventLoop::Turn::~Turn() {
  current = before_;
  std::lock_guard lock(loop_.mutex_);
  if (!loop_.queue_.empty()) loop_.Wake();
}

EventLoop::EventLoop(const std::string& name)
    : work_(io_.get_executor()), timer_(io_), thread_([this] { io_.run(); }) {
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

EventLoop::~EventLoop() { Stop(); }

void EventLoop::Post(Task task) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  queue_.push_back(std::move(task));
  if (current == this) return;  // The end of the turn looks.
  from_others_ = true;
  Wake();
}

void EventLoop::PostAfter(uint64_t delay_ms, Task task) {
  const TimePoint due = std::chrono::steady_clock::now() + std::chrono::milliseconds(delay_ms);
  Post([this, due, task = std::move(task)]() mutable {
    timed_.emplace(due, std::move(task));
    SetTimer();
  });
}

bool EventLoop::TryRun(absl::FunctionRef<void()> task) {
  if (current == this) return false;
  std::unique_lock free(turn_, std::try_to_lock);
  if (!free) return false;
  const Turn turn(*this, std::move(free));
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || !queue_.empty()) return false;
  }
  task();
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || from_others_) return true;  // The loop's own thread takes over.
  }
  RunQueued();
  return true;
}

void EventLoop::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (!thread_.joinable()) return;
  asio::post(io_, [this] {
    const Turn turn(*this);
    RunQueued();
    // A task may own something that posts; what it posts is dropped.
    std::exchange(timed_, {}).clear();
    io_.stop();
  });
  thread_.join();
}

void EventLoop::Wake() {
  if (std::exchange(waking_, true)) return;
  asio::post(io_, [this] {
    const Turn turn(*this);
    {
      std::lock_guard lock(mutex_);
      waking_ = false;
    }
    RunQueued();
  });
}

bool EventLoop::RunQueued() {
  {
    std::lock_guard lock(mutex_);
    batch_.swap(queue_);
    from_others_ = false;
  }
  if (batch_.empty()) return false;
  for (Task& task : batch_) task();
  batch_.clear();
  return true;
}

void EventLoop::RunDue() {
  timer_due_ = TimePoint::max();
  const TimePoint now = std::chrono::steady_clock::now();
  while (!timed_.empty() && timed_.begin()->first <= now) {
    Task task = std::move(timed_.begin()->second);
    timed_.erase(timed_.begin());
    task();
  }
  SetTimer();
}

void EventLoop::SetTimer() {
  if (timed_.empty() || timed_.begin()->first >= timer_due_) return;
  timer_due_ = timed_.begin()->first;
  timer_.expires_at(timer_due_);
  timer_.async_wait(Wrap([this](const boost::system::error_code& error) {
    if (!error) RunDue();
  }));
}

}  // namespace holdfast::node
