#include "sim/run.h"

#include "sim/checker.h"
#include "sim/cluster.h"
#include "sim/near_caches.h"
#include "sim/operator.h"
#include "sim/workload.h"
#include "src/base/reached.h"

namespace holdfast::sim {
namespace {

// How long a cluster may take to come together once nothing is wrong any more: some elections, and
// a checkpoint for whoever needs one.
constexpr uint64_t kElectionsMax = 20;
constexpr uint64_t kCatchUpMsMax = 15'000;
constexpr uint64_t kFoundingMsMax = 5'000;

class Simulation {
 public:
  Simulation(const Recipe& recipe, uint64_t seed, bool trace)
      : recipe_(recipe),
        world_(seed * 0x9e3779b97f4a7c15u + 1, trace),
        cluster_(world_, MakeOptions()),
        checker_(cluster_.checker()) {}

  Report Run() {
    for (uint64_t id = 1; id <= cluster_.size(); ++id) {
      const uint64_t drift = Draw("drift_ppm");
      cluster_.SetDrift(NodeId(id), world_.random.OneIn(2) ? static_cast<int64_t>(drift)
                                                           : -static_cast<int64_t>(drift));
      cluster_.JumpClock(NodeId(id), static_cast<int64_t>(Draw("clock_offset_ms")));
      cluster_.Revive(NodeId(id));
    }
    // Half of the runs meet their faults from the first moment on.
    const bool founded_first = world_.random.OneIn(2);
    if (founded_first) {
      Require(Until(kFoundingMsMax, [this] { return cluster_.Converged(); }),
              "liveness: the cluster was not founded:" + cluster_.Describe());
    }
    WorkloadOptions options;
    options.clients = Draw("clients");
    options.accounts = Draw("accounts");
    options.writes_max = Draw("writes");
    options.pause_us_max = Draw("pause_us");
    options.patience_ms_max = Draw("patience_ms");
    options.shares = {Draw("ledger"),  Draw("coordination"), Draw("queues"), Draw("cache"),
                      Draw("todo"),    Draw("execute"),      Draw("orders"), Draw("rounds"),
                      Draw("journal"), Draw("chat")};
    Workload workload(world_, cluster_, checker_, options);
    near_caches_ = std::make_unique<NearCaches>(world_, cluster_, checker_, Draw("near_caches"));
    PlanFaults();
    PlanLies();
    Operate();
    world_.events.RunUntil(world_.events.now_us() + Draw("duration_ms") * 1000);
    report_.converged_ms = Heal(workload);
    Compare();
    return Finish(workload);
  }

 private:
  uint64_t Draw(const char* key) { return recipe_.Draw(key, world_.random); }

  ClusterOptions MakeOptions() {
    ClusterOptions options;
    options.nodes = Draw("nodes");
    options.spares = Draw("spares");
    options.election_timeout_ms = static_cast<uint32_t>(Draw("election_timeout_ms"));
    options.heartbeat_ms = options.election_timeout_ms / 8;
    options.checkpoint_rows = Draw("checkpoint_rows");
    options.checkpoint_interval_ms = Draw("checkpoint_interval_ms");
    options.keep_entries = Draw("keep_entries");
    options.segment_bytes = Draw("segment_kib") * 1024;
    options.segment_bytes -= options.segment_bytes % 4096;
    options.exact_clocks = recipe_.values.at("drift_ppm").to == 0;
    options.kept_clocks = Draw("kept_clocks") != 0;
    options.clock.sample_ms = Draw("clock_sample_ms");
    options.clock.own_error_ms = Draw("clock_error_ms");
    options.clock.error_ms_max = Draw("clock_limit_ms");
    options.clock.drift_ppm = std::max<uint64_t>(recipe_.values.at("drift_ppm").to, 1);
    return options;
  }

  // Who the members are changes only where there is somebody to change it.
  void Operate() {
    const uint64_t pause_ms = Draw("change_members_ms");
    if (pause_ms == 0) return;
    OperatorOptions options;
    options.pause_ms = pause_ms;
    options.voters = recipe_.values.at("voters");
    options.wipe_percent = Draw("wipe_at_change_percent");
    options.wipe_within_ms = Draw("wipe_within_ms");
    operator_ = std::make_unique<Operator>(world_, cluster_, options);
  }

  // --- Faults
  using Fault = void (Simulation::*)();

  void PlanFaults() {
    Plan("crash_ms", &Simulation::Crash);
    Plan("crash_all_ms", &Simulation::CrashAll);
    Plan("kill_ms", &Simulation::Kill);
    Plan("cut_power_ms", &Simulation::CutPower);
    Plan("fail_sync_ms", &Simulation::FailSync);
    Plan("fail_write_ms", &Simulation::FailWrite);
    Plan("fill_disk_ms", &Simulation::FillDisk);
    Plan("rot_ms", &Simulation::Rot);
    Plan("wipe_ms", &Simulation::Wipe);
    Plan("pause_node_ms", &Simulation::PauseNode);
    Plan("slow_disk_ms", &Simulation::SlowDisks);
    Plan("partition_ms", &Simulation::Partition);
    Plan("isolate_ms", &Simulation::Isolate);
    Plan("cut_links_ms", &Simulation::CutLinks);
    Plan("slow_links_ms", &Simulation::SlowLinks);
    Plan("break_link_ms", &Simulation::BreakLink);
    Plan("heal_network_ms", &Simulation::HealNetwork);
    Plan("jump_clock_ms", &Simulation::JumpClock);
    Plan("restart_removed_ms", &Simulation::RestartRemoved);
    ReviveLater();
  }

  void Plan(const char* key, Fault fault) {
    const uint64_t mean_ms = Draw(key);
    if (mean_ms != 0) Later(key, mean_ms, fault);
  }
  void Later(const char* key, uint64_t mean_ms, Fault fault) {
    world_.events.After(world_.random.Between(1, 2 * mean_ms) * 1000, [=, this] {
      if (healing_) return;
      ++report_.faults[key];
      (this->*fault)();
      Later(key, mean_ms, fault);
    });
  }

  // Whoever is down is started again, sooner or later.
  void ReviveLater() {
    world_.events.After(world_.random.Between(10, 1'000) * 1000, [this] {
      if (healing_) return;
      for (uint64_t id = 1; id <= cluster_.size(); ++id) {
        if (!cluster_.IsUp(NodeId(id)) && world_.random.OneIn(2)) cluster_.Revive(NodeId(id));
      }
      ReviveLater();
    });
  }

  // The same few nodes for the whole run, so that the others are a majority.
  void PlanLies() {
    const uint64_t founders = cluster_.options().nodes;
    const uint64_t most = std::min(Draw("liars"), (founders - 1) / 2);
    const uint64_t first = world_.random.Between(1, founders);
    for (uint64_t i = 0; i < most; ++i) liars_.push_back(NodeId((first + i - 1) % founders + 1));
    if (liars_.empty()) return;
    Lie();
    Plan("lie_ms", &Simulation::Lie);
  }
  void Lie() {
    const NodeId node = liars_[world_.random.Between(0, liars_.size() - 1)];
    const auto off_us = [this](uint64_t most_us) {
      return static_cast<int64_t>(world_.random.Between(0, 2 * most_us)) -
             static_cast<int64_t>(most_us);
    };
    const uint64_t near_us = 4'000 * cluster_.options().clock.own_error_ms;
    constexpr uint64_t kYearUs = uint64_t{365} * 24 * 3'600 * 1'000'000;
    switch (world_.random.Between(0, 3)) {
      case 0: cluster_.TellStory(node, Cluster::Story::kTruth); break;
      // So little that the others' claims meet it.
      case 1: cluster_.TellStory(node, Cluster::Story::kOff, off_us(near_us)); break;
      case 2: cluster_.TellStory(node, Cluster::Story::kOff, off_us(10 * kYearUs)); break;
      default: cluster_.TellStory(node, Cluster::Story::kAnything); break;
    }
  }

  NodeId AnyNode() {
    std::vector<NodeId> nodes;
    for (uint64_t id = 1; id <= cluster_.size(); ++id) {
      if (cluster_.IsInUse(NodeId(id))) nodes.push_back(NodeId(id));
    }
    return nodes[world_.random.Between(0, nodes.size() - 1)];
  }
  NodeId LeaderOrAny() {
    const NodeId leader = cluster_.Leader();
    return leader.value != 0 && !world_.random.OneIn(3) ? leader : AnyNode();
  }
  Network::Cut AnyCut() {
    return world_.random.OneIn(2) ? Network::Cut::kBreak : Network::Cut::kStall;
  }
  template <class Do>
  void EachLink(Do action) {
    for (uint64_t from = 1; from <= cluster_.size(); ++from) {
      for (uint64_t to = 1; to <= cluster_.size(); ++to) {
        if (from != to) action(NodeId(from), NodeId(to));
      }
    }
  }

  void Crash() { cluster_.Crash(LeaderOrAny()); }
  void CrashAll() {
    for (uint64_t id = 1; id <= cluster_.size(); ++id) cluster_.Crash(NodeId(id));
  }
  void Kill() { cluster_.Kill(LeaderOrAny()); }
  void CutPower() { cluster_.CutPower(LeaderOrAny(), world_.random.Between(1, 60)); }
  void FailSync() { cluster_.FailSync(LeaderOrAny(), world_.random.Between(1, 20)); }
  void FailWrite() { cluster_.FailWrite(LeaderOrAny(), world_.random.Between(1, 20)); }
  void FillDisk() { cluster_.FillDisk(LeaderOrAny(), world_.random.Between(100, 3'000)); }
  void Rot() { cluster_.Rot(LeaderOrAny()); }
  void Wipe() { cluster_.Wipe(LeaderOrAny()); }
  void PauseNode() {
    cluster_.Pause(LeaderOrAny(),
                   world_.random.Between(1, 4 * cluster_.options().election_timeout_ms));
  }
  void SlowDisks() {
    for (uint64_t id = 1; id <= cluster_.size(); ++id) {
      if (!world_.random.OneIn(2)) continue;
      const uint64_t election_us = cluster_.options().election_timeout_ms * 1000;
      switch (world_.random.Between(0, 3)) {
        case 0: cluster_.SetDisk(NodeId(id), 10'000, election_us / 2); break;
        case 1: cluster_.SetDisk(NodeId(id), election_us / 2, 3 * election_us); break;
        default: cluster_.SetDisk(NodeId(id), 50, Draw("disk_us")); break;
      }
    }
  }
  void Partition() {
    world_.Trace("a partition");
    std::vector<uint64_t> side;
    for (size_t i = 0; i <= cluster_.size(); ++i) side.push_back(world_.random.Between(0, 2));
    const Network::Cut how = AnyCut();
    cluster_.network().RestoreAll();
    EachLink([&](NodeId from, NodeId to) {
      if (side[from.value] != side[to.value]) cluster_.network().CutLink(from, to, how);
    });
  }
  void Isolate() {
    const NodeId node = LeaderOrAny();
    const uint64_t direction = world_.random.Between(0, 2);
    world_.Trace("node " + node.ToString() + " is isolated, direction " +
                 std::to_string(direction));
    const Network::Cut how = AnyCut();
    EachLink([&](NodeId from, NodeId to) {
      if ((from == node && direction != 1) || (to == node && direction != 2)) {
        cluster_.network().CutLink(from, to, how);
      }
    });
  }
  void CutLinks() {
    world_.Trace("some links are cut");
    EachLink([&](NodeId from, NodeId to) {
      if (world_.random.Percent(30)) {
        cluster_.network().CutLink(from, to, AnyCut());
      } else {
        cluster_.network().RestoreLink(from, to);
      }
    });
  }
  void SlowLinks() {
    EachLink([&](NodeId from, NodeId to) {
      if (!world_.random.OneIn(3)) return;
      const uint64_t longest = cluster_.options().election_timeout_ms * 500;
      cluster_.network().SetDelay(from, to, 100, world_.random.Between(1'000, longest));
    });
  }
  void BreakLink() {
    const NodeId from = AnyNode();
    const NodeId to = AnyNode();
    if (from != to) cluster_.network().BreakLink(from, to);
  }
  void HealNetwork() { cluster_.network().RestoreAll(); }
  void JumpClock() {
    const auto by_ms = static_cast<int64_t>(world_.random.Between(0, 120'000)) - 60'000;
    cluster_.JumpClock(AnyNode(), by_ms);
  }

  // With the folder that it had: it must find no way back in.
  void RestartRemoved() {
    const NodeId node(world_.random.Between(1, cluster_.size()));
    if (!cluster_.IsRetired(node) || cluster_.IsUp(node)) return;
    world_.Trace("node " + node.ToString() + " is started, though it was removed");
    cluster_.Start(node);
  }

  // --- The end
  // Who was removed may be the only one to know it.
  void StartAll() {
    const bool led = cluster_.Leader().value != 0;
    for (uint64_t id = 1; id <= cluster_.size(); ++id) {
      cluster_.Revive(NodeId(id));
      if (!led && cluster_.IsRetired(NodeId(id))) cluster_.Start(NodeId(id));
    }
  }
  std::vector<NodeId> Members() const {
    const auto members = cluster_.Members();
    return members ? members->All() : std::vector<NodeId>{};
  }
  bool Until(uint64_t ms, const std::function<bool()>& condition) {
    const uint64_t end_us = world_.events.now_us() + ms * 1000;
    while (!condition()) {
      if (world_.events.now_us() >= end_us) return false;
      world_.events.RunUntil(world_.events.now_us() + 1'000);
    }
    return true;
  }

  uint64_t Heal(Workload& workload) {
    world_.Trace("everything heals");
    healing_ = true;
    const uint64_t healed_ms = world_.events.now_ms();
    cluster_.network().RestoreAll();
    for (uint64_t id = 1; id <= cluster_.size(); ++id) {
      cluster_.SetDisk(NodeId(id), 50, 800);
      cluster_.Heal(NodeId(id));
    }
    cluster_.HealAll();
    if (operator_) operator_->Finish();
    StartAll();
    workload.Finish();
    near_caches_->Finish();
    if (!Until(kFoundingMsMax, [this] { return cluster_.founded(); })) {
      ++report_.faults["begin_anew_ms"];
      cluster_.BeginAnew();
    }
    const uint64_t ms_max = kElectionsMax * cluster_.options().election_timeout_ms + kCatchUpMsMax;
    const bool converged = Until(ms_max, [&] {
      StartAll();  // Whoever stops now has come upon a flipped bit, and has got a new disk.
      return workload.done() && cluster_.Converged();
    });
    Require(converged,
            "liveness: not level " + std::to_string(ms_max) +
                " ms after everything healed:" + cluster_.Describe() +
                (workload.done() ? "" : "\nand a client still waits:" + workload.Describe()));
    return world_.events.now_ms() - healed_ms;
  }

  // Every node's state against the models' and against one another's, row for row.
  void Compare() {
    const std::vector<NodeId> members = Members();
    checker_.Replay(cluster_.Asking(members.front()), cluster_.clock_judge().log_time_is_true());
    std::optional<std::vector<std::string>> first;
    for (NodeId id : members) {
      const state_machine::Position at = cluster_.State(id).machine().position();
      Require(at.applied == checker_.last(), "node " + id.ToString() + " ends at entry " +
                                                 at.applied.ToString() + ", and entry " +
                                                 checker_.last().ToString() + " was applied");
      checker_.Stands(id, at.applied, at.digest);
      CompareToModel(id);
      std::vector<std::string> rows = Rows(id);
      if (!first) first = rows;
      Require(*first == rows, "node " + id.ToString() + " holds other rows than others");
    }
  }

  std::vector<std::string> Rows(NodeId node) {
    store::Store& store = cluster_.State(node).store();
    std::vector<std::string> rows;
    absl::ReaderMutexLock lock(&store.mutex());
    store.ForEach([&rows](store::TableNumber number, std::string_view key, std::string_view row) {
      std::string text{static_cast<char>(number.service), static_cast<char>(number.table)};
      text.append(key).append(1, '\0').append(row);
      rows.push_back(std::move(text));
    });
    return rows;
  }

  void CompareToModel(NodeId node) {
    node::NodeState& state = cluster_.State(node);
    {
      absl::ReaderMutexLock lock(&state.store().mutex());
      for (const auto& [id, service] : state.registry().services()) {
        const auto broken = service->CheckInvariants();
        Require(!broken.has_value(), "node " + node.ToString() + ": " + broken.value_or(""));
      }
    }
    for (const Asked& asked : checker_.history().Everything()) {
      state_machine::Position at;
      const auto reply =
          state.machine().Read(*state.registry().Find(asked.method), *asked.request, &at);
      ReadRecord read;
      read.method = asked.method;
      read.request = asked.request->SerializeAsString();
      read.found = reply.has_value();
      if (reply) read.reply = *reply;
      const std::string difference = checker_.history().Difference(read);
      Require(difference.empty(), "node " + node.ToString() + " at the end " + difference);
    }
  }

  Report Finish(const Workload& workload) {
    report_.hash = world_.hash();
    report_.simulated_ms = world_.events.now_ms();
    report_.steps = world_.events.steps();
    report_.writes = checker_.writes();
    report_.reads = checker_.reads();
    report_.entries = checker_.last().value;
    report_.abandoned = workload.abandoned();
    report_.leaders = checker_.terms_led();
    report_.starts = cluster_.starts();
    report_.installs = cluster_.installs();
    if (operator_) {
      report_.faults["changed_members_ms"] = operator_->changes();
      report_.faults["refused_to_change_ms"] = operator_->refused();
    }
    report_.frames = cluster_.network().frames();
    report_.clock_looks = cluster_.clock_judge().looks();
    report_.clock_excused = cluster_.clock_judge().excused();
    report_.stamps_judged = cluster_.clock_judge().stamps();
    report_.true_logs = cluster_.clock_judge().log_time_is_true() ? 1 : 0;
    return report_;
  }

  const Recipe& recipe_;
  World world_;
  Cluster cluster_;
  Checker& checker_;
  std::unique_ptr<Operator> operator_;
  std::unique_ptr<NearCaches> near_caches_;
  std::vector<NodeId> liars_;
  Report report_;
  bool healing_ = false;
};

}  // namespace

Report Run(const Recipe& recipe, uint64_t seed, bool trace) {
  reached::Take();  // What this thread did before.
  Report report = Simulation(recipe, seed, trace).Run();
  report.reached = reached::Take();
  return report;
}

}  // namespace holdfast::sim
