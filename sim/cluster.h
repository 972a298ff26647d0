// A simulated cluster: whole nodes, as they ship but for their sockets and their RocksDB, over
// simulated disks, links and clocks.
//
// Each node has a machine. It lives from Start until it crashes; what it holds in memory goes with
// that life, and its disk goes on. Some machines are there for nodes that are added later.
// Everything of a node runs through Run, which drops what belongs to an earlier life, keeps what a
// paused node cannot do yet, and has the checker look at the node afterwards.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/checker.h"
#include "sim/clock_judge.h"
#include "sim/executor.h"
#include "sim/file_base.h"
#include "sim/holdings.h"
#include "sim/network.h"
#include "sim/world.h"
#include "src/base/file_system_faulty.h"
#include "src/node/node.h"
#include "src/node/node_state.h"

namespace holdfast::sim {

struct ClusterOptions {
  size_t nodes = 3;   // That found it.
  size_t spares = 0;  // Machines for others.
  uint64_t seed = 1;
  uint32_t election_timeout_ms = 400;
  uint32_t heartbeat_ms = 50;
  size_t checkpoint_rows = 200;
  uint64_t checkpoint_interval_ms = 5'000;
  uint64_t keep_entries = 100;  // Of the log, behind a checkpoint.
  uint64_t segment_bytes = 1 << 20;
  bool exact_clocks = false;  // See Checker.
  bool kept_clocks = false;   // Somebody keeps the wall clocks: they do not drift.
  node::ClockOptions clock;
};

class Cluster {
 public:
  Cluster(World& world, ClusterOptions options);
  ~Cluster();
  Cluster(const Cluster&) = delete;

  size_t size() const { return machines_.size(); }  // Spares included.
  Checker& checker() { return checker_; }
  Network& network() { return network_; }
  const ClusterOptions& options() const { return options_; }

  bool IsUp(NodeId node) const { return At(node).life != nullptr; }
  NodeId Leader() const;  // Who takes itself for it, in the highest term; 0: nobody.
  node::NodeStatus Status(NodeId node) const { return At(node).life->node->status(); }
  node::NodeState& State(NodeId node) { return *At(node).life->state; }
  AskNode Asking(NodeId node);  // Of the state that it has at the time.

  static constexpr int64_t kEpochUs = 1'700'000'000'000'000;  // Of all clocks at the beginning.

  // --- Members
  static std::string Address(NodeId node) { return "10.0.0." + node.ToString() + ":7000"; }
  // By the leader's word; none: nobody leads.
  std::optional<raft::Membership> Members() const;
  // Prepares a machine with an empty folder for a node that is to be added, and starts it.
  void Commission(NodeId node);
  // It is to be replaced, and stays off.
  void TakeOff(NodeId node);
  void HealAll() { heals_ = true; }  // Even who was off for good comes back.
  // It is removed: whatever it still does, nobody cares for it any more.
  void Retire(NodeId node);
  bool IsInUse(NodeId node) const { return At(node).use == Use::kInUse; }
  bool IsRetired(NodeId node) const { return At(node).use == Use::kRetired; }
  bool IsLost(NodeId node) const { return At(node).lost || At(node).rotten; }
  // As `holdfast members` asks a node. False: no such change while so many disks are lost. `done`
  // is called at most once, and not when that life ends first.
  bool ChangeMembers(NodeId node, const node::MembershipChange& change,
                     std::function<void(Result<LogIndex>)> done);

  // --- Faults
  void Start(NodeId node);   // No-op when it runs.
  void Revive(NodeId node);  // If it is in use, and not off for good.
  void Crash(NodeId node);   // Its machine loses power: what is not synced is lost, or torn.
  void Kill(NodeId node);    // Only the process ends.
  // The power fails within the n-th change of its disk from now.
  void CutPower(NodeId node, uint64_t nth);
  void FailSync(NodeId node, uint64_t nth);
  void FailWrite(NodeId node, uint64_t nth);
  void Pause(NodeId node, uint64_t ms);
  // For so long its disk has less room than the node keeps free.
  void FillDisk(NodeId node, uint64_t ms);
  // Nobody has founded the cluster, and the members cannot agree: the operator removes all folders.
  void BeginAnew();
  bool founded() const { return founded_ != 0; }
  // A bit of a file of its flips. Where that is noticed the node stops, or does not start, and the
  // operator gives it a new disk. Only while a majority keeps theirs.
  void Rot(NodeId node);
  // Its disk is lost, with all that it held. Only while a majority keeps theirs.
  bool Wipe(NodeId node);
  void SetDisk(NodeId node, uint64_t min_us, uint64_t max_us);
  void Heal(NodeId node);  // What was planned for its disk does not happen; a pause ends.
  void JumpClock(NodeId node, int64_t by_ms);
  void SetDrift(NodeId node, int64_t ppm);
  // Its wall clock is off by so much, or it tells everybody something else each time: until the
  // next story, and not when everything has healed.
  enum class Story { kTruth, kOff, kAnything };
  void TellStory(NodeId node, Story story, int64_t off_us = 0);
  const ClockJudge& clock_judge() const { return clock_judge_; }
  // What a node that is up says about the time.
  clock::Estimate ClockOf(NodeId node) const;

  // `done` is called at most once; never when that life of the node ends first.
  void Call(NodeId node, const std::string& method, const google::protobuf::Message& request,
            const node::CallOptions& options, const std::function<void(node::Reply)>& done);

  // All members run, follow one leader, and have applied all that is committed.
  bool Converged() const;
  std::string Describe() const;
  uint64_t starts() const { return starts_; }
  uint64_t installs() const { return installs_; }

 private:
  class Clock;
  class Link;
  struct Life {
    std::shared_ptr<Executor> loop, apply, reads, background;
    std::unique_ptr<node::NodeState> state;
    std::unique_ptr<Link> link;
    std::unique_ptr<node::Node> node;
    const FileBase* base = nullptr;
    LogIndex seen;       // Applied, as last looked at.
    bool full = false;   // Says that its disk is ...
    LogIndex full_last;  // ... since its log ended here ...
    Term full_term;      // ... in this term.
    bool writing = false;
    LogIndex membership;           // That it goes by, as last looked at.
    std::optional<LogIndex> left;  // It is removed by it; up to where it had committed then.
  };
  enum class Use { kSpare, kInUse, kRetired };
  struct Machine {
    NodeId id;
    Use use = Use::kSpare;
    bool off = false;             // For good; see TakeOff.
    std::vector<NodeId> members;  // As its folder was begun with.
    std::unique_ptr<FaultyFileSystem> files;
    std::unique_ptr<Clock> clock;
    std::shared_ptr<Life> life;
    uint64_t lives = 0;
    bool paused = false;
    std::deque<std::pair<std::weak_ptr<Life>, std::function<void()>>> kept;  // While paused.
    uint64_t disk_min_us = 50;
    uint64_t disk_max_us = 800;
    uint64_t full_until_us = 0;
    bool rotten = false;                     // A bit of its files has flipped.
    bool lost = false;                       // Wiped, and not caught up yet.
    std::vector<Holdings> held;              // Of disks that were lost ...
    std::optional<Holdings> holds;           // ... and of this one, while it is down ...
    std::vector<raft::Membership> proposed;  // ... as are memberships in its log.
    std::vector<raft::Membership> asked;     // Of this life, as far as it has not answered.
  };

  Machine& At(NodeId node) { return *machines_[node.value - 1]; }
  const Machine& At(NodeId node) const { return *machines_[node.value - 1]; }
  // Everything that a life does.
  void Run(NodeId node, const std::weak_ptr<Life>& life, std::function<void()> action);
  void Observe(Machine& machine);
  void WriteLater(Machine& machine);
  void GoOn(Machine& machine);
  static void LetGo(Life& life);
  void Drop(NodeId node, bool killed);
  static uint64_t Changes(const Life& life);
  void ObserveApplied(Machine& machine, Term term);
  void ObserveMembership(Machine& machine);
  void ObserveClock(Machine& machine);
  // What a node tells a client leaves it.
  void Answers(Machine& machine, const state_machine::Method& method,
               const node::CallOptions& options, const node::Reply& reply);
  bool Holds(NodeId node, LogIndex index, Term term) const;
  // All memberships that may yet elect a leader, and those that were proposed.
  std::vector<raft::Membership> Memberships() const;
  // Whether so many disks more may be lost, of its voters.
  bool IsSafe(const raft::Membership& membership, size_t more) const;
  bool MayLose(const Machine& machine) const;
  void ReplaceDisk(Machine& machine);
  // What is to be known of a disk when it is lost, and of a life when it ends.
  void NoteDisk(Machine& machine);
  void NoteLife(Machine& machine);
  void End(Machine& machine, bool has_reason, const std::string& why);
  Result<void> Open(Machine& machine, const std::shared_ptr<Life>& life);

  World& world_;
  const ClusterOptions options_;
  Checker checker_;
  ClockJudge clock_judge_;
  Network network_;
  std::vector<std::unique_ptr<Machine>> machines_;
  uint64_t founded_ = 0;  // The cluster's name, once any node has founded it.
  uint64_t starts_ = 0;
  uint64_t installs_ = 0;
  bool heals_ = false;  // Who is off comes back.
};

}  // namespace holdfast::sim
