// What a whole node tells about itself: the figures behind /metrics, status and load, gathered from
// its parts at the moment somebody asks.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "src/api/metered.h"
#include "src/node/cluster_service.h"
#include "src/node/tcp_peer_link.h"
#include "src/server/scrub.h"
#include "src/store/rocksdb/rocksdb_base.h"
#include "src/wal/segment_log.h"

namespace holdfast {

// Any thread, from the moment the parts are set until they go; they outlive the last question.
class Observer {
 public:
  explicit Observer(std::string folder);

  // Set before the API serves, and not changed afterwards.
  struct Parts {
    const node::Node* node = nullptr;
    const wal::SegmentLog* log = nullptr;
    const store::RocksDbBase* base = nullptr;
    const node::TcpPeerLink* link = nullptr;  // Null: a cluster of one.
    const ScrubMetrics* scrubbed = nullptr;
    std::vector<const api::MeteredDispatcher*> doors;
  };
  void Watch(Parts parts) { parts_ = std::move(parts); }
  // From now on the node says that it is not ready.
  void Stopping() { stopping_ = true; }
  void AddSource(metrics::Registry::Source source) { registry_.Add(std::move(source)); }

  node::NodeStatus Status() const;
  node::NodeFigures Figures() const;
  node::NodeLoad Load() const;
  node::ClockFigures Clock() const;
  std::string MetricsText() const { return registry_.Text(); }

 private:
  void Sample(metrics::Sampler& out) const;
  void SampleConsensus(metrics::Sampler& out) const;
  void SampleStorage(metrics::Sampler& out) const;
  void SampleClock(metrics::Sampler& out) const;

  const std::string folder_;
  const uint64_t start_ms_;  // Monotonic.
  const double start_wall_seconds_;
  std::atomic<bool> stopping_{false};
  Parts parts_;
  metrics::Registry registry_;
};

}  // namespace holdfast
