// Closed-loop payers that know all nodes, with a connection each, and when each of them got its
// answers.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/process_cluster.h"

namespace holdfast::bench {

using std::chrono::steady_clock;

// One payment that was acknowledged.
struct Answer {
  steady_clock::time_point at;
  float took_ms = 0;
};

// What the payers transfer between. False: it could not be opened.
bool OpenAccounts(const testing::ProcessCluster& cluster);

class Load {
 public:
  // `run` makes the ids differ from those of other loads on the same cluster. `attempt`: how long a
  // client waits for one node before it asks another; 0: as the library does.
  Load(const testing::ProcessCluster& cluster, int run, int clients,
       std::chrono::milliseconds attempt);
  ~Load();
  Load(const Load&) = delete;

  // Ends it: all answers, in order of time. Once.
  std::vector<Answer> Stop();
  int64_t failed() const { return failed_.load(); }  // Calls that the client gave up.

 private:
  void Work(const std::vector<std::string>& endpoints, const std::string& prefix,
            std::vector<Answer>* answers);

  const std::chrono::milliseconds attempt_;
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> failed_{0};
  std::vector<std::vector<Answer>> answers_;  // Of each client; its own thread's until Stop.
  std::vector<std::thread> threads_;
};

// The longest time between two answers, or from the last one to `until`.
double LongestGapMs(const std::vector<Answer>& answers, steady_clock::time_point until);

}  // namespace holdfast::bench
