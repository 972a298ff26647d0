// One run: a cluster, a load, one fault after another, and the judgement at the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace holdfast::faults {

struct RunOptions {
  std::string folder;  // Exists, and is empty.
  std::string shim;
  std::string only;   // One kind of fault; empty: all.
  std::string with;   // A fault of the network that every other one comes with; empty: some do.
  bool each = false;  // The kinds in turn, on a good network, instead of drawn.
  std::string csv;    // The table of faults is also written there; empty: nowhere.
  bool keep = false;  // The folder, whatever comes out.
  int nodes = 3;
  int clients = 12;
  uint64_t seconds = 600;
  uint64_t seed = 1;
};

// Tells on standard output what happens, and at the end a table. The exit status: 0, or 1 when
// something that must never happen did. Within a sandbox. `stop`, when set by somebody, ends the
// run early, with all the checks.
int Run(const RunOptions& options, const std::atomic<bool>& stop);

// Judges what a run has recorded in `folder`, once more; what it tells and returns is alike.
int JudgeFolder(const std::string& folder);

}  // namespace holdfast::faults
