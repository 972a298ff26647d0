#include "src/clock/clock.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>

namespace holdfast {
namespace {

int64_t ReadUs(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1'000;
}

}  // namespace

uint64_t SystemClock::MonotonicMs() const {
  using std::chrono::steady_clock;
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch())
          .count());
}

// Of the machine's clocks, those that go on while it sleeps are steered by whoever keeps the wall
// clock, by several percent at worst; CLOCK_MONOTONIC_RAW is not, and stands still meanwhile. So
// the sleep is added to it: by how much CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC, which is read
// after it, so that a pause between the two makes that less, and the most ever seen counts.
int64_t SystemClock::ElapsedUs() const {
  static std::atomic<int64_t> slept_us{INT64_MIN};
  const int64_t boot_us = ReadUs(CLOCK_BOOTTIME);
  const int64_t now_slept_us = boot_us - ReadUs(CLOCK_MONOTONIC);
  int64_t known_us = slept_us.load(std::memory_order_relaxed);
  while (known_us < now_slept_us && !slept_us.compare_exchange_weak(known_us, now_slept_us)) {
  }
  return ReadUs(CLOCK_MONOTONIC_RAW) + std::max(known_us, now_slept_us);
}

int64_t SystemClock::WallUs() const {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::microseconds>(
             system_clock::now().time_since_epoch())
      .count();
}

}  // namespace holdfast
