// Many clients that pay through all nodes of a cluster whatever happens to it, and the check
// afterwards: what was acknowledged is there once and only once, on every node.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/process_cluster.h"

namespace holdfast::testing {

// Without a payment: an election takes less than a second, and a few on a machine that has other
// things to do; a quorum or a leader that is lost would take longer.
inline constexpr std::chrono::seconds kGapMax{8};

// What the clients saw. A payment of two legs counts as two parts, "id/0" and "id/1".
struct Payments {
  using Clock = std::chrono::steady_clock;

  std::mutex mutex;
  std::map<std::string, int64_t> acknowledged;  // Part -> amount.
  std::set<std::string> attempted;              // Parts.
  Clock::time_point last_success;
  Clock::duration longest_gap{};

  void Acknowledge(const std::string& id, int legs, int64_t amount) {
    const auto now = Clock::now();
    std::lock_guard lock(mutex);
    for (int leg = 0; leg < legs; ++leg) acknowledged[id + "/" + std::to_string(leg)] = amount;
    longest_gap = std::max(longest_gap, now - last_success);
    last_success = now;
  }
  // Since the last call, or the beginning; with the time since the last success.
  Clock::duration TakeLongestGap() {
    const auto now = Clock::now();
    std::lock_guard lock(mutex);
    longest_gap = std::max(longest_gap, now - last_success);
    return std::exchange(longest_gap, {});
  }
  size_t count() {
    std::lock_guard lock(mutex);
    return acknowledged.size();
  }
};

// Every payment is repeated under its id, every other client's also under an idempotency key,
// through one node after another, until its outcome is known.
class PaymentLoad {
 public:
  // Opens the accounts, through node 1. The cluster must outlive the load.
  explicit PaymentLoad(const ProcessCluster& cluster);
  ~PaymentLoad() { Stop(); }
  // So many clients pay, until Stop; they differ from those of earlier starts.
  void Start(int clients);
  void Stop();
  // Payments (their parts) acknowledged a second, over `duration` from now.
  double RateOver(std::chrono::milliseconds duration);
  Payments& payments() { return payments_; }

 private:
  void Pay(int client);

  const ProcessCluster& cluster_;
  int clients_begun_ = 0;
  Payments payments_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> clients_;
};

// The objects of the array that is the first member of a listing, as text.
std::vector<std::string> JsonRows(const std::string& json);

// How long a load runs.
void RunFor(std::chrono::milliseconds duration);

// All nodes have come to the same state, and it is what the clients saw.
void CheckAll(ProcessCluster& cluster, Payments& payments);

}  // namespace holdfast::testing
