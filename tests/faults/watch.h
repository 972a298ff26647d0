// Asks every node for its status a few times a second, and remembers what they said: who leads, how
// far each has applied, and the digest at each position, which must be the same on all nodes.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/cluster.pb.h"
#include "src/base/ids.h"
#include "tests/support/process_cluster.h"

namespace holdfast::faults {

class Watch {
 public:
  // Reads nothing of the cluster but its addresses.
  explicit Watch(const testing::ProcessCluster& cluster);
  ~Watch();

  // What the node said last, and how long ago (of its last answer); nothing known: a default one.
  cluster::StatusReply status(int node);
  // The node's folder is gone: what it had applied is of an earlier life.
  void Forget(int node);
  // The node that said last that it leads, with the highest term among those that did; 0: none.
  int Leader();
  // Asks now. False: no answer.
  bool Ask(int node, cluster::StatusReply* status);
  // Asks all until the state of this node was compared with another's at the same position; the
  // load may go on. False: it took too long.
  bool Compare(int node, std::chrono::milliseconds patience);
  // Two nodes with different states at one position, if there were any.
  std::string violation();

 private:
  void Run(int node);
  void Note(int node, const cluster::StatusReply& status);

  const testing::ProcessCluster& cluster_;
  std::mutex mutex_;
  std::map<int, cluster::StatusReply> last_;
  std::map<int, bool> answered_;
  struct Known {
    int node = 0;
    std::string digest;
  };
  std::map<uint64_t, Known> digests_;  // Of the newest positions.
  std::map<int, uint64_t> compared_;   // How often each node was, with another.
  std::string violation_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::faults
