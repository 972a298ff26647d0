// Lets many small steps share one costly last step: a write to a socket, a wake-up of a thread.
//
//   {
//     Batch batch;
//     for (Reply& reply : replies) pipe.Send(reply);  // Each asks for Batch::AtEnd(flush) ...
//   }                                                 // ... which runs here, once.
//
// Whoever asks sees to it that it asks once only. Each thread has batches of its own; an inner one
// is part of the outer one.
#pragma once

#include "src/base/executor.h"

namespace holdfast {

class Batch {
 public:
  Batch();
  // Runs what was asked for, in order, if this is the outermost one. Throws only what a check does
  // that is told to (check.h), in tests and simulations.
  ~Batch() noexcept(false);
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  // Runs `work` when this thread's outermost batch ends; without one, at once.
  static void AtEnd(Task work);
  // Whether this thread has a batch open.
  static bool IsOpen();
};

}  // namespace holdfast
