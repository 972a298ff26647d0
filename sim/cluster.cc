#include "sim/cluster.h"

#include <cerrno>

#include "holdfast/log.pb.h"
#include "sim/methods.h"
#include "src/base/testing/stopped.h"
#include "src/state_machine/requests_service.h"

namespace holdfast::sim {
namespace {

constexpr char kFolder[] = "/data";
constexpr char kDatabase[] = "/data/store/db";
constexpr uint64_t kDiskReserveBytes = 512 << 20;

std::string Name(NodeId node) { return "node " + node.ToString(); }

}  // namespace

// A machine's clocks: their pace is off by some millionths, and the wall clock is set at times.
class Cluster::Clock final : public holdfast::Clock {
 public:
  Clock(World& world, bool kept) : world_(world), kept_(kept) {}

  uint64_t MonotonicMs() const override { return static_cast<uint64_t>(ElapsedUs()) / 1000 + 1; }
  int64_t ElapsedUs() const override {
    const auto passed = static_cast<int64_t>(world_.events.now_us() - since_us_);
    return elapsed_us_ + passed + passed * ppm_ / 1'000'000;
  }
  int64_t WallUs() const override { return kEpochUs + TrueUs() + ErrorUs() + LieUs(); }

  void SetDrift(int64_t ppm) {
    elapsed_us_ = ElapsedUs();
    since_us_ = world_.events.now_us();
    ppm_ = ppm;
  }
  void Jump(int64_t by_us) { offset_us_ += by_us; }
  void Tell(Story story, int64_t off_us) {
    story_ = story;
    lie_us_ = off_us;
  }
  bool lies() const { return story_ != Story::kTruth; }
  // How far its wall clock is off, apart from lies.
  int64_t ErrorUs() const { return offset_us_ + (kept_ ? 0 : ElapsedUs() - TrueUs()); }

 private:
  int64_t TrueUs() const { return static_cast<int64_t>(world_.events.now_us()); }
  int64_t LieUs() const {
    if (story_ == Story::kTruth) return 0;
    if (story_ == Story::kOff) return lie_us_;
    return static_cast<int64_t>(world_.random.Between(0, 2'000'000)) - 1'000'000;
  }

  World& world_;
  const bool kept_;
  Story story_ = Story::kTruth;
  int64_t lie_us_ = 0;
  uint64_t since_us_ = 0;
  int64_t elapsed_us_ = 0;  // Up to then.
  int64_t ppm_ = 0;
  int64_t offset_us_ = 0;
};

class Cluster::Link final : public node::PeerLink {
 public:
  Link(Network& network, Checker& checker, NodeId self)
      : network_(network), checker_(checker), self_(self) {}
  bool Send(NodeId to, PeerFrame frame) override {
    const RaftMessage::RequestVoteResult& vote = frame.raft().request_vote_result();
    if (vote.granted() && !vote.pre_vote()) {
      checker_.Votes({self_, Term(vote.term()), LogIndex(frame.raft().membership())}, to);
    }
    return network_.Send(self_, to, std::move(frame));
  }
  void SetPeers(const std::map<NodeId, std::string>& peers) override {
    std::set<NodeId> nodes;
    for (const auto& [node, address] : peers) nodes.insert(node);
    network_.SetPeers(self_, nodes);
  }

 private:
  Network& network_;
  Checker& checker_;
  const NodeId self_;
};

Cluster::Cluster(World& world, ClusterOptions options)
    : world_(world),
      options_(options),
      checker_(
          world,
          [this](NodeId node, LogIndex index, Term term) { return Holds(node, index, term); },
          options.exact_clocks),
      clock_judge_(world, kEpochUs, options.clock),
      network_(world, options.nodes + options.spares,
               [this](NodeId node, std::function<void(node::PeerHandler&)> action) {
                 const std::weak_ptr<Life> life = At(node).life;
                 Run(node, life,
                     [life, action = std::move(action)] { action(*life.lock()->node); });
               }) {
  std::vector<NodeId> founders;
  for (uint64_t id = 1; id <= options.nodes; ++id) founders.push_back(NodeId(id));
  for (uint64_t id = 1; id <= options.nodes + options.spares; ++id) {
    auto machine = std::make_unique<Machine>();
    machine->id = NodeId(id);
    machine->files = std::make_unique<FaultyFileSystem>(FaultyOptions{.seed = world.random.Next()});
    machine->clock = std::make_unique<Clock>(world, options.kept_clocks);
    machine->use = id <= options.nodes ? Use::kInUse : Use::kSpare;
    machine->members = founders;
    machines_.push_back(std::move(machine));
  }
}

// None of them does, or is looked at, any more: a look may throw.
Cluster::~Cluster() {
  std::vector<std::shared_ptr<Life>> lives;
  for (auto& machine : machines_) {
    if (machine->life) lives.push_back(std::exchange(machine->life, nullptr));
  }
  for (const auto& life : lives) LetGo(*life);
}

void Cluster::LetGo(Life& life) {
  for (auto& executor : {life.loop, life.apply, life.reads, life.background}) executor->Drop();
  life.state->log().Abandon();
}

void Cluster::Run(NodeId node, const std::weak_ptr<Life>& life, std::function<void()> action) {
  Machine& machine = At(node);
  const std::shared_ptr<Life> alive = life.lock();
  if (!alive || alive != machine.life) return;
  if (machine.paused) {
    machine.kept.emplace_back(life, std::move(action));
    return;
  }
  const uint64_t faults = machine.files->faults();
  try {
    action();
    if (machine.life == alive) Observe(machine);
  } catch (const testing::Stopped& stopped) {
    End(machine, machine.files->faults() > faults, stopped.what());
  }
}

// A node has stopped by itself: it is no member any more, or its disk must have failed it just now.
void Cluster::End(Machine& machine, bool has_reason, const std::string& why) {
  const bool removed = machine.life->left && why.find("was removed") != std::string::npos;
  Require(has_reason || removed || machine.rotten, Name(machine.id) + " stopped: " + why);
  world_.Trace(Name(machine.id) + " stopped: " + why);
  Crash(machine.id);
  if (!has_reason && !removed) ReplaceDisk(machine);
}

void Cluster::Observe(Machine& machine) {
  Life& life = *machine.life;
  ObserveMembership(machine);
  const node::NodeStanding status = life.node->standing();
  if (status.role == raft::Role::kLeader && status.leader == machine.id) {
    checker_.Leads(machine.id, status.term, status.membership, life.state->log());
  }
  ObserveApplied(machine, status.term);
  if (!std::exchange(life.full, status.disk_full)) {
    life.full_last = status.last;
    // Who stands for election then may win it, of this very term.
    const uint64_t stands = status.role == raft::Role::kCandidate ? 1 : 0;
    life.full_term = Term(status.term.value - stands);
  }
  // But for a new leader's first entry, and who the members are, it takes nothing into its log.
  const uint64_t more = status.last.value - std::min(life.full_last, status.last).value;
  Require(!life.full || more <= status.term.value - life.full_term.value + Changes(life),
          Name(machine.id) + " has no room and goes on writing, up to " + status.last.ToString());
  const node::Founding& founding = life.state->founding();
  if (founding.founded()) {
    const uint64_t cluster = founding.identity().cluster();
    if (founded_ == 0) founded_ = cluster;
    Require(founded_ == cluster, Name(machine.id) + " belongs to a second cluster");
  }
  if (founding.rejoining()) machine.lost = true;
  const bool up_to_date =
      checker_.memberships().empty() || life.membership >= checker_.memberships().last().index;
  if (machine.lost && up_to_date && status.founded && !status.rejoining && !founding.rejoining()) {
    world_.Trace(Name(machine.id) + " has caught up with its new disk");
    machine.lost = false;
  }
  ObserveClock(machine);
  WriteLater(machine);
}

void Cluster::ObserveClock(Machine& machine) {
  for (const auto& each : machines_) {
    clock_judge_.IsOff(each->id, each->clock->ErrorUs(), each->clock->lies());
  }
  const node::NodeStanding status = machine.life->node->standing();
  machine.life->node->LookAtClock([&](const node::ClockReport& report) {
    const int64_t elapsed_us = machine.clock->ElapsedUs();
    clock_judge_.Look(machine.id, report, elapsed_us);
    if (status.role != raft::Role::kLeader) return;
    clock_judge_.LookAtStamps(machine.id, status.term, machine.life->state->log(),
                              report.knowledge.At(elapsed_us));
  });
}

// Of the membership, in the log since the disk has been full.
uint64_t Cluster::Changes(const Life& life) {
  const wal::Log& log = life.state->log();
  uint64_t changes = 0;
  if (!life.full) return changes;
  for (LogIndex i = std::max(log.first(), life.full_last.Next()); i <= log.last(); i = i.Next()) {
    changes += log.TypeAt(i) == wal::EntryType::kConfiguration ? 1 : 0;
  }
  return changes;
}

void Cluster::ObserveApplied(Machine& machine, Term term) {
  Life& life = *machine.life;
  const LogIndex applied = life.state->machine().applied();
  if (applied == life.seen) return;
  Require(applied == life.seen.Next(), Name(machine.id) + " went from entry " +
                                           life.seen.ToString() + " to " + applied.ToString());
  life.seen = applied;
  if (applied > checker_.last()) {
    const wal::Entry entry = life.state->log().Read(applied);
    const bool is_stamped = entry.type == wal::EntryType::kCommand && !entry.payload->empty();
    if (is_stamped) {
      clock_judge_.Stamped(applied, entry.term, Parsed<LogEntry>(*entry.payload).time_us());
    }
  }
  checker_.Applied(machine.id, term, applied, life.state->log().Read(applied),
                   life.state->machine().position().digest, Asking(machine.id));
}

AskNode Cluster::Asking(NodeId node) {
  return [this, node](const std::string& method, const google::protobuf::Message& request) {
    state_machine::Position at;
    const auto reply =
        State(node).machine().Read(*State(node).registry().Find(method), request, &at);
    return reply ? *reply : "";
  };
}

// The log's writer: what it finds when its turn comes goes to the disk together.
void Cluster::WriteLater(Machine& machine) {
  if (machine.life->writing) return;
  machine.life->writing = true;
  const std::weak_ptr<Life> life = machine.life;
  const NodeId node = machine.id;
  world_.events.After(world_.random.Between(machine.disk_min_us, machine.disk_max_us),
                      [this, node, life] {
                        Run(node, life, [this, node] {
                          At(node).life->writing = false;  // Observe has it look again.
                          At(node).life->state->log().WritePending();
                        });
                      });
}

Result<void> Cluster::Open(Machine& machine, const std::shared_ptr<Life>& life) {
  node::NodeStateOptions options;
  options.id = machine.id;
  options.members = machine.members;
  options.folder = kFolder;
  options.incarnation = world_.random.Next();
  options.log.threaded = false;
  options.log.salt = world_.random.Next() | 1;
  options.log.segment_bytes = options_.segment_bytes;
  options.store.checkpoint_rows = options_.checkpoint_rows;
  options.store.check_known = true;
  options.database = kDatabase;
  options.open_base = [&machine, raw = life.get()]() -> Result<std::unique_ptr<store::Base>> {
    auto base = FileBase::Open(*machine.files, kDatabase);
    if (!base) return Fail(base.error());
    raw->base = base->get();
    return std::unique_ptr<store::Base>(std::move(*base));
  };
  options.add_services = [](state_machine::Registry& registry,
                            const std::unique_ptr<state_machine::Machine>& applier) {
    RegisterServices(registry);
    state_machine::RegisterRequestsService(
        registry, [&applier](const state_machine::Method& method, const std::string& key) {
          auto last = applier->LastReply(method, "", key);
          return last ? std::optional(std::move(last->reply)) : std::nullopt;
        });
  };
  const std::weak_ptr<Life> weak = life;
  auto state = node::NodeState::Open(*machine.files, options, [weak, &machine](wal::Ticket ticket) {
    const auto alive = weak.lock();
    if (alive && alive == machine.life && alive->node) alive->node->LogDurable(ticket);
  });
  if (!state) return Fail(state.error());
  life->state = std::move(*state);
  return {};
}

void Cluster::Start(NodeId node) {
  Machine& machine = At(node);
  if (machine.life) return;
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
  machine.kept.clear();
  const uint64_t faults = machine.files->faults();
  try {
    if (auto opened = Open(machine, life); !opened) throw testing::Stopped(opened.error().message);
  } catch (const testing::Stopped& stopped) {
    const bool has_reason = machine.files->faults() > faults;
    Require(has_reason || machine.rotten, Name(node) + " cannot start: " + stopped.what());
    world_.Trace(Name(node) + " cannot start: " + stopped.what());
    if (life->state) life->state->log().Abandon();
    life.reset();
    machine.files->Crash();
    if (!has_reason) ReplaceDisk(machine);
    return;
  }
  life->seen = life->state->machine().applied();
  checker_.Stands(node, life->seen, life->state->machine().position().digest);
  world_.Trace(Name(node) + " starts at entry " + life->seen.ToString());

  node::NodeOptions options;
  options.members = machine.members;
  for (NodeId each : machine.members) options.addresses[each] = Address(each);
  options.checkpoint_interval_ms = options_.checkpoint_interval_ms;
  options.retention.entries = options_.keep_entries;
  options.disk_reserve_bytes = kDiskReserveBytes;
  options.lifetime = world_.random.Next();
  options.clock = options_.clock;
  options.restarts = static_cast<uint32_t>(machine.lives++);
  options.raft.id = node;
  options.raft.election_timeout_ms = options_.election_timeout_ms;
  options.raft.heartbeat_ms = options_.heartbeat_ms;
  options.raft.seed = static_cast<uint32_t>(world_.random.Next());
  node::NodeState& state = *life->state;
  life->link = std::make_unique<Link>(network_, checker_, node);
  life->node = std::make_unique<node::Node>(
      options,
      node::Node::Parts{
          *machine.clock, state.machine(), state.store(), state.log(), state.founding(),
          *life->loop, *life->apply, *life->reads, *life->background, *machine.files, kFolder,
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
  machine.life = std::move(life);
  clock_judge_.Begins(node);
  Run(node, weak, [this, node] { At(node).life->node->Start(*At(node).life->link); });
  network_.Up(node);
}

void Cluster::Kill(NodeId node) { Drop(node, true); }

void Cluster::Drop(NodeId node, bool killed) {
  Machine& machine = At(node);
  if (!machine.life) return;
  NoteLife(machine);
  network_.Down(node, killed);
  const std::shared_ptr<Life> life = std::exchange(machine.life, nullptr);
  machine.paused = false;
  machine.kept.clear();
  LetGo(*life);
}

void Cluster::Crash(NodeId node) {
  if (At(node).life) world_.Trace(Name(node) + " crashes");
  Drop(node, false);
  At(node).files->Crash();
}

void Cluster::JumpClock(NodeId node, int64_t by_ms) { At(node).clock->Jump(by_ms * 1000); }
void Cluster::TellStory(NodeId node, Story story, int64_t off_us) {
  world_.Trace(Name(node) + (story == Story::kTruth ? "'s clock tells the truth"
                             : story == Story::kOff
                                 ? "'s clock is off by " + std::to_string(off_us) + " us"
                                 : "'s clock tells anything"));
  At(node).clock->Tell(story, off_us);
}
void Cluster::SetDrift(NodeId node, int64_t ppm) { At(node).clock->SetDrift(ppm); }

clock::Estimate Cluster::ClockOf(NodeId node) const {
  const Machine& machine = At(node);
  clock::Estimate estimate;
  machine.life->node->LookAtClock([&](const node::ClockReport& report) {
    estimate = report.knowledge.At(machine.clock->ElapsedUs());
  });
  return estimate;
}

NodeId Cluster::Leader() const {
  NodeId leader;
  Term term;
  for (const auto& machine : machines_) {
    if (!machine->life) continue;
    const node::Leadership says = machine->life->node->Leadership();
    if (says.leader != machine->id || says.term < term) continue;
    leader = machine->id;
    term = says.term;
  }
  return leader;
}

void Cluster::Call(NodeId node, const std::string& method, const google::protobuf::Message& request,
                   const node::CallOptions& options, const std::function<void(node::Reply)>& done) {
  Machine& machine = At(node);
  if (!machine.life) return;
  const std::weak_ptr<Life> life = machine.life;
  const auto* found = machine.life->state->registry().Find(method);
  HOLDFAST_CHECK(found != nullptr, "no method " + method);
  Require(found->validate(request).has_value(), "the workload made an invalid " + method);
  Run(node, life, [this, node, life, found, bytes = request.SerializeAsString(), options, done] {
    At(node).life->node->Call(*found, bytes, options, [=, this](node::Reply reply) {
      // Of a life that is just being let go nobody hears any more.
      if (life.expired() || At(node).life != life.lock()) return;
      Answers(At(node), *found, options, reply);
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
  const auto members = Members();
  if (!members) return false;
  const LogIndex last = At(leader).life->node->status().last;
  for (NodeId member : members->All()) {
    const Machine& machine = At(member);
    if (!machine.life || machine.paused) return false;
    const node::NodeStatus status = machine.life->node->status();
    if (!status.ready || status.rejoining || status.leader != leader || status.applied != last ||
        status.membership != members->index) {
      return false;
    }
  }
  return true;
}

std::string Cluster::Describe() const {
  std::string text;
  for (const auto& machine : machines_) {
    if (machine->use == Use::kSpare) continue;
    text += "\n  " + Name(machine->id) + (machine->use == Use::kRetired ? ", removed: " : ": ");
    if (!machine->life) {
      text += "down";
      continue;
    }
    const node::NodeStatus status = machine->life->node->status();
    text += (status.role == raft::Role::kLeader ? "leads" : "follows " + status.leader.ToString()) +
            ", term " + status.term.ToString() + ", last " + status.last.ToString() +
            ", committed " + status.committed.ToString() + ", applied " +
            status.applied.ToString() + (status.rejoining ? ", rejoining" : "") +
            (status.founded ? "" : ", not founded") + (machine->paused ? ", paused" : "") +
            (status.waiting.empty() ? "" : ", " + status.waiting) + ", members since " +
            status.membership.ToString();
  }
  return text;
}

}  // namespace holdfast::sim
