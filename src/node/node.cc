#include "src/node/node.h"

#include <algorithm>
#include <chrono>
#include <future>

#include "src/base/batch.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/base/logging.h"
#include "src/base/node_list.h"
#include "src/base/reached.h"
#include "src/node/checkpoint_install.h"
#include "src/node/wire.h"

namespace holdfast::node {
namespace {

// Between two attempts of a full leader to go. Until it is gone nobody can write, and on a bad
// network it may well win the next election again; when all disks are full each leads for so long.
constexpr uint64_t kReliefMs = 1'000;
constexpr uint64_t kLeaderlessMs = 3'000;      // Then it is worth a warning.
constexpr uint64_t kSweepMs = 20;              // Deadlines and retries are this late.
constexpr uint64_t kLoopSilentMsMax = 10'000;  // A disk may stall for seconds; past this it hangs.
constexpr size_t kForwardedReplyBytesMax = bounds::kPeerFrameBytesMax - (64 << 10);

using raft::Role;
using state_machine::Method;

}  // namespace

Node::Node(NodeOptions options, Parts parts, Endings endings)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      endings_(std::move(endings)),
      frontend_({parts_.clock, parts_.machine, applier_, parts_.reads, [this] { NowOnLoop([] {}); },
                 [this](uint64_t deadline_ms, ReadRouter::Done found) {
                   OnLoop([this, deadline_ms, found = std::move(found)]() mutable {
                     reads_->Add(deadline_ms, std::move(found));
                   });
                 },
                 [this](LogIndex applied) { return Age(applied); }}),
      applier_(
          parts_.machine, parts_.store, parts_.apply, parts_.background,
          [this](LogIndex index) {
            frontend_.Touched(index, parts_.machine.touched());
            // The loop is woken only if it waits for this.
            if (applying_.fetch_sub(1) == bounds::kApplyBacklogMax) OnLoop([] {});
          },
          [this](LogIndex index) {
            OnLoop([this, index] {
              if (replica_) replica_->Checkpointed(parts_.clock.MonotonicMs(), index);
            });
          }),
      exports_(parts_.files, parts_.folder + "/exports", parts_.background, parts_.export_store),
      backup_(exports_, parts_.clock),
      clock_(options_.clock, options_.raft.id, parts_.clock,
             [this](NodeId to, PeerFrame frame) { return link_->Send(to, std::move(frame)); }),
      stamps_(
          parts_.clock, [this](int64_t elapsed_us) { return clock_.At(elapsed_us); },
          options_.clock.drift_ppm),
      fetch_({parts_.files, parts_.folder + "/" + kCheckpointIncomingFolder,
              parts_.folder + "/" + kCheckpointFolder, parts_.background,
              [this](Task task) { OnLoop(std::move(task)); },
              [this](NodeId leader, CheckpointRequest request) {
                PeerFrame frame;
                *frame.mutable_checkpoint_request() = std::move(request);
                return link_->Send(leader, std::move(frame));
              },
              [this](const CheckpointManifest& manifest) { CheckpointFetched(manifest); }}),
      disk_(parts_.files, parts_.folder, options_.disk_reserve_bytes) {
  status_.id = options_.raft.id;
  status_.restarts = options_.restarts;
}

Node::~Node() = default;

void Node::Start(PeerLink& link) {
  OnLoop([this, &link] {
    link_ = &link;
    bool founded = false;
    {
      std::lock_guard lock(founding_mutex_);
      founded = parts_.founding.founded();
    }
    link_->SetPeers(Peers());
    removed_ = founded && Removed();
    if (founded && !removed_) {
      BeginConsensus();
    } else if (removed_) {
      BeginFarewell();
    } else {
      FoundIfComplete();
    }
    Sweep();
  });
}

void Node::WaitUntilRunning() { running_.get_future().wait(); }

void Node::HandOver(uint64_t patience_ms) {
  std::promise<bool> promise;
  std::future<bool> began = promise.get_future();
  OnLoop([this, &promise] {
    handing_over_ =
        replica_ && replica_->role() == Role::kLeader && replica_->membership().voters.size() > 1;
    if (handing_over_) writes_->Pause(true);
    promise.set_value(handing_over_);
  });
  if (!began.get()) return;
  {
    std::unique_lock lock(status_mutex_);
    status_changed_.wait_for(lock, std::chrono::milliseconds(patience_ms), [this] {
      return status_.role != Role::kLeader && status_.leader != status_.id;
    });
  }
  OnLoop([this] {
    handing_over_ = false;
    writes_->Pause(false);  // Now they are forwarded.
  });
}

// A follower that lacks entries would keep writes out for a whole election timeout (the engine
// waits for it and gives up); so nothing is proposed any more, and the first one that has
// everything takes over.
// True: it was asked to.
bool Node::HandOverWhenLevel(uint64_t now_ms, const std::function<bool(NodeId)>& may) {
  if (replica_->role() != Role::kLeader) return false;
  const LogIndex last = parts_.log.last();
  const auto level = [&](NodeId member) {
    return member != options_.raft.id && replica_->MatchOf(member) == last && (!may || may(member));
  };
  const std::vector<NodeId>& voters = replica_->membership().voters;
  return std::any_of(voters.begin(), voters.end(), level) && replica_->HandOver(now_ms, may);
}

// The others may have room: one of them leads, and finds that out.
void Node::WatchDisk(uint64_t now_ms) {
  if (disk_.gone()) {
    endings_.fatal("the data folder " + parts_.folder +
                   " is gone. What this node acknowledges now would be forgotten by its next start."
                   "\nStart it again: with a new folder it rejoins, while all others run.");
  }
  if (disk_.Look(now_ms)) {
    if (disk_.full()) {
      logging::Warn(Component::kNode, disk_.Describe("this node") + "; reads go on");
    } else {
      logging::Info(Component::kNode, "there is room on the disk again");
    }
  }
  replica_->StoreNothingNew(disk_.shut());
  replica_->WriteNothingNew(disk_.full());
  writes_->Refuse(disk_.full() ? std::optional(disk_.Refusal("node " + options_.raft.id.ToString()))
                               : std::nullopt);
  if (disk_.full() && now_ms >= relief_ms_ + kReliefMs && HandOverWhenLevel(now_ms)) {
    relief_ms_ = now_ms;
  }
}

void Node::Stop() {
  std::promise<void> stopped;
  parts_.loop.Post([this, &stopped] {
    stopped_ = true;
    if (writes_) writes_->Stop();
    if (reads_) reads_->Stop();
    stopped.set_value();
  });
  stopped.get_future().wait();
  applier_.DropReaders();
  frontend_.Stop();
}

// --- The loop

void Node::OnLoop(Task event) {
  parts_.loop.Post([this, event = std::move(event)]() mutable {
    if (stopped_) return;
    event();
    if (step_posted_) return;
    step_posted_ = true;
    // At the end of the queue: what has come meanwhile is taken together, and batches grow.
    parts_.loop.Post([this] {
      step_posted_ = false;
      Step();
    });
  });
}

void Node::NowOnLoop(Task event) {
  const bool ran = parts_.loop.TryRun([&] {
    if (stopped_) return;
    event();
    if (installing_ || removed_ || !replica_) return;
    const uint64_t now_ms = parts_.clock.MonotonicMs();
    if (now_ms >= replica_->timeout_ms() || replica_->next_membership()) OnLoop([] {});
    Advance(now_ms);
  });
  if (!ran) OnLoop(std::move(event));
}

void Node::Sweep() {
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  swept_ms_.store(now_ms, std::memory_order_relaxed);
  frontend_.Step(now_ms);
  Step();
  RepeatHello(now_ms);
  parts_.loop.PostAfter(kSweepMs, [this] {
    if (!stopped_) Sweep();
  });
}

void Node::Step() {
  if (stopped_ || installing_ || removed_ || !replica_) return;
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  if (now_ms >= replica_->timeout_ms()) replica_->Tick(now_ms);
  if (replica_->next_membership() && replica_->all_durable()) {
    AdoptMembership();
    if (removed_ || installing_) return;
  }
  if (replica_->caught_up()) FinishRejoin();
  StepCheckpoints(now_ms);
  WatchDisk(now_ms);
  WarnWithoutLeader(now_ms);
  if (handing_over_) HandOverWhenLevel(now_ms);
  Advance(now_ms);
}

void Node::Advance(uint64_t now_ms) {
  read_index_->Step(now_ms);
  for (auto& write : frontend_.TakeWrites()) writes_->Add(std::move(write));
  StepClock(now_ms);
  StepBehaviour(now_ms);
  writes_->Step(now_ms, applier_.next_timer_us());
  reads_->Step(now_ms);
  HandCommitted();
  PublishStatus();
  StepInTime(now_ms);
}

// Sooner than the next sweep, if the replica wants it.
void Node::StepInTime(uint64_t now_ms) {
  const uint64_t due_ms = std::max(replica_->timeout_ms(), now_ms + 1);
  if (due_ms >= std::min(now_ms + kSweepMs, step_due_ms_)) return;
  step_due_ms_ = due_ms;
  parts_.loop.PostAfter(due_ms - now_ms, [this, due_ms] {
    if (step_due_ms_ != due_ms) return;  // A sooner one took its place.
    step_due_ms_ = UINT64_MAX;
    Step();
  });
}

void Node::BeginConsensus() {
  HOLDFAST_CHECK(parts_.log.last().value > 0,
                 "the folder belongs to a founded cluster but its log is gone");
  HOLDFAST_CHECK(parts_.machine.applied() <= parts_.log.last(),
                 "the store holds entry " + parts_.machine.applied().ToString() +
                     ", the log ends at " + parts_.log.last().ToString());
  const NodeId self = options_.raft.id;
  raft::Membership membership;
  bool rejoining = false;
  {
    std::lock_guard lock(founding_mutex_);
    membership = parts_.founding.membership();
    rejoining = parts_.founding.rejoining();
  }
  replica_ = std::make_unique<raft::Replica>(
      options_.raft, membership, parts_.log,
      [this](NodeId to, LogIndex by, const raft::Message& message) { SendRaft(to, by, message); },
      options_.retention);
  read_index_ = std::make_unique<raft::ReadIndex>(
      *replica_, self, [this](const raft::ReadIndex::Probe& probe) {
        for (NodeId member : replica_->membership().voters) {
          if (member == options_.raft.id) continue;
          PeerFrame frame;
          frame.mutable_probe()->set_term(probe.term.value);
          frame.mutable_probe()->set_sequence(probe.sequence);
          link_->Send(member, std::move(frame));
        }
      });
  writes_ = std::make_unique<WriteRouter>(
      *replica_, self, stamps_,
      [this](NodeId leader, uint64_t id, const Write& write, uint64_t now_ms) {
        return SendForward(leader, id, write, now_ms);
      },
      options_.lifetime, options_.entry_requests);
  reads_ = std::make_unique<ReadRouter>(
      *replica_, *read_index_, self,
      [this](NodeId leader, uint64_t id) {
        PeerFrame frame;
        frame.mutable_read_index()->set_id(id);
        link_->Send(leader, std::move(frame));
      },
      options_.lifetime);
  handed_ = parts_.machine.applied();
  checkpoint_ms_ = leaderless_ms_ = begun_ms_ = parts_.clock.MonotonicMs();
  stamps_.Begin(begun_ms_);
  stamps_.Saw(parts_.machine.position().now.us);
  replica_->Start(checkpoint_ms_, parts_.machine.applied(), rejoining);
  PublishStatus();
  frontend_.Open();
  running_.set_value();
}

void Node::HoldBackFor(uint64_t delay_ms, uint64_t for_ms) {
  OnLoop(
      [this, delay_ms, for_ms] { hold_back_.Begin(parts_.clock.MonotonicMs(), delay_ms, for_ms); });
}

void Node::HandCommitted() {
  const LogIndex limit = hold_back_.Limit(parts_.clock.MonotonicMs(), replica_->committed(),
                                          replica_->role() == raft::Role::kLeader);
  while (handed_ < limit && applying_ < bounds::kApplyBacklogMax && !applier_.overfull()) {
    handed_ = handed_.Next();
    wal::Entry entry = parts_.log.Read(handed_);
    CommittedEntry committed;
    committed.index = handed_;
    committed.waiting = writes_->TakeWaiting(handed_, entry.term);
    if (entry.type == wal::EntryType::kCommand) SeeStamp(*entry.payload);
    committed.payload = entry.type == wal::EntryType::kCommand
                            ? std::move(entry.payload)
                            : std::make_shared<const std::string>();
    ++applying_;
    applier_.Apply(std::move(committed));
  }
}

void Node::PublishStatus() {
  std::lock_guard lock(status_mutex_);
  status_.role = replica_->role();
  const NodeId leader = replica_->leader();
  if (leader != status_.leader) NoteLeader(leader);
  status_.leader = leader;
  status_.term = replica_->term();
  status_.first = parts_.log.first();
  status_.last = parts_.log.last();
  status_.waiting_writes = writes_->waiting();
  status_.rejoining = replica_->rejoining();
  const std::vector<NodeId> unheard = replica_->Unheard();
  status_.waiting = unheard.empty() ? "" : "waits for the word of nodes " + NodeList(unheard);
  status_.committed = replica_->committed();
  PublishMembers();
  freshness_.Heard(parts_.machine.applied(), replica_->known_commit(), replica_->last_contact_ms());
  status_changed_.notify_all();
}

void Node::NoteLeader(NodeId leader) {
  leaderless_ms_ = leader.value == 0 ? parts_.clock.MonotonicMs() : 0;
  if (leader.value == 0 || leader == last_leader_) return;
  ++status_.leader_changes;
  last_leader_ = leader;
  if (leader == options_.raft.id) return;  // Says so itself.
  logging::Info(Component::kRaft, "follows",
                {{"leader", leader.value}, {"term", replica_->term().value}});
}

// An election that takes longer than it may: somebody at 3 am looks here first.
void Node::WarnWithoutLeader(uint64_t now_ms) {
  if (leaderless_ms_ == 0 || now_ms < leaderless_ms_ + kLeaderlessMs) return;
  leaderless_ms_ = 0;
  logging::Warn(Component::kRaft, "no leader is known; is a majority of the nodes reachable?",
                {{"term", replica_->term().value}});
}

void Node::LogDurable(wal::Ticket ticket) {
  NowOnLoop([this, ticket] {
    if (replica_) {
      replica_->Durable(parts_.clock.MonotonicMs(), ticket);
    } else if (founding_ticket_ != 0 && ticket >= founding_ticket_) {
      OnLoop([this] {
        founding_ticket_ = 0;
        FoundIfComplete();
      });
    }
  });
}

// --- Peers

void Node::OnFrames(NodeId from, uint64_t epoch, std::vector<PeerFrame> frames) {
  OnLoop([this, from, epoch, frames = std::move(frames)]() mutable {
    uint64_t& newest = epochs_[from];
    if (epoch < newest || installing_) return;
    if (!replica_ || removed_) {  // Nothing else concerns this node yet, or any more.
      for (const PeerFrame& frame : frames) {
        if (frame.has_hello()) HelloFrame(from, frame.hello());
      }
      return;
    }
    // A connection in place of another: answers that the old one carried are lost.
    if (newest != 0 && epoch > newest) {
      HOLDFAST_REACHED("node.node.another_connection");
      AnswersLost(from);
    }
    newest = epoch;
    Batch replies;
    for (PeerFrame& frame : frames) HandleFrame(from, frame);
  });
}

void Node::OnLinkDown(NodeId to) {
  OnLoop([this, to] {
    AnswersLost(to);
    if (replica_ && !removed_) replica_->LinkDown(parts_.clock.MonotonicMs(), to);
  });
}

// What was asked of it, or its answers, may have been lost with a connection.
void Node::AnswersLost(NodeId peer) {
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  fetch_.LinkDown(now_ms, peer);
  clock_.LinkDown(peer);
  if (writes_) writes_->LinkDown(peer, now_ms);
}

void Node::HandleFrame(NodeId from, PeerFrame& frame) {
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  switch (frame.body_case()) {
    case PeerFrame::kRaft:
      if (auto message = FromWire(*frame.mutable_raft())) {
        const LogIndex membership(frame.raft().membership());
        if (!replica_->Receive(now_ms, from, membership, std::move(*message))) Misfits(from);
      } else {
        logging::Err(Component::kNode, "dropped a Raft message that makes no sense",
                     {{"peer", from.value}});
      }
      break;
    case PeerFrame::kForwardWrite: HandleForward(from, *frame.mutable_forward_write()); break;
    case PeerFrame::kForwardResult: {
      ForwardResult& result = *frame.mutable_forward_result();
      writes_->ForwardAnswered(result.id(), FromWire(result), now_ms);
      break;
    }
    case PeerFrame::kReadIndex:
      read_index_->Request(
          [this, from, id = frame.read_index().id()](std::optional<LogIndex> index) {
            PeerFrame answer;
            answer.mutable_read_index_result()->set_id(id);
            answer.mutable_read_index_result()->set_index(index.value_or(LogIndex(0)).value);
            link_->Send(from, std::move(answer));
          });
      break;
    case PeerFrame::kReadIndexResult:
      reads_->Answered(frame.read_index_result().id(), LogIndex(frame.read_index_result().index()));
      break;
    case PeerFrame::kProbe: {
      if (!replica_->takes_part()) break;
      PeerFrame answer;
      answer.mutable_probe_result()->set_term(replica_->term().value);
      answer.mutable_probe_result()->set_sequence(frame.probe().sequence());
      link_->Send(from, std::move(answer));
      break;
    }
    case PeerFrame::kProbeResult:
      read_index_->Answer(from, Term(frame.probe_result().term()), frame.probe_result().sequence());
      break;
    case PeerFrame::kCheckpointRequest:
      HandleCheckpointRequest(from, frame.checkpoint_request());
      break;
    case PeerFrame::kCheckpointReply:
      fetch_.Receive(now_ms, from, std::move(*frame.mutable_checkpoint_reply()));
      break;
    case PeerFrame::kHello: HelloFrame(from, frame.hello()); break;
    case PeerFrame::kClockQuestion: clock_.Answer(from, frame.clock_question()); break;
    case PeerFrame::kClockAnswer: clock_.Answered(from, frame.clock_answer()); break;
    case PeerFrame::kWelcome:
    case PeerFrame::BODY_NOT_SET: break;
  }
}

void Node::HandleForward(NodeId from, ForwardWrite& forward) {
  auto write = frontend_.Forwarded(forward, [this, from, id = forward.id()](Reply reply) {
    PeerFrame frame;
    if (reply.body && reply.body->size() > kForwardedReplyBytesMax) {
      reply.body = Fail(Error{ErrorCode::kInternal,
                              "this was done, but its reply is too large to be passed on", "",
                              "Read what became of it, or ask the leader under the same key.", 0});
    }
    *frame.mutable_forward_result() = ToWire(id, std::move(reply));
    link_->Send(from, std::move(frame));
  });
  if (write) writes_->Add(std::move(write));
}

void Node::SendRaft(NodeId to, LogIndex membership, const raft::Message& message) {
  PeerFrame frame;
  *frame.mutable_raft() = ToWire(message);
  frame.mutable_raft()->set_membership(membership.value);
  link_->Send(to, std::move(frame));
}

bool Node::SendForward(NodeId leader, uint64_t id, const Write& write, uint64_t now_ms) {
  PeerFrame frame;
  const uint64_t left_ms = write.deadline_ms > now_ms ? write.deadline_ms - now_ms : 0;
  *frame.mutable_forward_write() = ToWire(id, write.request, left_ms);
  return link_->Send(leader, std::move(frame));
}

// --- Dispatcher

void Node::Call(const Method& method, std::string request, CallOptions options, Done done) {
  frontend_.Call(method, std::move(request), std::move(options), std::move(done));
}

std::optional<Error> Node::Refusal(const Method& method) { return frontend_.Refusal(method); }

Leadership Node::Leadership() const {
  std::lock_guard lock(status_mutex_);
  return {status_.id, status_.leader, status_.term};
}

std::chrono::milliseconds Node::Age(LogIndex applied) const {
  std::lock_guard lock(status_mutex_);
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  const uint64_t contact_ms = freshness_.ContactMs(applied);
  return std::chrono::milliseconds(now_ms > contact_ms ? now_ms - contact_ms : 0);
}

NodeStanding Node::standing() const {
  std::lock_guard lock(status_mutex_);
  return {status_.role,       status_.leader,    status_.term,        status_.last,
          status_.membership, status_.rejoining, frontend_.is_open(), disk_.full()};
}

NodeStatus Node::status() const {
  const state_machine::Position position = parts_.machine.position();
  std::string waiting;
  if (!frontend_.is_open()) {
    std::lock_guard lock(founding_mutex_);
    waiting = parts_.founding.Waiting();
  }
  const std::map<NodeId, std::string> peers = Peers();
  const std::map<NodeId, ProgramVersions> programs = [this] {
    std::lock_guard lock(founding_mutex_);
    return programs_.said();
  }();
  std::lock_guard lock(status_mutex_);
  NodeStatus status = status_;
  status.applied = position.applied;
  status.digest = position.digest;
  status.behaviour = position.behaviour;
  status.apply_backlog = applying_.load();
  status.now = position.now;
  status.founded = frontend_.is_open();
  status.disk_full = disk_.full();
  if (!waiting.empty()) status.waiting = std::move(waiting);
  for (NodeStatus::Peer& peer : status.peers) {
    const auto address = peers.find(peer.id);
    if (address != peers.end()) peer.address = address->second;
    const auto program = programs.find(peer.id);
    if (program == programs.end()) continue;
    peer.behaviour_newest = program->second.newest();
    peer.release = program->second.release();
  }
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  status.waiting_reads = frontend_.waiting_reads();
  status.live = now_ms < swept_ms_.load(std::memory_order_relaxed) + kLoopSilentMsMax;
  const uint64_t contact_ms = freshness_.ContactMs(status.applied);
  status.caught_up = contact_ms != 0;
  status.silent_ms = now_ms > contact_ms ? now_ms - contact_ms : 0;
  const bool heard = status.silent_ms < uint64_t{2} * options_.raft.election_timeout_ms;
  status.ready = status.founded && status.leader.value != 0 && heard;
  return status;
}

}  // namespace holdfast::node
