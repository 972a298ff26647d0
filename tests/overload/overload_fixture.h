// A cluster of three for the tests of bounds: its nodes' memory and files, and a client that goes
// on paying meanwhile.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <atomic>
#include <thread>

#include "tests/overload/http_load.h"
#include "tests/support/bystanders.h"
#include "tests/support/process_cluster.h"

namespace holdfast::testing {

// Payments of 1 from "payer" to "payee", one after another, and how long each took.
class SteadyPayer {
 public:
  explicit SteadyPayer(const ProcessCluster& cluster);
  ~SteadyPayer() { Stop(); }
  void Stop();  // After it the figures may be read.
  const std::vector<double>& ms() const { return ms_; }
  // What got another answer than 201. Refusals with 429 are repeated, and no failures; so are 503
  // and 504, which are counted.
  const std::string& failure() const { return failure_; }
  uint64_t interrupted() const { return interrupted_; }
  size_t paid() const { return paid_; }  // So far, from any thread.
  // Until so many were paid; false: not within 30 s.
  bool WaitPaid(size_t payments) const;

 private:
  void Pay(uint16_t port);

  std::atomic<bool> stop_{false};
  std::atomic<size_t> paid_{0};
  std::vector<double> ms_;
  std::string failure_;
  uint64_t interrupted_ = 0;
  std::thread thread_;
};

class OverloadTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();

  static ProcessCluster& cluster() { return *cluster_; }
  static int leader() { return leader_; }
  // Resident memory of a node's process, and its highest so far, in bytes.
  static uint64_t MemoryOf(int node);
  static uint64_t PeakMemoryOf(int node);
  static size_t FilesOf(int node);
  static int64_t BalanceOf(const std::string& account);
  // Waits until the node has at most so many files open.
  static bool WaitForFiles(int node, size_t at_most, std::chrono::seconds patience);
  static void ExpectEqualAndServing();
  // Answers with 503 or 504 are those of a change of leaders, which a machine that has other things
  // to do may bring about: there are none if nobody else has led since this term.
  static void ExpectInterruptedByAnElection(uint64_t interrupted, uint64_t since_term);
  // An account that may overdraw, so that no payment from it is refused.
  static void OpenAccount(const std::string& id);

 private:
  static inline ProcessCluster* cluster_ = nullptr;
  static inline int leader_ = 0;
};

// Of /proc/PID/status, in bytes: "VmRSS:" is what is resident, "VmHWM:" its highest so far.
uint64_t MemoryOfProcess(pid_t pid, const char* what);

size_t FilesOfProcess(pid_t pid);

// How long a load runs.
void RunFor(std::chrono::milliseconds duration);

// Raises this process's limit of open files to what is allowed, and returns it.
size_t RaiseFiles();

}  // namespace holdfast::testing
