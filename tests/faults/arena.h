// A cluster of real processes on a network of ours, with everything that is needed to hurt it and
// to see what becomes of it. Used by one thread; what runs beside it (network, watch, load) guards
// itself.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/faults/collected_log.h"
#include "tests/faults/door.h"
#include "tests/faults/fault_control.h"
#include "tests/faults/network.h"
#include "tests/faults/watch.h"
#include "tests/support/process_cluster.h"

namespace holdfast::faults {

inline constexpr uint64_t kElectionTimeoutMs = 400;  // The default.

class Arena {
 public:
  // Everything lies in `folder`, which exists; `shim`: the library to preload. Within a sandbox.
  // `nodes` are the members at first; there is a place for one more, which may take the place of
  // another.
  Arena(std::string folder, int nodes, uint64_t seed, const std::string& shim);
  ~Arena();

  // All of equal standing; their number never changes but while one is replaced.
  const std::vector<int>& members() const { return members_; }
  bool IsMember(int node) const { return std::ranges::count(members_, node) > 0; }
  int spare() const;  // The place where nobody is.
  testing::ProcessCluster& cluster() { return *cluster_; }
  Network& network() { return network_; }
  Watch& watch() { return *watch_; }
  CollectedLog& log() { return log_; }
  FaultControl& control(int node) { return *controls_[static_cast<size_t>(node - 1)]; }
  std::string endpoint(int node) const;
  std::string LogFile(int node) const { return folder_ + "/" + std::to_string(node) + ".log"; }
  // Where everything is noted that is needed to judge the run.
  static std::string RecordingIn(const std::string& folder) { return folder + "/history"; }
  std::vector<Address> addresses() const;  // Of all places.

  // --- A node's life. Each but Start takes over what is new in the node's log.
  void Start(int node);
  void Kill(int node);
  int Terminate(int node);  // The exit status.
  void Freeze(int node);
  // Of a node that does not run: its folder is lost.
  void Wipe(int node);
  // The node may end now; Ended tells how. Until then an end is a violation (CheckAlive).
  void ExpectEnd(int node) { may_end_[static_cast<size_t>(node - 1)] = true; }
  void ExpectLife(int node) { may_end_[static_cast<size_t>(node - 1)] = false; }
  // Waits for a node that is expected to end; its status, -signal, or nullopt when it goes on.
  std::optional<int> WaitEnd(int node, std::chrono::milliseconds patience);
  // What the node has printed since its last start.
  std::string LastWords(int node) const;
  // Takes over what is new in the logs if that has not happened for long: logs are cut off.
  void CollectIfLate();

  // The one node whose folder has a small disk to itself; 0: mounts are not permitted.
  int small_disk() const { return small_disk_; }
  // Fills that disk up to so many bytes, or, with everything free again, empties it.
  void FillDisk(uint64_t bytes_left);
  void FreeDisk();

  // Throws sim::Violation when a node has ended by itself.
  void CheckAlive();
  // `holdfast` with these words, asking one node, or all (0): its exit code. What it says joins the
  // file operator.log.
  int Operate(const std::string& words, int node = 0);
  // The members from here on: `added` in place of `removed`.
  void Replace(int removed, int added);
  // Takes over what the nodes hold and stops them, when a run ends before its time.
  void Abandon();
  // Waits until every member runs, is ready, and has applied `position`. Throws sim::Violation when
  // that takes too long.
  void WaitLevel(LogIndex position);
  // Something worth a line of the report: how often it was seen.
  void Saw(const std::string& what) { ++seen_[what]; }
  const std::map<std::string, uint64_t>& seen() const { return seen_; }
  // As told by the watch; 0: nobody.
  int Leader() { return watch_->Leader(); }

 private:
  void Collect(int node);
  void MakeSmallDisk();

  const std::string folder_;
  Network network_;
  std::vector<FaultControl*> controls_;
  int small_disk_ = 0;
  std::vector<int> members_;
  std::unique_ptr<testing::ProcessCluster> cluster_;
  std::unique_ptr<Watch> watch_;
  CollectedLog log_;
  std::chrono::steady_clock::time_point collected_at_;
  std::map<std::string, uint64_t> seen_;
  std::vector<bool> may_end_;
  std::vector<size_t> spoken_;  // Of the node's log file, before its last start.
};

// Lets time pass: the length of a fault, or until something outside is looked at again.
void Wait(std::chrono::milliseconds duration);

}  // namespace holdfast::faults
