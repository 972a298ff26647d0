// The to-do lists' judge.
#pragma once

#include <memory>

#include "sim/judge.h"

namespace holdfast::sim {

std::shared_ptr<Judge> MakeTodoJudge();

}  // namespace holdfast::sim
