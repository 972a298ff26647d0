#include "src/clock/clock.h"

#include <ctime>

#include <chrono>

namespace holdfast {

uint64_t SystemClock::MonotonicMs() const {
  using std::chrono::steady_clock;
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch())
          .count());
}

// CLOCK_MONOTONIC stands still while the machine sleeps, and the world does not.
int64_t SystemClock::ElapsedUs() const {
  timespec time{};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1'000;
}

int64_t SystemClock::WallUs() const {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::microseconds>(
             system_clock::now().time_since_epoch())
      .count();
}

}  // namespace holdfast
