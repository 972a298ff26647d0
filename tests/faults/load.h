// Clients of the ledger on real nodes, each with a session of its own, through all nodes and all
// doors: half of them use the client library, a quarter each plain gRPC and HTTP. They ask what the
// simulator's clients ask, give up now and then, and repeat under the same key through another
// client, hence another node and perhaps another door. What they saw is recorded, to be judged.
//
// Beside them, on each node, a reader asks for linearizable reads at a steady pace and waits for
// each as long as it takes: those that a node answers when it comes to again, or while it is cut
// off from the others, are among them.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sim/ledger_requests.h"
#include "src/client/client.h"
#include "tests/faults/door.h"
#include "tests/faults/recording.h"

namespace holdfast::faults {

struct LoadOptions {
  std::vector<Address> nodes;
  std::string folder;  // Of the recording.
  int clients = 12;
  uint64_t seed = 1;
  size_t accounts = 7;  // Few, so that most requests meet something.
  uint64_t pause_us_max = 20'000;
};

// A write whose answer nobody got.
struct Open {
  std::string key;
  std::string method;
};

class Load {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Load(LoadOptions options);
  ~Load();  // Nobody waits for answers any more.

  void Start();
  // Nobody begins anything new; returns when all that is under way was answered or given up.
  void Stop();

  // The longest time without an acknowledged write since the last call, up to now.
  std::chrono::milliseconds TakeGap();
  // The highest position that anyone was told.
  LogIndex told() const { return LogIndex(told_.load()); }
  uint64_t acknowledged() const { return acknowledged_; }
  // What must never be answered, if anything was: an error that no valid request can get.
  std::string violation();

  // --- After Stop
  // Of each kind of operation, how it ended and through which door: "CreateTransfer", "answered",
  // "http".
  using Counts = std::map<std::string, std::map<std::string, std::map<std::string, uint64_t>>>;
  const Counts& counts() const { return counts_; }
  // Through one node: a linearizable read of every account. Throws sim::Violation when the node
  // does not answer.
  void ReadAll(const std::string& endpoint);
  // Through one node: what became of the open writes.
  void AskOutcomes(const std::string& endpoint);

 private:
  void Work(size_t number);
  void Write(size_t number, sim::Random& random);
  void Read(size_t number, sim::Random& random);
  // The reader at a node.
  void ReadSteadily(size_t node);
  // True: an answer that says what happened. Notes it; `told` is what the client knows of the call.
  bool Answered(Operation told, Recording& recording, const Result<client::Reply>& reply);
  void Record(const Operation& one, Recording& recording);
  int AttemptsMax() const;
  void Told(LogIndex position);
  void Violate(const std::string& what);
  Door& At(size_t number) { return *doors_[number % doors_.size()]; }

  const LoadOptions options_;
  std::vector<std::unique_ptr<Door>> doors_;
  std::vector<std::unique_ptr<Recording>> recordings_;  // One a client.
  std::vector<std::unique_ptr<Recording>> reader_recordings_;
  Recording end_recording_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> abandoned_{false};
  std::atomic<uint64_t> told_{0};
  std::atomic<uint64_t> acknowledged_{0};
  std::atomic<uint64_t> keys_{0};

  std::mutex requests_mutex_;
  sim::Random random_;
  sim::LedgerRequests requests_;

  std::mutex mutex_;
  std::vector<Open> open_;
  Counts counts_;
  std::string violation_;
  Clock::time_point last_success_;
  Clock::duration gap_{};
};

}  // namespace holdfast::faults
