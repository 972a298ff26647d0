#include "src/clock/clock.h"

#include <chrono>

namespace holdfast {

uint64_t SystemClock::MonotonicMs() const {
  using std::chrono::steady_clock;
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch())
          .count());
}

int64_t SystemClock::WallUs() const {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::microseconds>(
             system_clock::now().time_since_epoch())
      .count();
}

}  // namespace holdfast
