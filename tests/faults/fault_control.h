// What a node's process meets, told through a file that the shim (fault_shim.c) in the process and
// whoever makes the faults map into their memory. C, as both include it.
#pragma once

#include <stdint.h>

enum { kFailWrites = 1, kFailSyncs = 2 };

struct FaultControl {
  // Added to the wall clock, in microseconds. The monotonic clock goes right, as in a machine whose
  // clock is set.
  volatile int64_t clock_offset_us;
  // Files whose path begins with this meet what follows.
  char folder[1024];
  volatile int32_t fail;        // kFailWrites, kFailSyncs or both: EIO from now on.
  volatile int32_t stall_sync;  // Not 0: each fsync waits until it is 0 again.
  volatile int32_t failed;      // How many calls the shim has failed or kept waiting.
};
