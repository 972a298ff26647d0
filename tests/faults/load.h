// Clients of the ledger on real nodes, each with a session of its own, through all nodes. They ask
// what the simulator's clients ask, give up now and then, and repeat under the same key through
// another client. What they saw goes into a history, to be replayed.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sim/history.h"
#include "sim/requests.h"
#include "src/client/client.h"

namespace holdfast::faults {

struct LoadOptions {
  std::vector<std::string> endpoints;
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
  // Hands over what was seen; once.
  void Tell(sim::History& history);
  const std::vector<Open>& open() const { return open_; }
  // Of each kind of operation and how it ended: "CreateTransfer", "answered".
  const std::map<std::string, std::map<std::string, uint64_t>>& counts() const { return counts_; }
  // Through one node: a linearizable read of every account, as further reads of the history. Throws
  // sim::Violation when the node does not answer.
  void ReadAll(const std::string& endpoint);
  // Through one node: what became of the open writes. Those that happened join the history.
  void AskOutcomes(const std::string& endpoint);
  const std::vector<Open>& never_seen() const { return never_seen_; }

 private:
  void Work(size_t number);
  void Write(size_t number, sim::Random& random);
  void Read(size_t number, sim::Random& random);
  int AttemptsMax() const;
  void Told(LogIndex position);
  void Count(const std::string& kind, const std::string& end);
  void Violate(const std::string& what);
  client::Client& At(size_t number) { return *clients_[number % clients_.size()]; }

  const LoadOptions options_;
  std::vector<std::unique_ptr<client::Client>> clients_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> abandoned_{false};
  std::atomic<uint64_t> told_{0};
  std::atomic<uint64_t> acknowledged_{0};
  std::atomic<uint64_t> keys_{0};

  std::mutex requests_mutex_;
  sim::Random random_;
  sim::Requests requests_;

  std::mutex mutex_;
  std::vector<sim::WriteRecord> writes_;
  std::vector<sim::ReadRecord> reads_;
  std::vector<Open> open_;
  std::vector<Open> never_seen_;
  std::map<std::string, std::map<std::string, uint64_t>> counts_;
  std::string violation_;
  Clock::time_point last_success_;
  Clock::duration gap_{};
};

}  // namespace holdfast::faults
