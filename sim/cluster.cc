#include "sim/cluster.h"

#include <cerrno>

#include "src/base/testing/stopped.h"
#include "src/state_machine/requests_service.h"

namespace holdfast::sim {
namespace {

constexpr char kFolder[] = "/data";
constexpr char kDatabase[] = "/data/store/db";
constexpr int64_t kEpochUs = 1'700'000'000'000'000;
constexpr uint64_t kDiskReserveBytes = 512 << 20;
constexpr uint64_t kFreeBytes = uint64_t{1} << 40;

std::string Name(NodeId node) { return "node " + node.ToString(); }

}  // namespace

// A machine's clocks: their pace is off by some millionths, and the wall clock is set at times.
class Cluster::Clock final : public holdfast::Clock {
 public:
  explicit Clock(const World& world) : world_(world) {}

  uint64_t MonotonicMs() const override { return static_cast<uint64_t>(ElapsedUs()) / 1000 + 1; }
  int64_t WallUs() const override { return kEpochUs + ElapsedUs() + offset_us_; }

  void SetDrift(int64_t ppm) {
    elapsed_us_ = ElapsedUs();
    since_us_ = world_.events.now_us();
    ppm_ = ppm;
  }
  void Jump(int64_t by_us) { offset_us_ += by_us; }

 private:
  int64_t ElapsedUs() const {
    const auto passed = static_cast<int64_t>(world_.events.now_us() - since_us_);
    return elapsed_us_ + passed + passed * ppm_ / 1'000'000;
  }

  const World& world_;
  uint64_t since_us_ = 0;
  int64_t elapsed_us_ = 0;  // Up to then.
  int64_t ppm_ = 0;
  int64_t offset_us_ = 0;
};

class Cluster::Link final : public node::PeerLink {
 public:
  Link(Network& network, NodeId self) : network_(network), self_(self) {}
  bool Send(NodeId to, PeerFrame frame) override {
    return network_.Send(self_, to, std::move(frame));
  }
  // All are within reach of all; who is not a member is not listened to.
  void SetPeers(const std::map<NodeId, std::string>& /*peers*/) override {}

 private:
  Network& network_;
  const NodeId self_;
};

Cluster::Cluster(World& world, Checker& checker, ClusterOptions options)
    : world_(world),
      checker_(checker),
      options_(options),
      network_(world, options.nodes,
               [this](NodeId node, std::function<void(node::PeerHandler&)> action) {
                 const std::weak_ptr<Life> life = At(node).life;
                 Run(node, life,
                     [life, action = std::move(action)] { action(*life.lock()->node); });
               }) {
  for (uint64_t id = 1; id <= options.nodes; ++id) {
    auto member = std::make_unique<Member>();
    member->id = NodeId(id);
    member->files = std::make_unique<FaultyFileSystem>(FaultyOptions{.seed = world.random.Next()});
    member->clock = std::make_unique<Clock>(world);
    members_.push_back(std::move(member));
  }
}

// None of them does, or is looked at, any more: a look may throw.
Cluster::~Cluster() {
  std::vector<std::shared_ptr<Life>> lives;
  for (auto& member : members_) {
    if (member->life) lives.push_back(std::exchange(member->life, nullptr));
  }
  for (const auto& life : lives) LetGo(*life);
}

void Cluster::LetGo(Life& life) {
  for (auto& executor : {life.loop, life.apply, life.reads, life.background}) executor->Drop();
  life.state->log().Abandon();
}

void Cluster::Run(NodeId node, const std::weak_ptr<Life>& life, std::function<void()> action) {
  Member& member = At(node);
  const std::shared_ptr<Life> alive = life.lock();
  if (!alive || alive != member.life) return;
  if (member.paused) {
    member.kept.emplace_back(life, std::move(action));
    return;
  }
  const uint64_t faults = member.files->faults();
  try {
    action();
    if (member.life == alive) Observe(member);
  } catch (const testing::Stopped& stopped) {
    End(member, member.files->faults() > faults, stopped.what());
  }
}

// A node has stopped by itself: its disk must have failed it just now.
void Cluster::End(Member& member, bool has_reason, const std::string& why) {
  Require(has_reason || member.rotten, Name(member.id) + " stopped: " + why);
  world_.Trace(Name(member.id) + " stopped: " + why);
  Crash(member.id);
  if (!has_reason) ReplaceDisk(member);
}

void Cluster::Observe(Member& member) {
  Life& life = *member.life;
  const node::Leadership leadership = life.node->Leadership();
  if (leadership.leader == member.id) checker_.Leads(member.id, leadership.term);
  const LogIndex applied = life.state->machine().applied();
  if (applied != life.seen) {
    Require(applied == life.seen.Next(), Name(member.id) + " went from entry " +
                                             life.seen.ToString() + " to " + applied.ToString());
    life.seen = applied;
    const wal::Entry entry = life.state->log().Read(applied);
    checker_.Applied(member.id, applied, entry.term,
                     entry.type == wal::EntryType::kCommand ? *entry.payload : std::string(),
                     life.state->machine().position().digest);
  }
  const node::NodeStatus status = life.node->status();
  if (!std::exchange(life.full, status.disk_full)) {
    life.full_last = status.last;
    // Who stands for election then may win it, of this very term.
    const uint64_t stands = status.role == raft::Role::kCandidate ? 1 : 0;
    life.full_term = Term(status.term.value - stands);
  }
  // But for a new leader's first entry it takes nothing into its log.
  Require(!life.full || status.last.value - std::min(life.full_last, status.last).value <=
                            status.term.value - life.full_term.value,
          Name(member.id) + " has no room and goes on writing, up to " + status.last.ToString());
  const node::Founding& founding = life.state->founding();
  if (founding.founded()) {
    const uint64_t cluster = founding.identity().cluster();
    if (founded_ == 0) founded_ = cluster;
    Require(founded_ == cluster, Name(member.id) + " belongs to a second cluster");
  }
  if (member.lost) {
    if (status.founded && !status.rejoining && !founding.rejoining()) {
      world_.Trace(Name(member.id) + " has caught up with its new disk");
      member.lost = false;
    }
  }
  WriteLater(member);
}

// The log's writer: what it finds when its turn comes goes to the disk together.
void Cluster::WriteLater(Member& member) {
  if (member.life->writing) return;
  member.life->writing = true;
  const std::weak_ptr<Life> life = member.life;
  const NodeId node = member.id;
  world_.events.After(world_.random.Between(member.disk_min_us, member.disk_max_us),
                      [this, node, life] {
                        Run(node, life, [this, node] {
                          At(node).life->writing = false;  // Observe has it look again.
                          At(node).life->state->log().WritePending();
                        });
                      });
}

Result<void> Cluster::Open(Member& member, const std::shared_ptr<Life>& life) {
  node::NodeStateOptions options;
  options.id = member.id;
  for (const auto& each : members_) options.members.push_back(each->id);
  options.folder = kFolder;
  options.incarnation = world_.random.Next();
  options.log.threaded = false;
  options.log.salt = world_.random.Next() | 1;
  options.log.segment_bytes = options_.segment_bytes;
  options.store.checkpoint_rows = options_.checkpoint_rows;
  options.database = kDatabase;
  options.open_base = [&member, raw = life.get()]() -> Result<std::unique_ptr<store::Base>> {
    auto base = FileBase::Open(*member.files, kDatabase);
    if (!base) return Fail(base.error());
    raw->base = base->get();
    return std::unique_ptr<store::Base>(std::move(*base));
  };
  options.add_services = [](state_machine::Registry& registry,
                            const std::unique_ptr<state_machine::Machine>& machine) {
    RegisterServices(registry);
    state_machine::RegisterRequestsService(
        registry, [&machine](const state_machine::Method& method, const std::string& key) {
          return machine->StoredReply(method, "", key);
        });
  };
  const std::weak_ptr<Life> weak = life;
  auto state = node::NodeState::Open(*member.files, options, [weak, &member](wal::Ticket ticket) {
    const auto alive = weak.lock();
    if (alive && alive == member.life && alive->node) alive->node->LogDurable(ticket);
  });
  if (!state) return Fail(state.error());
  life->state = std::move(*state);
  return {};
}

void Cluster::Start(NodeId node) {
  Member& member = At(node);
  if (member.life) return;
  ++starts_;
  auto life = std::make_shared<Life>();
  const std::weak_ptr<Life> weak = life;
  const auto executor = [&](uint64_t min_us, uint64_t max_us) {
    return std::make_shared<Executor>(
        world_,
        [this, node, weak](const std::function<void()>& action) { Run(node, weak, action); },
        min_us, max_us);
  };
  life->loop = executor(1, 20);
  life->apply = executor(5, 100);
  life->reads = executor(5, 100);
  life->background = executor(500, 20'000);
  member.kept.clear();
  const uint64_t faults = member.files->faults();
  try {
    if (auto opened = Open(member, life); !opened) throw testing::Stopped(opened.error().message);
  } catch (const testing::Stopped& stopped) {
    const bool has_reason = member.files->faults() > faults;
    Require(has_reason || member.rotten, Name(node) + " cannot start: " + stopped.what());
    world_.Trace(Name(node) + " cannot start: " + stopped.what());
    if (life->state) life->state->log().Abandon();
    life.reset();
    member.files->Crash();
    if (!has_reason) ReplaceDisk(member);
    return;
  }
  life->seen = life->state->machine().applied();
  checker_.Stands(node, life->seen, life->state->machine().position().digest);
  world_.Trace(Name(node) + " starts at entry " + life->seen.ToString());

  node::NodeOptions options;
  for (const auto& each : members_) {
    options.members.push_back(each->id);
    options.addresses[each->id] = Name(each->id);
  }
  options.checkpoint_interval_ms = options_.checkpoint_interval_ms;
  options.retention.entries = options_.keep_entries;
  options.disk_reserve_bytes = kDiskReserveBytes;
  options.lifetime = world_.random.Next();
  options.restarts = static_cast<uint32_t>(member.lives++);
  options.raft.id = node;
  options.raft.election_timeout_ms = options_.election_timeout_ms;
  options.raft.heartbeat_ms = options_.heartbeat_ms;
  options.raft.seed = static_cast<uint32_t>(world_.random.Next());
  node::NodeState& state = *life->state;
  life->link = std::make_unique<Link>(network_, node);
  life->node = std::make_unique<node::Node>(
      options,
      node::Node::Parts{
          *member.clock, state.machine(), state.store(), state.log(), state.founding(), *life->loop,
          *life->apply, *life->reads, *life->background, *member.files, kFolder,
          [base = life->base](const std::string& folder) { return base->Export(folder); }},
      node::Node::Endings{[](const std::string& why) { throw testing::Stopped(why); },
                          [this, node, weak] {
                            ++installs_;
                            world_.events.After(1'000, [this, node, weak] {
                              if (weak.expired() || weak.lock() != At(node).life) return;
                              world_.Trace(Name(node) + " starts anew with a checkpoint");
                              Kill(node);
                              Start(node);
                            });
                          }});
  member.life = std::move(life);
  Run(node, weak, [this, node] { At(node).life->node->Start(*At(node).life->link); });
  network_.Up(node);
}

void Cluster::Kill(NodeId node) { Drop(node, true); }

void Cluster::Drop(NodeId node, bool killed) {
  Member& member = At(node);
  if (!member.life) return;
  network_.Down(node, killed);
  const std::shared_ptr<Life> life = std::exchange(member.life, nullptr);
  member.paused = false;
  member.kept.clear();
  LetGo(*life);
}

void Cluster::Crash(NodeId node) {
  if (At(node).life) world_.Trace(Name(node) + " crashes");
  Drop(node, false);
  At(node).files->Crash();
}

void Cluster::CutPower(NodeId node, uint64_t nth) {
  if (!IsUp(node)) return;
  At(node).files->CutPower(nth);
}

void Cluster::FailSync(NodeId node, uint64_t nth) {
  if (!IsUp(node)) return;
  At(node).files->FailSync(nth, EIO);
}

void Cluster::FailWrite(NodeId node, uint64_t nth) {
  if (!IsUp(node)) return;
  At(node).files->FailWrite(nth, ENOSPC);
}

void Cluster::FillDisk(NodeId node, uint64_t ms) {
  Member& member = At(node);
  world_.Trace(Name(node) + " has no room on its disk for " + std::to_string(ms) + " ms");
  member.files->SetFreeBytes(0);
  member.full_until_us = std::max(member.full_until_us, world_.events.now_us() + ms * 1000);
  world_.events.At(member.full_until_us, [this, node] {
    Member& full = At(node);
    if (world_.events.now_us() >= full.full_until_us) full.files->SetFreeBytes(kFreeBytes);
  });
}

void Cluster::Pause(NodeId node, uint64_t ms) {
  Member& member = At(node);
  if (!member.life || member.paused) return;
  world_.Trace(Name(node) + " is paused for " + std::to_string(ms) + " ms");
  member.paused = true;
  world_.events.After(ms * 1000, [this, node, life = std::weak_ptr(member.life)] {
    if (life.expired() || life.lock() != At(node).life) return;
    GoOn(At(node));
  });
}

void Cluster::GoOn(Member& member) {
  if (!member.paused) return;
  world_.Trace(Name(member.id) + " goes on");
  member.paused = false;
  auto kept = std::exchange(member.kept, {});
  for (auto& [life, action] : kept) Run(member.id, life, std::move(action));
}

void Cluster::Heal(NodeId node) {
  Member& member = At(node);
  member.files->ForgetFaults();
  member.files->SetFreeBytes(kFreeBytes);
  GoOn(member);
}

size_t Cluster::LostDisks() const {
  size_t lost = 0;
  for (const auto& member : members_) lost += member->lost || member->rotten ? 1 : 0;
  return lost;
}

bool Cluster::Wipe(NodeId node) {
  Member& member = At(node);
  if (!MayLose(member)) return false;
  Drop(node, false);
  world_.Trace(Name(node) + " loses its disk");
  ReplaceDisk(member);
  return true;
}

bool Cluster::MayLose(const Member& member) const {
  return member.lost || member.rotten || 2 * (LostDisks() + 1) < size();
}

void Cluster::ReplaceDisk(Member& member) {
  member.files = std::make_unique<FaultyFileSystem>(FaultyOptions{.seed = world_.random.Next()});
  member.rotten = false;
  member.lost = true;
}

void Cluster::BeginAnew() {
  Require(founded_ == 0, "liveness: no leader, though the cluster was founded:" + Describe());
  world_.Trace("the cluster cannot be founded; all begin anew");
  for (auto& member : members_) {
    Drop(member->id, false);
    ReplaceDisk(*member);
    member->lost = false;
    Start(member->id);
  }
}

void Cluster::Rot(NodeId node) {
  Member& member = At(node);
  const std::vector<std::string> files = member.files->Files();
  if (files.empty() || !MayLose(member)) return;
  const std::string& file = files[world_.random.Between(0, files.size() - 1)];
  const std::string bytes = *member.files->Contents(file);
  // Most of a log's file is zeros that nobody has written yet.
  const size_t end = bytes.find_last_not_of('\0') + 1;
  if (end == 0) return;
  const uint64_t offset = world_.random.Between(0, end - 1);
  world_.Trace(Name(node) + " has a flipped bit in " + file + " at " + std::to_string(offset));
  member.files->FlipBit(file, offset, static_cast<uint32_t>(world_.random.Between(0, 7)));
  member.rotten = true;
}

void Cluster::SetDisk(NodeId node, uint64_t min_us, uint64_t max_us) {
  At(node).disk_min_us = min_us;
  At(node).disk_max_us = max_us;
}

void Cluster::JumpClock(NodeId node, int64_t by_ms) { At(node).clock->Jump(by_ms * 1000); }
void Cluster::SetDrift(NodeId node, int64_t ppm) { At(node).clock->SetDrift(ppm); }

NodeId Cluster::Leader() const {
  NodeId leader;
  Term term;
  for (const auto& member : members_) {
    if (!member->life) continue;
    const node::Leadership says = member->life->node->Leadership();
    if (says.leader != member->id || says.term < term) continue;
    leader = member->id;
    term = says.term;
  }
  return leader;
}

void Cluster::Call(NodeId node, const std::string& method, const google::protobuf::Message& request,
                   const node::CallOptions& options, const std::function<void(node::Reply)>& done) {
  Member& member = At(node);
  if (!member.life) return;
  const std::weak_ptr<Life> life = member.life;
  const auto* found = member.life->state->registry().Find(method);
  HOLDFAST_CHECK(found != nullptr, "no method " + method);
  Require(found->validate(request).has_value(), "the workload made an invalid " + method);
  Run(node, life, [this, node, life, found, bytes = request.SerializeAsString(), options, done] {
    At(node).life->node->Call(*found, bytes, options, [this, life, done](node::Reply reply) {
      if (life.expired()) return;
      // On its way to the client it is not lost, whatever becomes of the node.
      auto on_its_way = std::make_shared<node::Reply>(std::move(reply));
      world_.events.After(world_.random.Between(20, 300),
                          [done, on_its_way] { done(std::move(*on_its_way)); });
    });
  });
}

// A follower may keep entries behind the leader's last that were never agreed on: nothing but a new
// entry in their place takes them away.
bool Cluster::Converged() const {
  const NodeId leader = Leader();
  if (leader.value == 0) return false;
  const LogIndex last = At(leader).life->node->status().last;
  for (const auto& member : members_) {
    if (!member->life || member->paused) return false;
    const node::NodeStatus status = member->life->node->status();
    if (!status.ready || status.rejoining || status.leader != leader || status.applied != last) {
      return false;
    }
  }
  return true;
}

std::string Cluster::Describe() const {
  std::string text;
  for (const auto& member : members_) {
    text += "\n  " + Name(member->id) + ": ";
    if (!member->life) {
      text += "down";
      continue;
    }
    const node::NodeStatus status = member->life->node->status();
    text += (status.role == raft::Role::kLeader ? "leads" : "follows " + status.leader.ToString()) +
            ", term " + status.term.ToString() + ", last " + status.last.ToString() +
            ", committed " + status.committed.ToString() + ", applied " +
            status.applied.ToString() + (status.rejoining ? ", rejoining" : "") +
            (status.founded ? "" : ", not founded") + (member->paused ? ", paused" : "");
  }
  return text;
}

}  // namespace holdfast::sim
