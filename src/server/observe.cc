#include "src/server/observe.h"

#include "src/base/behaviour.h"
#include "src/clock/clock.h"
#include "src/metrics/process.h"

namespace holdfast {
namespace {

uint64_t NowMs() { return SystemClock().MonotonicMs(); }

double Value(uint64_t value) { return static_cast<double>(value); }

}  // namespace

Observer::Observer(std::string folder)
    : folder_(std::move(folder)),
      start_ms_(NowMs()),
      start_wall_seconds_(static_cast<double>(SystemClock().WallUs()) * 1e-6) {
  registry_.Add([this](metrics::Sampler& out) { Sample(out); });
}

node::NodeStatus Observer::Status() const {
  node::NodeStatus status = parts_.node->status();
  status.stopping = stopping_;
  status.ready = status.ready && !stopping_;
  return status;
}

node::NodeFigures Observer::Figures() const {
  const node::ApplyMetrics& apply = parts_.node->apply_metrics();
  const uint64_t now_ms = NowMs();
  node::NodeFigures figures;
  figures.checkpoint = LogIndex(apply.checkpoint_index.value());
  figures.checkpoint_age_ms = now_ms - std::max(apply.checkpoint_ms.value(), start_ms_);
  figures.delta_rows = apply.delta_rows.value();
  figures.log_bytes = metrics::FolderBytes(folder_ + "/log");
  figures.store_bytes = metrics::FolderBytes(folder_ + "/store");
  figures.disk_free_bytes = metrics::DiskFreeBytes(folder_);
  figures.memory_bytes = metrics::ResidentBytes();
  figures.uptime_us = (now_ms - start_ms_) * 1'000;
  return figures;
}

node::NodeLoad Observer::Load() const {
  api::MeteredDispatcher::Totals totals;
  for (const api::MeteredDispatcher* door : parts_.doors) door->AddTo(&totals);
  node::NodeLoad load;
  load.writes = totals.writes;
  load.reads = totals.reads;
  load.errors = totals.errors;
  load.write_us = totals.write_us;
  load.read_us = totals.read_us;
  load.applied_requests = parts_.node->apply_metrics().entry_requests.Read().sum;
  load.log_sync_us = parts_.log->metrics().sync_us.Read();
  return load;
}

node::ClockFigures Observer::Clock() const {
  const SystemClock clock;
  node::ClockFigures figures;
  figures.node = parts_.node->status().id;
  figures.report = parts_.node->clock_report();
  figures.elapsed_us = clock.ElapsedUs();
  figures.wall_us = clock.WallUs();
  return figures;
}

void Observer::Sample(metrics::Sampler& out) const {
  SampleConsensus(out);
  SampleClock(out);
  SampleStorage(out);
  for (const api::MeteredDispatcher* door : parts_.doors) door->Sample(out);
  metrics::SampleProcess(out, start_wall_seconds_);
  out.Gauge("holdfast_uptime_seconds", "Since this process started",
            Value(NowMs() - start_ms_) / 1'000);
  out.Gauge("holdfast_build_info", "1, with the version as a label", 1,
            {{"version", ThisProgram().release}});
}

void Observer::SampleConsensus(metrics::Sampler& out) const {
  const node::NodeStatus status = Status();
  const bool leads = status.role == raft::Role::kLeader;
  out.Gauge("holdfast_ready", "1: this node can serve", status.ready ? 1 : 0);
  out.Gauge("holdfast_disk_full", "1: this node takes no writes until there is room on its disk",
            status.disk_full ? 1 : 0);
  out.Gauge("holdfast_is_leader", "1: this node leads", leads ? 1 : 0);
  out.Gauge("holdfast_leader_known", "1: this node knows a leader",
            status.leader.value != 0 ? 1 : 0);
  out.Counter("holdfast_leader_changes_total", "How often another leader became known here",
              Value(status.leader_changes));
  out.Gauge("holdfast_term", "Raft's term on this node", Value(status.term.value));
  out.Gauge("holdfast_log_first_index", "First log position on disk", Value(status.first.value));
  out.Gauge("holdfast_log_last_index", "Last log position of this node", Value(status.last.value));
  out.Gauge("holdfast_log_committed_index", "Last log position known to be agreed on",
            Value(status.committed.value));
  out.Gauge("holdfast_log_applied_index", "Last log position that this node's state holds",
            Value(status.applied.value));
  out.Gauge("holdfast_behaviour_version", "Of the behaviour that is in force here",
            Value(status.behaviour));
  out.Gauge("holdfast_waiting_writes", "Writes that wait to be proposed or forwarded",
            Value(status.waiting_writes));
  out.Gauge("holdfast_waiting_reads", "Reads that wait for a log position or for the leader",
            Value(status.waiting_reads));
  out.Gauge("holdfast_apply_backlog_entries", "Entries committed and handed over, not applied yet",
            Value(status.apply_backlog));
  if (leads) {
    for (const node::NodeStatus::Peer& peer : status.peers) {
      const metrics::Labels labels = {{"peer", peer.id.ToString()}};
      out.Gauge("holdfast_peer_match_index", "As leader: last log position durable at the peer",
                Value(peer.match.value), labels);
      out.Gauge("holdfast_peer_lag_entries", "As leader: entries that the peer lacks",
                Value(status.last.value - std::min(peer.match, status.last).value), labels);
    }
  }
  if (parts_.link == nullptr) return;
  for (const auto& [id, state] : parts_.link->States()) {
    const metrics::Labels labels = {{"peer", id.ToString()}};
    out.Gauge("holdfast_peer_connected", "1: the link to the peer stands", state.connected ? 1 : 0,
              labels);
    out.Gauge("holdfast_peer_queue_bytes", "Waiting to be sent to the peer",
              Value(state.queued_bytes), labels);
  }
}

void Observer::SampleClock(metrics::Sampler& out) const {
  const node::ClockFigures figures = Clock();
  const node::ClockReport& report = figures.report;
  const clock::Estimate now = report.knowledge.At(figures.elapsed_us);
  const auto seconds = [](int64_t us) { return static_cast<double>(us) * 1e-6; };
  const auto is = [&now](clock::Status status) { return now.status == status ? 1.0 : 0.0; };
  for (const clock::Status status :
       {clock::Status::kSynchronised, clock::Status::kHoldover, clock::Status::kUnsynchronised}) {
    out.Gauge("holdfast_clock_status", "1: this is what the node says of its time", is(status),
              {{"status", ToString(status)}});
  }
  if (now.agreed()) {
    out.Gauge("holdfast_clock_offset_seconds",
              "How far the time that this node goes by is ahead of its machine's clock",
              seconds(now.now_us - figures.wall_us));
    out.Gauge("holdfast_clock_error_bound_seconds", "By how much that time may be off",
              seconds(now.error_us()));
    if (report.last_stamp_us != 0) {
      out.Gauge("holdfast_clock_log_ahead_seconds",
                "How far the last timestamp of the log is ahead of that time",
                seconds(report.last_stamp_us - now.now_us));
    }
  }
  size_t falsetickers = 0;
  uint64_t samples = 0;
  uint64_t refused = 0;
  for (const node::ClockSource& source : report.sources) {
    falsetickers += source.is_false ? 1 : 0;
    samples += source.samples;
    refused += source.refused;
  }
  out.Gauge("holdfast_clock_heard", "Members' clocks that are heard, the own one included",
            Value(report.knowledge.heard()));
  out.Gauge("holdfast_clock_needed", "How many of them must agree",
            Value(report.knowledge.needed()));
  out.Gauge("holdfast_clock_falsetickers", "Clocks that contradict what is agreed on",
            Value(falsetickers));
  out.Counter("holdfast_clock_samples_total", "Good answers to questions for the time",
              Value(samples));
  out.Counter("holdfast_clock_samples_refused_total", "Questions without a good answer",
              Value(refused));
  out.Counter("holdfast_clock_messages_total", "For the sake of time", Value(report.sent),
              {{"direction", "sent"}});
  out.Counter("holdfast_clock_messages_total", "For the sake of time", Value(report.received),
              {{"direction", "received"}});
  out.Counter("holdfast_clock_work_seconds_total", "What that has cost this node's main loop",
              seconds(static_cast<int64_t>(report.work_us)));
  out.Counter("holdfast_clock_hand_overs_total",
              "How often leadership was given to a node that knew the time",
              Value(report.hand_overs));
}

void Observer::SampleStorage(metrics::Sampler& out) const {
  const wal::LogMetrics& log = parts_.log->metrics();
  const node::ApplyMetrics& apply = parts_.node->apply_metrics();
  const node::NodeFigures figures = Figures();
  const metrics::Distribution checkpoints = apply.checkpoint_us.Read();
  out.Latency("holdfast_log_sync_seconds", "One write of the log with its fdatasync",
              log.sync_us.Read());
  out.Sizes("holdfast_log_group_records", "Records of the log made durable by one fdatasync",
            log.group_records.Read());
  out.Counter("holdfast_log_written_bytes_total", "Bytes written to the log",
              Value(log.written_bytes.value()));
  out.Gauge("holdfast_log_disk_bytes", "Files of the log", Value(figures.log_bytes));
  out.Latency("holdfast_apply_seconds", "Applying one log entry", apply.entry_us.Read());
  out.Sizes("holdfast_entry_requests", "Requests of one log entry", apply.entry_requests.Read());
  out.Counter("holdfast_checkpoints_total", "Checkpoints written", Value(checkpoints.count()));
  out.Latency("holdfast_checkpoint_seconds", "Writing one checkpoint", checkpoints);
  out.Counter("holdfast_checkpoint_rows_total", "Rows written by checkpoints",
              Value(apply.checkpoint_rows.value()));
  out.Gauge("holdfast_checkpoint_index", "Log position that the last checkpoint holds",
            Value(figures.checkpoint.value));
  out.Gauge("holdfast_checkpoint_age_seconds", "Since the last checkpoint, or the start",
            Value(figures.checkpoint_age_ms) / 1'000);
  out.Gauge("holdfast_store_delta_rows", "Changed rows that no checkpoint holds yet",
            Value(figures.delta_rows));
  out.Gauge("holdfast_store_delta_bytes", "About the memory that these rows take",
            Value(apply.delta_bytes.value()));
  out.Counter("holdfast_scrub_bytes_total", "Of this node's own files, read once more and good",
              Value(parts_.scrubbed->bytes.value()));
  out.Counter("holdfast_scrub_rounds_total", "How often all of them were",
              Value(parts_.scrubbed->rounds.value()));
  const store::RocksDbBase::Figures base = parts_.base->figures();
  out.Gauge("holdfast_store_runs_bytes", "RocksDB's live files", Value(base.runs_bytes));
  out.Gauge("holdfast_store_block_cache_bytes", "RocksDB's block cache in memory",
            Value(base.block_cache_bytes));
  out.Gauge("holdfast_store_readers_bytes", "RocksDB's indexes and filters in memory",
            Value(base.readers_bytes));
  out.Gauge("holdfast_store_level0_files", "Runs that no compaction has merged yet",
            Value(base.level0_files));
  out.Gauge("holdfast_store_compaction_bytes", "Waiting to be compacted",
            Value(base.compaction_bytes));
  out.Gauge("holdfast_store_disk_bytes", "Files of the store", Value(figures.store_bytes));
  out.Gauge("holdfast_disk_free_bytes", "Left on the file system of the data folder",
            Value(figures.disk_free_bytes));
}

}  // namespace holdfast
