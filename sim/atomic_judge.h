// What `Execute` must answer: its writes one after another on the models of their services, and
// nothing of them when one is refused (docs/atomic.md).
#pragma once

#include <memory>

#include "sim/judge.h"

namespace holdfast::sim {

// Over the judges of the other services.
std::shared_ptr<Judge> MakeAtomicJudge(Judges others);

}  // namespace holdfast::sim
