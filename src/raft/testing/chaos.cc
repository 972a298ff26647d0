#include "src/raft/testing/chaos.h"

namespace holdfast::raft::sim {
namespace {

// How long the group may take to agree once nothing is wrong any more ...
constexpr uint64_t kConvergenceElectionTimeoutsMax = 20;
// ... beside sending what a server lacks: a window of entries takes at most a round trip of 4 ms,
// a write that is under way and one of its own.
constexpr uint64_t kWindowMs = 8;

class Chaos {
 public:
  Chaos(uint64_t seed, bool trace) : draw_(seed), group_(MakeOptions(seed, trace)) {}

  ChaosReport Run() {
    const uint64_t faults_ms = draw_.Between(5'000, 30'000);
    ClientLater();
    FaultLater();
    CheckpointLater();
    if (changes_) ChangeLater();
    group_.RunFor(faults_ms);
    const uint64_t converged_ms = HealAndConverge();
    group_.history().CheckNothingLost(group_.membership());
    return {group_.history().acknowledged(),
            group_.reads_served(),
            group_.reads_refused(),
            group_.history().terms_led(),
            group_.installs(),
            group_.rejoins(),
            group_.changes(),
            group_.events().steps(),
            group_.events().now_ms(),
            converged_ms};
  }

 private:
  GroupOptions MakeOptions(uint64_t seed, bool trace) {
    GroupOptions options;
    const uint64_t kind = draw_.Between(0, 9);
    options.nodes = kind == 0 ? 1 : kind <= 5 ? 3 : kind <= 8 ? 5 : 7;
    // Half of the runs change who the members are.
    changes_ = options.nodes > 1 && draw_.OneIn(2);
    if (changes_) options.founders = draw_.Between(1, options.nodes);
    options.seed = seed * 7919 + 1;
    static constexpr uint32_t kInFlight[] = {4, 64, 64, 1000};
    options.engine.entries_in_flight_max = kInFlight[draw_.Between(0, 3)];
    if (draw_.OneIn(4)) {
      options.engine.election_timeout_ms = 150;
      options.engine.heartbeat_ms = 30;
    }
    // Often so little that whoever was away needs a checkpoint.
    options.retention.entries = draw_.OneIn(3) ? 1'000'000 : draw_.Between(1, 200);
    if (draw_.OneIn(3)) options.retention.held_bytes = draw_.Between(1, 2'000);
    checkpoint_ms_max_ = draw_.OneIn(4) ? 3'000 : 200;
    options.trace = trace;
    in_flight_ = options.engine.entries_in_flight_max;
    election_ms_ = options.engine.election_timeout_ms;
    client_us_max_ = draw_.OneIn(2) ? 10'000 : 40'000;
    burst_max_ = draw_.OneIn(2) ? 3 : 20;
    fault_ms_max_ = draw_.OneIn(3) ? 5 * election_ms_ : draw_.OneIn(2) ? 2 * election_ms_ : 600;
    return options;
  }

  void ClientLater() {
    group_.events().After(draw_.Between(client_us_max_ / 10, client_us_max_), [this] {
      if (healing_) return;
      for (uint64_t id = 1; id <= group_.size(); ++id) {
        if (!group_.IsLeader(NodeId(id))) continue;  // More than one may think so.
        for (uint64_t n = draw_.Between(0, burst_max_); n > 0 && group_.IsLeader(NodeId(id)); --n) {
          group_.Propose(NodeId(id), std::to_string(++payload_));
        }
        if (draw_.OneIn(2)) group_.RequestRead(NodeId(id));
      }
      ClientLater();
    });
  }

  void FaultLater() {
    group_.events().After(draw_.Between(10, fault_ms_max_) * 1000, [this] {
      if (healing_) return;
      Fault();
      FaultLater();
    });
  }

  void CheckpointLater() {
    group_.events().After(draw_.Between(10, checkpoint_ms_max_) * 1000, [this] {
      const NodeId node = AnyNode();
      group_.Checkpoint(node);
      CheckpointLater();
    });
  }

  void ChangeLater() {
    group_.events().After(draw_.Between(50, 2'000) * 1000, [this] {
      if (healing_) return;
      const auto change = static_cast<Group::Change>(draw_.Between(0, 2));
      const NodeId node = AnyNode();
      // Not while the leader may still take for well who has just lost its disk: two failures.
      if (group_.events().now_ms() > wiped_ms_ + 2 * election_ms_) {
        group_.ChangeMembership(change, node);
      }
      ChangeLater();
    });
  }

  NodeId AnyNode() { return NodeId(draw_.Between(1, group_.size())); }
  NodeId LeaderOrAny() {
    const NodeId leader = group_.Leader();
    return leader.value != 0 && !draw_.OneIn(4) ? leader : AnyNode();
  }
  Network::Cut AnyCut() { return draw_.OneIn(2) ? Network::Cut::kBreak : Network::Cut::kStall; }
  template <class Do>
  void EachLink(Do action) {
    for (uint64_t from = 1; from <= group_.size(); ++from) {
      for (uint64_t to = 1; to <= group_.size(); ++to) {
        if (from != to) action(NodeId(from), NodeId(to));
      }
    }
  }

  void Fault() {
    switch (draw_.Between(0, 10)) {
      case 0:
        group_.Trace("the network heals");
        group_.network().RestoreAll();
        break;
      case 1: Partition(); break;
      case 2:
      case 3: IsolateLeader(); break;
      case 4: CutSomeLinks(); break;
      case 5: BadLinks(); break;
      case 6: CrashSome(); break;
      case 7: DieInTheMiddle(); break;
      case 8: SlowDisks(); break;
      case 10: LoseADisk(); break;
      case 9:
        if (const NodeId leader = group_.Leader(); leader.value != 0) {
          group_.Trace("node " + leader.ToString() + " is asked to hand over");
          group_.HandOver(leader);
        }
        break;
    }
  }

  void Partition() {
    group_.Trace("a partition");
    group_.network().RestoreAll();
    std::vector<uint64_t> side;
    for (size_t i = 0; i <= group_.size(); ++i) side.push_back(draw_.Between(0, 2));
    const Network::Cut how = AnyCut();
    EachLink([&](NodeId from, NodeId to) {
      if (side[from.value] != side[to.value]) group_.network().CutLink(from, to, how);
    });
  }

  void IsolateLeader() {
    const NodeId node = LeaderOrAny();
    const auto direction = static_cast<Network::Direction>(draw_.Between(0, 2));
    group_.Trace("node " + node.ToString() + " is isolated, direction " +
                 std::to_string(static_cast<int>(direction)));
    if (draw_.OneIn(2)) group_.network().RestoreAll();
    group_.network().Isolate(node, direction, AnyCut());
  }

  void CutSomeLinks() {
    group_.Trace("some links are cut");
    EachLink([&](NodeId from, NodeId to) {
      if (draw_.Percent(30)) {
        group_.network().CutLink(from, to, AnyCut());
      } else {
        group_.network().RestoreLink(from, to);
      }
    });
  }

  void BadLinks() {
    group_.Trace("slow and lossy links");
    const uint64_t loss = draw_.Between(0, 20);
    EachLink([&](NodeId from, NodeId to) {
      if (draw_.OneIn(3)) group_.network().SetLoss(from, to, loss);
      if (draw_.OneIn(3)) {
        group_.network().SetDelay(from, to, 200, draw_.Between(1, election_ms_ / 2) * 1000);
      }
    });
  }

  void CrashSome() {
    const uint64_t count = draw_.OneIn(4) ? draw_.Between(1, group_.size()) : 1;
    for (uint64_t i = 0; i < count; ++i) {
      const NodeId node = i == 0 ? LeaderOrAny() : AnyNode();
      group_.Crash(node);
      RestartLater(node);
    }
  }

  void DieInTheMiddle() {
    const NodeId node = LeaderOrAny();
    if (!group_.IsUp(node)) return;
    group_.DieSoon(node, draw_.Between(1, 20));
    RestartLater(node);
  }

  // No more than a minority at once: what a majority has lost is lost.
  void LoseADisk() {
    const NodeId node = LeaderOrAny();
    if (!group_.IsMember(node) || group_.IsChanging()) return;
    const size_t voters = group_.VotersOf(node);
    if (!group_.IsRejoining(node) && 2 * (group_.rejoining() + 1) >= voters) return;
    wiped_ms_ = group_.events().now_ms();
    group_.Wipe(node);
    RestartLater(node);
  }

  void RestartLater(NodeId node) {
    const uint64_t ms = draw_.Between(1, draw_.OneIn(2) ? 300 : 3'000);
    group_.events().After(ms * 1000, [this, node] { group_.Restart(node); });
  }

  void SlowDisks() {
    group_.Trace("disks change pace");
    for (uint64_t id = 1; id <= group_.size(); ++id) {
      if (!draw_.OneIn(2)) continue;
      switch (draw_.Between(0, 3)) {
        case 0:
        case 1: group_.SetDisk(NodeId(id), 200, 2'000); break;
        case 2: group_.SetDisk(NodeId(id), 10'000, election_ms_ * 500); break;
        case 3: group_.SetDisk(NodeId(id), election_ms_ * 500, election_ms_ * 3'000); break;
      }
    }
  }

  uint64_t HealAndConverge() {
    group_.Trace("everything heals");
    healing_ = true;
    group_.network().RestoreAll();
    for (uint64_t id = 1; id <= group_.size(); ++id) {
      group_.DieSoon(NodeId(id), 0);
      group_.SetDisk(NodeId(id), 200, 2'000);
      group_.Restart(NodeId(id));
    }
    const uint64_t healed_ms = group_.events().now_ms();
    const uint64_t converged_ms_max =
        kConvergenceElectionTimeoutsMax * election_ms_ + Lag() / in_flight_ * kWindowMs;
    std::optional<Replica::Position> write;
    NodeId proposer;
    uint64_t acknowledged_before = 0;
    const bool converged = group_.RunUntil(converged_ms_max, [&] {
      const NodeId leader = group_.Leader();
      const bool lost =
          write && (!group_.IsLeader(proposer) || group_.replica(proposer).term() != write->term);
      if (leader.value != 0 && (!write || lost)) {
        proposer = leader;
        acknowledged_before = group_.acknowledged_by(leader);
        write = group_.Propose(leader, "final");
      }
      return write && group_.acknowledged_by(proposer) > acknowledged_before &&
             group_.replica(leader.value == 0 ? proposer : leader).committed() >= write->index &&
             group_.Converged();
    });
    Require(converged, "liveness: not converged " + std::to_string(converged_ms_max) +
                           " ms after healing:" + group_.Describe());
    return group_.events().now_ms() - healed_ms;
  }

  // How many entries the server that is furthest behind lacks.
  uint64_t Lag() {
    uint64_t shortest = UINT64_MAX;
    uint64_t longest = 0;
    for (uint64_t id = 1; id <= group_.size(); ++id) {
      if (!group_.IsMember(NodeId(id))) continue;
      const uint64_t last = group_.log(NodeId(id)).last().value;
      shortest = std::min(shortest, last);
      longest = std::max(longest, last);
    }
    return longest - shortest;
  }

  Random draw_;  // What happens; the group has its own for how long things take.
  uint64_t election_ms_ = 0;
  uint64_t in_flight_ = 0;
  uint64_t client_us_max_ = 0;
  uint64_t burst_max_ = 0;
  uint64_t fault_ms_max_ = 0;
  uint64_t checkpoint_ms_max_ = 0;
  bool changes_ = false;  // Of the membership.
  Group group_;
  uint64_t payload_ = 0;
  uint64_t wiped_ms_ = 0;  // When a disk was last lost.
  bool healing_ = false;
};

}  // namespace

ChaosReport RunChaos(uint64_t seed, bool trace) { return Chaos(seed, trace).Run(); }

}  // namespace holdfast::raft::sim
