// Load on one node over many HTTP connections from one thread: closed, as fast as answers come, or
// open, at a rate of its own whatever the node does.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace holdfast::testing {

struct LoadOptions {
  uint16_t port = 0;
  size_t connections = 1;
  double per_second = 0;  // Of requests; 0: every free connection sends at once.
  std::chrono::milliseconds duration{1'000};
  std::chrono::milliseconds patience{20'000};  // For answers after the last request.
  // The request with a number, as it goes over the wire.
  std::function<std::string(uint64_t number)> request;
  int cpu = -1;  // Where the thread runs; -1: anywhere.
};

struct LoadResult {
  uint64_t offered = 0;           // Requests that were due.
  uint64_t unsent = 0;            // Of these: no connection was free at that moment.
  uint64_t accepted = 0;          // Answered 2xx ...
  uint64_t accepted_in_time = 0;  // ... while the load lasted.
  uint64_t refused = 0;           // Answered 429 with Retry-After.
  uint64_t interrupted = 0;       // Answered 503 or 504: nobody led, or leadership was lost.
  uint64_t others = 0;            // Any other answer.
  uint64_t lost = 0;              // Connections that ended, or no answer in time.
  std::string first_other;
  std::vector<double> accepted_ms;  // From the moment when it was due.
  std::vector<double> refused_ms;   // From the moment when it was sent.
  double seconds = 0;
  double pause_ms = 0;  // The longest time for which the load itself did not get on.
  double goodput() const { return static_cast<double>(accepted_in_time) / seconds; }
};

// The value below which `share` of `values` lie; 0 for none.
double Quantile(std::vector<double> values, double share);

// Throws when a connection cannot be made. Blocks until the load is over.
LoadResult RunLoad(const LoadOptions& options);

}  // namespace holdfast::testing
