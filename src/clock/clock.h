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
  // Microseconds since the Unix epoch, as good as this machine's clock: stamps for entries.
  virtual int64_t WallUs() const = 0;
};

// The machine's clocks.
class SystemClock : public Clock {
 public:
  uint64_t MonotonicMs() const override;
  int64_t WallUs() const override;
};

}  // namespace holdfast
