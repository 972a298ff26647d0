// Whether waiting for a lock would never end, because those in the way wait for whoever asks.
#pragma once

#include <string>
#include <vector>

#include "services/locks/tables.h"

namespace holdfast::locks {

// The owners from `want`'s back to it, if it stood in line, where it is not yet; empty: no cycle,
// as far as kLockCycleOwnersMax owners and kLockCycleRowsMax rows show.
std::vector<std::string> CycleOf(const Tables& tables, const WaiterRow& want);

}  // namespace holdfast::locks
