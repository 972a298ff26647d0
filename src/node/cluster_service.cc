#include "src/node/cluster_service.h"

#include <cinttypes>
#include <cstdio>

#include "holdfast/cluster.pb.h"
#include "src/base/behaviour.h"
#include "src/base/logging.h"
#include "src/base/utc_text.h"
#include "src/node/tcp_socket.h"

namespace holdfast::node {
namespace {

using namespace holdfast::cluster;  // NOLINT: the messages of this one service.

HealthReply::State StateOf(const NodeStatus& status) {
  if (!status.live) return HealthReply::stuck;
  if (status.stopping) return HealthReply::stopping;
  if (status.ready) return HealthReply::ready;
  return status.founded ? HealthReply::no_quorum : HealthReply::founding;
}

void Fill(const NodeStatus& status, HealthReply* reply) {
  reply->set_status(StateOf(status));
  reply->set_node(status.id.value);
  reply->set_leader(status.leader.value);
  reply->set_is_live(status.live);
  reply->set_is_ready(reply->status() == HealthReply::ready);
  reply->set_reason(WhyNotReady(status));
}

void Fill(const metrics::Distribution& from, LoadReply::Latencies* out) {
  for (size_t i = 0; i <= from.bounds.size(); ++i) {
    if (i < from.bounds.size()) out->add_upper_us(from.bounds[i]);
    out->add_count(from.counts[i]);
  }
}

// host:port, as the peer link dials it.
std::string WhyNoAddress(const std::string& address) {
  if (IsHostAndPort(address)) return "";
  return "must be host:port, where the others reach the node: that of its cluster.members";
}

ClockReply::Status ToReply(clock::Status status) {
  switch (status) {
    case clock::Status::kSynchronised: return ClockReply::synchronised;
    case clock::Status::kHoldover: return ClockReply::holdover;
    case clock::Status::kUnsynchronised: break;
  }
  return ClockReply::unsynchronised;
}

void Fill(const ClockSource& from, int64_t wall_offset_us, ClockReply::Source* out) {
  out->set_kind(from.kind == ClockSource::Kind::kOwn    ? ClockReply::own
                : from.kind == ClockSource::Kind::kPeer ? ClockReply::peer
                                                        : ClockReply::server);
  out->set_node(from.node.value);
  out->set_server(from.server);
  out->set_heard(from.heard);
  if (from.heard) {
    out->set_offset_us(from.claim.offset_us - wall_offset_us);
    out->set_error_us(from.claim.error_us);
    out->set_delay_us(from.delay_us);
  }
  out->set_falseticker(from.is_false);
  out->set_samples(from.samples);
  out->set_refused(from.refused);
  out->set_problem(from.problem);
  out->set_says(ToReply(from.says));
}

class ClusterService : public state_machine::Service {
 public:
  explicit ClusterService(ClusterSources sources) : sources_(std::move(sources)) {}

  Result<void> Health(const HealthRequest&, HealthReply* reply) const {
    Fill(sources_.status(), reply);
    return {};
  }

  Result<void> Ready(const ReadyRequest&, HealthReply* reply) const {
    Fill(sources_.status(), reply);
    return {};
  }

  Result<void> Live(const LiveRequest&, LiveReply* reply) const {
    const NodeStatus status = sources_.status();
    reply->set_status(status.live ? LiveReply::live : LiveReply::stuck);
    reply->set_node(status.id.value);
    return {};
  }

  Result<void> Status(const StatusRequest&, StatusReply* reply) const {
    const NodeStatus status = sources_.status();
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
    reply->set_reason(WhyNotReady(status));
    reply->set_ready(reply->reason().empty());
    for (const NodeStatus::Peer& peer : status.peers) {
      StatusReply::Peer* out = reply->add_peers();
      out->set_node(peer.id.value);
      out->set_match(peer.match.value);
      out->set_learner(!peer.voter);
      out->set_heard(peer.heard);
      out->set_rejoining(peer.rejoining);
      out->set_address(peer.address);
      out->set_release_behaviour(peer.behaviour_newest);
      out->set_release(peer.release);
    }
    reply->set_version(ThisProgram().release);
    reply->set_behaviour(status.behaviour);
    reply->set_behaviour_newest(ThisProgram().newest);
    reply->set_first(status.first.value);
    reply->set_leader_changes(status.leader_changes);
    reply->set_waiting_writes(status.waiting_writes);
    reply->set_waiting_reads(status.waiting_reads);
    reply->set_apply_backlog(status.apply_backlog);
    reply->set_stopping(status.stopping);
    const NodeFigures figures = sources_.figures();
    reply->set_checkpoint(figures.checkpoint.value);
    reply->set_checkpoint_age_ms(figures.checkpoint_age_ms);
    reply->set_delta_rows(figures.delta_rows);
    reply->set_log_bytes(figures.log_bytes);
    reply->set_store_bytes(figures.store_bytes);
    reply->set_disk_free_bytes(figures.disk_free_bytes);
    reply->set_memory_bytes(figures.memory_bytes);
    reply->set_uptime_ms(figures.uptime_us / 1'000);
    reply->set_rejoining(status.rejoining);
    reply->set_disk_full(status.disk_full);
    reply->set_restarts(status.restarts);
    reply->set_membership(status.membership.value);
    reply->set_learner(!status.voter);
    return {};
  }

  Result<void> Leader(const LeaderRequest&, LeaderReply* reply) const {
    const NodeStatus status = sources_.status();
    reply->set_leader(status.leader.value);
    reply->set_term(status.term.value);
    reply->set_is_me(status.role == raft::Role::kLeader);
    return {};
  }

  Result<void> Load(const LoadRequest&, LoadReply* reply) const {
    const NodeStatus status = sources_.status();
    const NodeLoad load = sources_.load();
    reply->set_node(status.id.value);
    reply->set_uptime_us(sources_.figures().uptime_us);
    reply->set_writes(load.writes);
    reply->set_reads(load.reads);
    reply->set_errors(load.errors);
    reply->set_applied_requests(load.applied_requests);
    reply->set_committed(status.committed.value);
    Fill(load.write_us, reply->mutable_write());
    Fill(load.read_us, reply->mutable_read());
    Fill(load.log_sync_us, reply->mutable_log_sync());
    return {};
  }

  Result<void> ChangeMembers(const ChangeMembersRequest& request, ChangeMembersReply* reply) const {
    MembershipChange change;
    change.node = NodeId(request.node());
    switch (request.change()) {
      case ChangeMembersRequest::add:
        change.kind = MembershipChange::Kind::kAdd;
        if (auto why = WhyNoAddress(request.address()); !why.empty()) {
          return Fail(InvalidArgument("address", why));
        }
        change.address = request.address();
        break;
      case ChangeMembersRequest::promote: change.kind = MembershipChange::Kind::kPromote; break;
      case ChangeMembersRequest::remove: change.kind = MembershipChange::Kind::kRemove; break;
      default: return Fail(InvalidArgument("change", "must be add, promote or remove"));
    }
    auto changed = sources_.change_members(std::move(change));
    if (!changed) return Fail(changed.error());
    reply->set_membership(changed->value);
    return {};
  }

  Result<void> LogLevels(const LogLevelsRequest& request, LogLevelsReply* reply) const {
    if (!request.level().empty()) {
      auto levels = logging::ParseLevels(request.level(), logging::CurrentLevels());
      if (!levels) return Fail(InvalidArgument("level", levels.error().message));
      logging::SetLevels(*levels);
      logging::Info(Component::kServer, "the log's levels were changed by a call",
                    {{"level", request.level()}});
    }
    for (const auto& [component, level] : logging::CurrentLevels()) {
      (*reply->mutable_levels())[ToString(component)] = ToString(level);
    }
    return {};
  }

  Result<void> HoldBack(const HoldBackRequest& request, HoldBackReply* reply) const {
    sources_.hold_back(request.delay_ms(), request.for_ms());
    reply->set_leads(sources_.status().role == raft::Role::kLeader);
    if (request.delay_ms() > 0 && !reply->leads()) {
      logging::Warn(Component::kNode, "held back on purpose: what is committed is applied later",
                    {{"delay_ms", std::to_string(request.delay_ms())},
                     {"for_ms", std::to_string(request.for_ms())}});
    }
    return {};
  }

  Result<void> Clock(const ClockRequest&, ClockReply* reply) const {
    Fill(sources_.clock(), reply);
    return {};
  }

  Result<void> BeginBackup(const BeginBackupRequest& request, BeginBackupReply* reply) const {
    return sources_.backup()->Begin(request, sources_.status(), reply);
  }

  Result<void> ReadBackup(const ReadBackupRequest& request, ReadBackupReply* reply) const {
    return sources_.backup()->Read(request, reply);
  }

  Result<void> EndBackup(const EndBackupRequest& request, EndBackupReply* /*reply*/) const {
    sources_.backup()->End(request.session());
    return {};
  }

 private:
  ClusterSources sources_;
};

}  // namespace

std::string WhyNotReady(const NodeStatus& status) {
  if (!status.live) return "the node's main loop has not run for a long time";
  if (status.stopping) return "the node is stopping";
  if (status.ready) return "";
  if (!status.founded) return "the cluster is new and " + status.waiting;
  if (status.rejoining && !status.waiting.empty()) {
    return "this node has lost its data and " + status.waiting + ": all others must run";
  }
  if (status.leader.value == 0) return "no leader is known: is a majority of the nodes running?";
  if (!status.caught_up) return "this node has yet to catch up with the log";
  return "nothing was heard of the leader, node " + status.leader.ToString() + ", for " +
         std::to_string(status.silent_ms) + " ms";
}

void Fill(const ClockFigures& figures, ClockReply* reply) {
  const ClockReport& report = figures.report;
  const clock::Estimate now = report.knowledge.At(figures.elapsed_us);
  reply->set_node(figures.node.value);
  reply->set_status(ToReply(now.status));
  reply->set_reason(ClockKeeper::Reason(report, figures.elapsed_us));
  if (now.agreed()) {
    reply->set_now(UtcText(now.now_us, 6));
    reply->set_now_us(now.now_us);
    reply->set_earliest_us(now.bounds.earliest_us);
    reply->set_latest_us(now.bounds.latest_us);
    reply->set_error_us(now.error_us());
    reply->set_offset_us(now.now_us - figures.wall_us);
    if (report.last_stamp_us != 0) reply->set_log_ahead_us(report.last_stamp_us - now.now_us);
  }
  reply->set_heard(static_cast<uint32_t>(report.knowledge.heard()));
  reply->set_needed(static_cast<uint32_t>(report.knowledge.needed()));
  if (const auto agreed_us = report.knowledge.agreed_us()) {
    reply->set_agreed_ms_ago(
        static_cast<uint64_t>(std::max<int64_t>(figures.elapsed_us - *agreed_us, 0)) / 1'000);
  }
  uint32_t falsetickers = 0;
  for (const ClockSource& source : report.sources) {
    falsetickers += source.is_false ? 1 : 0;
    Fill(source, figures.wall_us - figures.elapsed_us, reply->add_sources());
  }
  reply->set_falsetickers(falsetickers);
  reply->set_sent(report.sent);
  reply->set_received(report.received);
  reply->set_work_us(report.work_us);
  reply->set_hand_overs(report.hand_overs);
}

void RegisterClusterService(state_machine::Registry& registry, ClusterSources sources) {
  registry.Add("holdfast.cluster.Cluster", std::make_unique<ClusterService>(std::move(sources)))
      .Stateless("Health", &ClusterService::Health)
      .Stateless("Live", &ClusterService::Live)
      .Stateless("Ready", &ClusterService::Ready)
      .Stateless("Status", &ClusterService::Status)
      .Stateless("Leader", &ClusterService::Leader)
      .Stateless("Load", &ClusterService::Load)
      .Stateless("LogLevels", &ClusterService::LogLevels)
      .Stateless("ChangeMembers", &ClusterService::ChangeMembers)
      .Stateless("HoldBack", &ClusterService::HoldBack)
      .Stateless("Clock", &ClusterService::Clock)
      .Stateless("BeginBackup", &ClusterService::BeginBackup)
      .Stateless("ReadBackup", &ClusterService::ReadBackup)
      .Stateless("EndBackup", &ClusterService::EndBackup);
}

}  // namespace holdfast::node
