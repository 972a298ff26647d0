// The methods that a node answers about itself: health, status, leader, load, levels of its log.
#pragma once

#include <functional>
#include <string>

#include "src/metrics/instruments.h"
#include "src/node/node.h"
#include "src/state_machine/registry.h"

namespace holdfast::cluster {
class ClockReply;
}

namespace holdfast::node {

// What a node is made of beside consensus; a look at one moment.
struct NodeFigures {
  LogIndex checkpoint;             // Position of the last one.
  uint64_t checkpoint_age_ms = 0;  // Since the last one, or the start.
  uint64_t delta_rows = 0;
  uint64_t log_bytes = 0;
  uint64_t store_bytes = 0;
  uint64_t disk_free_bytes = 0;
  uint64_t memory_bytes = 0;
  uint64_t uptime_us = 0;
};

// What has been done since the start.
struct NodeLoad {
  uint64_t writes = 0;
  uint64_t reads = 0;
  uint64_t errors = 0;
  uint64_t applied_requests = 0;
  metrics::Distribution write_us;
  metrics::Distribution read_us;
  metrics::Distribution log_sync_us;
};

// What is known about the time, and the clocks that it is seen by; read at one moment.
struct ClockFigures {
  NodeId node;
  ClockReport report;
  int64_t elapsed_us = 0;
  int64_t wall_us = 0;
};

// As GET /v1/clock shows it.
void Fill(const ClockFigures& figures, cluster::ClockReply* reply);

// Asked at every call, on any thread. They may be set up after the registry: none is called before
// the API serves.
struct ClusterSources {
  std::function<NodeStatus()> status;
  std::function<NodeFigures()> figures;
  std::function<NodeLoad()> load;
  std::function<Result<LogIndex>(MembershipChange)> change_members;
  std::function<BackupExport*()> backup;
  std::function<void(uint64_t delay_ms, uint64_t for_ms)> hold_back;
  std::function<ClockFigures()> clock;
};

// Adds the cluster service.
void RegisterClusterService(state_machine::Registry& registry, ClusterSources sources);

// Why a node that is not ready is not, in a sentence; empty when it is.
std::string WhyNotReady(const NodeStatus& status);

}  // namespace holdfast::node
