#pragma once

#include <memory>

#include "sim/judge.h"

namespace holdfast::sim {

// `others`: of the services that a checkout writes to.
std::shared_ptr<Judge> MakeOrderJudge(Judges others);

}  // namespace holdfast::sim
