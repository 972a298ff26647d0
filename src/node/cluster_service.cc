#include "src/node/cluster_service.h"

#include <cinttypes>
#include <cstdio>

#include "holdfast/cluster.pb.h"
#include "src/base/version.h"

namespace holdfast::node {
namespace {

using namespace holdfast::cluster;  // NOLINT: the messages of this one service.

class ClusterService : public state_machine::Service {
 public:
  explicit ClusterService(std::function<NodeStatus()> status) : status_(std::move(status)) {}

  Result<void> Health(const HealthRequest&, HealthReply* reply) const {
    const NodeStatus status = status_();
    reply->set_node(status.id.value);
    reply->set_leader(status.leader.value);
    reply->set_status(status.ready     ? HealthReply::ready
                      : status.founded ? HealthReply::no_quorum
                                       : HealthReply::founding);
    return {};
  }

  Result<void> Status(const StatusRequest&, StatusReply* reply) const {
    const NodeStatus status = status_();
    reply->set_node(status.id.value);
    reply->set_role(status.role == raft::Role::kLeader      ? StatusReply::leader
                    : status.role == raft::Role::kCandidate ? StatusReply::candidate
                                                            : StatusReply::follower);
    reply->set_leader_node(status.leader.value);
    reply->set_term(status.term.value);
    reply->set_last(status.last.value);
    reply->set_committed(status.committed.value);
    reply->set_applied(status.applied.value);
    char digest[17];
    std::snprintf(digest, sizeof(digest), "%016" PRIx64, status.digest);
    reply->set_digest(digest);
    reply->set_ready(status.ready);
    for (const NodeStatus::Peer& peer : status.peers) {
      StatusReply::Peer* out = reply->add_peers();
      out->set_node(peer.id.value);
      out->set_match(peer.match.value);
    }
    reply->set_version(kVersion);
    return {};
  }

  Result<void> Leader(const LeaderRequest&, LeaderReply* reply) const {
    const NodeStatus status = status_();
    reply->set_leader(status.leader.value);
    reply->set_term(status.term.value);
    reply->set_is_me(status.role == raft::Role::kLeader);
    return {};
  }

 private:
  std::function<NodeStatus()> status_;
};

}  // namespace

void RegisterClusterService(state_machine::Registry& registry, std::function<NodeStatus()> status) {
  registry.Add("holdfast.cluster.Cluster", std::make_unique<ClusterService>(std::move(status)))
      .Stateless("Health", &ClusterService::Health)
      .Stateless("Status", &ClusterService::Status)
      .Stateless("Leader", &ClusterService::Leader);
}

}  // namespace holdfast::node
