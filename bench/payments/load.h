// Closed-loop load: so many clients, each with one call under way, for so many seconds.
#pragma once

#include <absl/functional/any_invocable.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/process_cluster.h"

namespace holdfast::bench {

// One client. Its calls follow one another.
class Caller {
 public:
  virtual ~Caller() = default;
  // Begins a call; `done` says how many transfers or reads it has got done, 0 for a failure. It is
  // called on any thread, never from within Begin.
  using Done = absl::AnyInvocable<void(int count)>;
  virtual void Begin(Done done) = 0;
};
// All clients of one workload; what they share lives as long.
struct Callers {
  std::vector<std::unique_ptr<Caller>> clients;
  std::shared_ptr<void> shared;
};

struct Row {
  std::string system;  // "holdfast", "pg-repl".
  std::string workload;
  std::string door;  // pipe, gRPC, HTTP; or what the peer uses.
  int clients = 0;
  double per_second = 0;  // Transfers, or reads.
  double p50_us = 0;      // Of a call.
  double p99_us = 0;
  double pause_ms = 0;  // The longest time without an answer to anybody; 0: not measured.
  double cpu_us = 0;    // Of all nodes together, for one of them; 0: not measured.
};

// One second of warming up is not counted.
Row Measure(const std::string& workload, const std::string& door, Callers callers, int seconds,
            const testing::ProcessCluster& cluster);

// Of all nodes together.
double CpuSeconds(const testing::ProcessCluster& cluster);
uint64_t MemoryBytesMax(const testing::ProcessCluster& cluster);  // Of the largest node, resident.
uint64_t DiskBytes(const testing::ProcessCluster& cluster, const std::string& part);  // Of node 1.

}  // namespace holdfast::bench
