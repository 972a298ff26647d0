// What the operating system knows about this process. No state; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "src/metrics/registry.h"

namespace holdfast::metrics {

struct ProcessFigures {
  uint64_t resident_bytes = 0;
  uint64_t virtual_bytes = 0;
  uint64_t open_fds = 0;
  uint64_t fds_max = 0;
  double cpu_seconds = 0;  // User and system, since the start.
  uint64_t threads = 0;
};

// A figure that cannot be read is 0.
ProcessFigures ReadProcess();
uint64_t ResidentBytes();

// Bytes of the files directly in `folder` and below; 0 when there is none.
uint64_t FolderBytes(const std::string& folder);
// That the file system of `path` has left for us; 0 when it cannot be asked.
uint64_t DiskFreeBytes(const std::string& path);

// The names that Prometheus' own clients use, so that dashboards for any process fit.
void SampleProcess(Sampler& out, double start_seconds);

}  // namespace holdfast::metrics
