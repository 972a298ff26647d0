// A cluster of real processes, on loopback or in places of their own, to be killed, stopped and
// started again.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/temp_folder.h"

namespace holdfast::testing {

// Where a node runs that is not on loopback. Its ports are the usual ones.
struct Site {
  std::string host;
  std::string data;                      // The folder of its data.
  std::vector<std::string> environment;  // "NAME=value", beside ours.
  // Called on a thread of its own, which then starts the process: joins its namespaces.
  std::function<void()> enter;
};

// Nodes have numbers from 1. Not thread-safe, but for addresses and ports.
class ProcessCluster {
 public:
  // Runs the `holdfast` program that was built beside this test.
  explicit ProcessCluster(int nodes);
  // A node at each site. Their logs go to `folder`, which stays.
  ProcessCluster(std::string folder, std::vector<Site> sites);
  ~ProcessCluster();  // Kills what runs and waits for it, by pid.
  ProcessCluster(const ProcessCluster&) = delete;

  // The program that the nodes run.
  static std::string Program();

  int size() const { return static_cast<int>(nodes_.size()); }
  const std::string& host(int node) const { return nodes_[Index(node)].site.host; }
  uint16_t http(int node) const { return nodes_[Index(node)].http; }
  uint16_t grpc(int node) const { return nodes_[Index(node)].grpc; }
  uint16_t peer(int node) const { return nodes_[Index(node)].peer; }

  // The program of every start from here on, instead of that one; to be found beside it.
  void SetProgram(const std::string& name);
  // Flags of every start from here on, beside those that make it a cluster.
  void SetFlags(std::vector<std::string> flags) { flags_ = std::move(flags); }
  // How many files each start from here on may have open.
  void SetOpenFilesMax(size_t files) { open_files_max_ = files; }
  // The first so many nodes found the cluster and are told of one another only; those after them
  // are told of all before them.
  void SetFounders(int founders) { founders_ = founders; }
  // Whom nodes are told of from here on, beside themselves, instead of those above.
  void SetMembers(std::vector<int> members) { members_ = std::move(members); }
  void Start(int node);
  void StartAll();  // The founders.
  void Signal(int node, int signal);
  void Kill(int node);      // SIGKILL, and waits for the process to be gone.
  int Terminate(int node);  // SIGTERM, and waits; the exit status.
  int Wait(int node);       // For its end, after a Signal; the exit status, or -signal.
  // Waits for a process that ends by itself: its exit status; -1 when it was killed or does not
  // end.
  int WaitEnd(int node, std::chrono::seconds patience);
  // Whether it has ended by itself by now: its exit status, or -signal.
  std::optional<int> Ended(int node);
  // The process stands still and keeps its connections: from outside, a partition. Returns once it
  // stands.
  void Freeze(int node);
  void Thaw(int node);
  // Deletes the data folder of a node that does not run.
  void Wipe(int node);
  pid_t pid(int node) const { return nodes_[Index(node)].pid; }  // 0: it does not run.
  bool Running(int node) const { return nodes_[Index(node)].pid > 0; }

  // Waits until every running node is healthy, or only `node`. False when it takes too long.
  bool WaitHealthy(std::chrono::seconds patience = std::chrono::seconds(20));
  bool WaitHealthy(int node, std::chrono::seconds patience);
  // The node that leads, as a running node other than `except` says; 0: none in time.
  int WaitLeader(int except = 0, std::chrono::seconds patience = std::chrono::seconds(20));
  // The highest that a running node knows: where it is as before, nobody else has led since.
  uint64_t Term() const;
  // Whether the node, which led and does not run any more, saw another one lead before it ended.
  bool HandedOver(int node) const;
  // Waits until all nodes have applied the same position, and says whether their digests are equal.
  bool WaitEqualState(std::chrono::seconds patience, std::string* report);

  std::string data(int node) const { return nodes_[Index(node)].site.data; }
  std::string LogOf(int node) const;  // What the process printed; for failures.

 private:
  struct Node {
    Site site;
    uint16_t http = 0;
    uint16_t grpc = 0;
    uint16_t peer = 0;
    pid_t pid = 0;
  };
  int founders() const { return founders_ == 0 ? size() : founders_; }
  static size_t Index(int node) { return static_cast<size_t>(node - 1); }

  void Spawn(Node& node, std::vector<std::string> arguments, const std::string& log);
  std::string LogPath(int node) const { return folder_ + "/" + std::to_string(node) + ".log"; }

  std::optional<TempFolder> own_folder_;
  std::string folder_;
  std::vector<Node> nodes_;
  std::vector<std::string> flags_;
  std::string program_ = Program();
  size_t open_files_max_ = 0;  // 0: as many as this process.
  int founders_ = 0;           // 0: all.
  std::vector<int> members_;
};

}  // namespace holdfast::testing
