// The judge of sessions and locks: locks hang on sessions, so they have one model.
#pragma once

#include <memory>

#include "sim/judge.h"

namespace holdfast::sim {

std::shared_ptr<Judge> MakeCoordinationJudge();

}  // namespace holdfast::sim
