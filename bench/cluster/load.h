// Closed-loop load: so many clients, each with one call under way, for so many seconds.
#pragma once

#include <absl/functional/any_invocable.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/process_cluster.h"

namespace holdfast::bench {

// One client. Its operations follow one another.
class Caller {
 public:
  virtual ~Caller() = default;
  // Begins an operation; `done` says how many things it has got done, 0 for a failure. It is called
  // on any thread, never from within Begin.
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
  std::string door;       // pipe, gRPC, HTTP; or what the peer uses.
  int clients = 0;        // Or, where it says so, messages at once.
  double per_second = 0;  // Transfers, reads, messages.
  double p50_us = 0;      // Of an operation; 0: not measured.
  double p99_us = 0;
  double pause_ms = 0;  // The longest time without an answer to anybody; 0: not measured.
  double cpu_us = 0;    // Of all nodes together, for one of them; 0: not measured.
  int64_t failed = 0;   // Calls.
  // Of the leader, in the mean; 0: not measured, or it was not the leader all the time.
  double entry_requests = 0;  // Requests of an entry of the log.
  double sync_entries = 0;    // Entries made durable by one fdatasync.
  double sync_us = 0;         // Of a write with its fdatasync.
  double log_bytes = 0;       // Written to the log for a request.
};

// Keeps one operation of each client under way. Not to be used again after Stop.
class Loop {
 public:
  explicit Loop(Callers callers)
      : callers_(std::move(callers)), clients_(callers_.clients.size()) {}

  void Start();
  void Count(bool counting) { counting_.store(counting); }  // From now on, or no longer.
  void Stop();                                              // Waits for what is under way.

  int64_t done() const { return done_.load(); }
  int64_t failed() const { return failed_.load(); }
  std::chrono::nanoseconds pause() const { return std::chrono::nanoseconds(pause_ns_.load()); }
  std::vector<float> Latencies() const;  // Microseconds, in order; after Stop.

 private:
  struct Client {
    std::chrono::steady_clock::time_point begun;
    std::vector<float> latencies;  // Touched by the call under way only.
    bool started = false;
  };

  void Next(size_t i);
  void NoteAnswer();

  Callers callers_;
  std::vector<Client> clients_;
  std::atomic<bool> counting_{false};
  std::atomic<int64_t> done_{0};
  std::atomic<int64_t> failed_{0};
  std::atomic<int64_t> answered_ns_{0};  // The last one.
  std::atomic<int64_t> pause_ns_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
  bool stop_ = false;
  size_t running_ = 0;
};

// One second of warming up is not counted.
Row Measure(const std::string& workload, const std::string& door, Callers callers, int seconds,
            const testing::ProcessCluster& cluster);

// Of all nodes together.
double CpuSeconds(const testing::ProcessCluster& cluster);
uint64_t MemoryBytesMax(const testing::ProcessCluster& cluster);  // Of the largest node, resident.
// What a node's files take; `part`: "log" or "store".
uint64_t DiskBytes(const testing::ProcessCluster& cluster, int node, const std::string& part);

}  // namespace holdfast::bench
