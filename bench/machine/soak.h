// One long run of one workload: memory, disk and pauses over time.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast::bench {

struct Settings {
  std::string base;      // memory or rocksdb; empty: both, of a soak rocksdb.
  std::string workload;  // See workload.h; empty: all, of a soak transfers-batch.
  uint64_t operations = 400'000;
  uint64_t history = 0;        // What is stored before measuring begins.
  uint64_t per_entry = 1'000;  // Operations of one entry.
  uint64_t soak = 0;
  int readers = 0;  // Of the ledger, whatever is written.
  std::string folder;
};

void Soak(const Settings& settings);

}  // namespace holdfast::bench
