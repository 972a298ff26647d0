// The judge of sessions, and of what hangs on them: locks, and the lines of the cache.
#pragma once

#include <memory>

#include "sim/judge.h"

namespace holdfast::sim {

std::shared_ptr<Judge> MakeCoordinationJudge();

}  // namespace holdfast::sim
