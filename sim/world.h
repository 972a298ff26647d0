// What everything in a simulated run hangs on: its time, its chance, and a hash over all that
// happened. One seed, one run: the order of events and every draw follow from it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "src/raft/testing/event_queue.h"

namespace holdfast::sim {

using raft::sim::EventQueue;
using raft::sim::Random;

// What must never happen did.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};
inline void Require(bool condition, const std::string& what) {
  if (!condition) throw Violation(what);
}

class World {
 public:
  World(uint64_t seed, bool trace) : random(seed), trace_(trace) {}

  EventQueue events;
  Random random;

  // Absorbs a number into the run's hash.
  void Note(uint64_t number) {
    hash_ = (hash_ ^ number) * 0x9e3779b97f4a7c15u;
    hash_ ^= hash_ >> 29;
  }
  uint64_t hash() const { return hash_; }

  bool traces() const { return trace_; }
  void Trace(const std::string& what) const {
    if (trace_) {
      std::printf("%10.3f ms  %s\n", static_cast<double>(events.now_us()) / 1000, what.c_str());
    }
  }

 private:
  uint64_t hash_ = 0;
  const bool trace_;
};

}  // namespace holdfast::sim
