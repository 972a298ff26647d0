// The chat rooms' judge.
#pragma once

#include <memory>

#include "sim/judge.h"

namespace holdfast::sim {

std::shared_ptr<Judge> MakeChatJudge();

}  // namespace holdfast::sim
