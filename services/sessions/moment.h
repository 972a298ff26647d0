// Time as the reference models of the services see it: that of the log, and how much of it leases
// do not count (docs/decisions/0020-leases.md).
#pragma once

#include <cstdint>

namespace holdfast::sessions {

struct Moment {
  int64_t log_us = 0;
  int64_t left_out_us = 0;
  int64_t lease_us() const { return log_us - left_out_us; }
  // When the lease time will be this, as far as anyone knows now.
  int64_t LogTimeOf(int64_t lease_us) const { return lease_us + left_out_us; }
};

}  // namespace holdfast::sessions
