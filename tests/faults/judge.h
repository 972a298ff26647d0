// Judges what a run has recorded: the log is replayed through the ledger's model, and every answer
// is compared with it (sim/history.h).
#pragma once

#include <cstdint>
#include <string>

namespace holdfast::faults {

struct Judgement {
  uint64_t entries = 0;
  uint64_t writes = 0;
  uint64_t reads = 0;
  uint64_t beyond = 0;  // Answers from positions that a run which ended early had not collected.
};

// Throws sim::Violation when something that must never happen did, and std::runtime_error when the
// folder cannot be read.
Judgement Judge(const std::string& folder);

}  // namespace holdfast::faults
