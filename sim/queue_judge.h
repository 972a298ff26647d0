// The queues' judge.
#pragma once

#include <memory>

#include "sim/judge.h"

namespace holdfast::sim {

std::shared_ptr<Judge> MakeQueueJudge();

}  // namespace holdfast::sim
