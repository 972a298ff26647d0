// Time as a node sees it, handed in so that a simulator can hold it.
#pragma once

#include <cstdint>

namespace holdfast {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds that never go back, from an arbitrary start: timeouts, deadlines.
  virtual uint64_t MonotonicMs() const = 0;
  // Microseconds that never go back, from an arbitrary start of their own, and that go on while the
  // machine sleeps: what the time of the world is measured with between two looks at it. Nobody
  // sets this clock; it is fast or slow by some millionths.
  virtual int64_t ElapsedUs() const { return static_cast<int64_t>(MonotonicMs()) * 1'000; }
  // Microseconds since the Unix epoch, as this machine's clock has it. It may be set at any moment,
  // and may be wrong: a claim to be checked (docs/clock.md).
  virtual int64_t WallUs() const = 0;
};

// The machine's clocks.
class SystemClock : public Clock {
 public:
  uint64_t MonotonicMs() const override;
  int64_t ElapsedUs() const override;
  int64_t WallUs() const override;
};

}  // namespace holdfast
