// Simulated time and randomness. Everything that a run does follows from one seed.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace holdfast::raft::sim {

// SplitMix64 (Steele, Lea and Flood 2014): the same numbers on every platform.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // Both ends included.
  uint64_t Between(uint64_t low, uint64_t high) { return low + Next() % (high - low + 1); }
  bool OneIn(uint64_t n) { return Next() % n == 0; }
  bool Percent(uint64_t p) { return Next() % 100 < p; }

 private:
  uint64_t state_;
};

class EventQueue {
 public:
  uint64_t now_us() const { return now_us_; }
  uint64_t now_ms() const { return now_us_ / 1000; }
  uint64_t steps() const { return steps_; }

  void At(uint64_t time_us, std::function<void()> event) {
    events_.push({std::max(time_us, now_us_), sequence_++, std::move(event)});
  }
  void After(uint64_t delay_us, std::function<void()> event) {
    At(now_us_ + delay_us, std::move(event));
  }
  void RunUntil(uint64_t time_us) {
    while (!events_.empty() && events_.top().time_us <= time_us) {
      // Events at the same time happen in the order in which they were put in.
      std::function<void()> event = std::move(const_cast<Event&>(events_.top()).action);
      now_us_ = events_.top().time_us;
      events_.pop();
      ++steps_;
      event();
    }
    now_us_ = std::max(now_us_, time_us);
  }

 private:
  struct Event {
    uint64_t time_us;
    uint64_t sequence;
    std::function<void()> action;
    bool operator<(const Event& other) const {
      return std::pair(time_us, sequence) > std::pair(other.time_us, other.sequence);
    }
  };
  std::priority_queue<Event> events_;
  uint64_t now_us_ = 0;
  uint64_t sequence_ = 0;
  uint64_t steps_ = 0;
};

}  // namespace holdfast::raft::sim
