// The ledger's judge.
#pragma once

#include <memory>

#include "sim/judge.h"

namespace holdfast::sim {

std::shared_ptr<Judge> MakeLedgerJudge();

}  // namespace holdfast::sim
