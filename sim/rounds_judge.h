// The judge of the rounds.
#pragma once

#include <memory>

#include "sim/judge.h"

namespace holdfast::sim {

std::shared_ptr<Judge> MakeRoundsJudge();

}  // namespace holdfast::sim
