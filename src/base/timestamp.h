// Between protobuf's Timestamp and microseconds since the Unix epoch, which is what rows and the
// log count in. The ranges of both are seen to by whoever takes a Timestamp from outside.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>

namespace holdfast {

inline void FillTime(int64_t us, google::protobuf::Timestamp* time) {
  int64_t seconds = us / 1'000'000;
  int64_t rest = us % 1'000'000;
  if (rest < 0) {  // Timestamps count their fraction forward, also before 1970.
    rest += 1'000'000;
    --seconds;
  }
  time->set_seconds(seconds);
  time->set_nanos(static_cast<int32_t>(rest * 1'000));
}

// What lies between two microseconds is rounded down, or up.
inline int64_t FloorUs(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000'000 + time.nanos() / 1'000;
}
inline int64_t CeilingUs(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000'000 + (time.nanos() + 999) / 1'000;
}

}  // namespace holdfast
