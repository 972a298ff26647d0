// The journals' judge.
#pragma once

#include <memory>

#include "sim/judge.h"

namespace holdfast::sim {

std::shared_ptr<Judge> MakeJournalJudge();

}  // namespace holdfast::sim
