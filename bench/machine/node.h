// A node without log, consensus and network: the state machine over a store, checkpoints written on
// another thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/log.pb.h"
#include "src/base/executor.h"
#include "src/state_machine/machine.h"
#include "src/state_machine/registry.h"
#include "src/store/store.h"
#include "tests/support/temp_folder.h"

namespace holdfast::bench {

class Node {
 public:
  // `base`: memory or rocksdb. `folder`: empty for a temporary one, removed at the end.
  Node(const std::string& base, const std::string& folder);
  ~Node();

  const std::string& folder() const { return folder_; }
  state_machine::Machine& machine() { return *machine_; }
  state_machine::Registry& registry() { return registry_; }

  // As the node's applier does; returns the microseconds of the entry, without the time for which
  // it was held back. No request of it fails.
  double Apply(const std::string& entry);
  const std::vector<state_machine::Outcome>& outcomes() const { return outcomes_; }  // Of the last.

  // From now on entries count.
  void BeginMeasuring() { measured_ = true; }
  // Everything applied so far is in the base on return.
  void Checkpoint();

  int checkpoints() const { return checkpoints_; }
  // The most processor time that one entry has taken since the last call.
  double TakeCpuMax() { return std::exchange(cpu_max_us_, 0); }

 private:
  bool Overfull();
  void Write(std::function<void()> job);

  testing::TempFolder temp_;
  const std::string folder_;
  store::Store store_;
  state_machine::Registry registry_;
  std::unique_ptr<state_machine::Machine> machine_;
  std::vector<state_machine::Outcome> outcomes_;
  bool measured_ = false;
  double cpu_max_us_ = 0;
  std::atomic<bool> busy_ = false;
  int checkpoints_ = 0;
  ThreadExecutor background_;
};

// Puts requests into an entry, which is 5 ms later than the one before.
class EntryMaker {
 public:
  explicit EntryMaker(state_machine::Registry& registry) : registry_(registry) {}
  // `method` as gRPC writes it.
  void Add(const std::string& method, const google::protobuf::Message& request);
  std::string Finish();

 private:
  state_machine::Registry& registry_;
  LogEntry entry_;
  int64_t now_us_ = int64_t{1'700'000'000} * 1'000'000;
};

}  // namespace holdfast::bench
