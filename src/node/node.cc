#include "src/node/node.h"

#include <google/protobuf/arena.h>

#include <algorithm>
#include <chrono>
#include <future>

#include "src/base/batch.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/base/logging.h"
#include "src/node/checkpoint_install.h"
#include "src/node/wire.h"

namespace holdfast::node {
namespace {

constexpr uint64_t kSweepMs = 20;              // Deadlines and retries are this late.
constexpr uint64_t kLoopSilentMsMax = 10'000;  // A disk may stall for seconds; past this it hangs.

using google::protobuf::Message;
using raft::Role;
using state_machine::Method;

Reply Failed(Error error) { return Reply{Fail(std::move(error)), LogIndex(0), false}; }

Error Stopping() {
  return Error{ErrorCode::kUnavailable, "this node is stopping", "", "Ask another node.", 0};
}

}  // namespace

// A read that waits for entries to be applied, until its deadline: whoever comes first takes it.
struct Node::PendingRead {
  Done done;
  std::atomic<bool> taken{false};

  explicit PendingRead(Done d) : done(std::move(d)) {}
  ~PendingRead() {
    if (Take()) done(Failed(Stopping()));
  }
  bool Take() { return !taken.exchange(true); }
};

Node::Node(NodeOptions options, Parts parts, Endings endings)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      endings_(std::move(endings)),
      applier_(
          parts_.machine, parts_.store, parts_.apply, parts_.background,
          [this](LogIndex) {
            // The loop is woken only if it waits for this.
            if (applying_.fetch_sub(1) == bounds::kApplyBacklogMax) OnLoop([] {});
          },
          [this](LogIndex index) {
            OnLoop([this, index] {
              if (replica_) replica_->Checkpointed(parts_.clock.MonotonicMs(), index);
            });
          }),
      exports_(parts_.files, parts_.folder + "/exports", parts_.export_store),
      fetch_({parts_.files, parts_.folder + "/incoming", parts_.folder + "/" + kCheckpointFolder,
              parts_.background, [this](Task task) { OnLoop(std::move(task)); },
              [this](NodeId leader, CheckpointRequest request) {
                PeerFrame frame;
                *frame.mutable_checkpoint_request() = std::move(request);
                link_->Send(leader, std::move(frame));
              },
              [this](const CheckpointManifest& manifest) { CheckpointFetched(manifest); }}) {
  status_.id = options_.raft.id;
  status_.restarts = options_.restarts;
}

Node::~Node() = default;

void Node::Start(PeerLink& link) {
  const bool alone = options_.members.size() == 1;
  bool founded = false;
  {
    std::lock_guard lock(founding_mutex_);
    founded = parts_.founding.founded();
  }
  OnLoop([this, &link, founded] {
    link_ = &link;
    if (founded) {
      BeginConsensus();
    } else {
      FoundIfComplete();
    }
    Sweep();
  });
  // Nobody has to be waited for: calls that follow find consensus running.
  if (alone || founded) running_.get_future().wait();
}

void Node::HandOver(uint64_t patience_ms) {
  std::promise<bool> promise;
  std::future<bool> began = promise.get_future();
  OnLoop([this, &promise] {
    handing_over_ = replica_ && replica_->role() == Role::kLeader && options_.members.size() > 1;
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
void Node::HandOverWhenLevel(uint64_t now_ms) {
  if (replica_->role() != Role::kLeader) return;
  const LogIndex last = parts_.log.last();
  const auto level = [&](NodeId member) {
    return member != options_.raft.id && replica_->MatchOf(member) == last;
  };
  if (std::any_of(options_.members.begin(), options_.members.end(), level)) {
    replica_->HandOver(now_ms);
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
  std::vector<std::unique_ptr<Write>> arrived;
  {
    std::lock_guard lock(inbox_mutex_);
    arrived.swap(inbox_);
  }
  for (auto& write : arrived) write->done(Failed(Stopping()));
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
    if (installing_ || !replica_) return;
    const uint64_t now_ms = parts_.clock.MonotonicMs();
    if (now_ms >= replica_->timeout_ms()) OnLoop([] {});
    Advance(now_ms);
  });
  if (!ran) OnLoop(std::move(event));
}

void Node::Sweep() {
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  swept_ms_.store(now_ms, std::memory_order_relaxed);
  write_admission_.Step(now_ms);
  read_admission_.Step(now_ms);
  Step();
  parts_.loop.PostAfter(kSweepMs, [this] {
    if (!stopped_) Sweep();
  });
}

void Node::Step() {
  if (stopped_ || installing_ || !replica_) return;
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  if (now_ms >= replica_->timeout_ms()) replica_->Tick(now_ms);
  if (replica_->caught_up()) FinishRejoin();
  StepCheckpoints(now_ms);
  if (handing_over_) HandOverWhenLevel(now_ms);
  Advance(now_ms);
}

void Node::Advance(uint64_t now_ms) {
  read_index_->Step(now_ms);
  std::vector<std::unique_ptr<Write>> arrived;
  {
    std::lock_guard lock(inbox_mutex_);
    arrived.swap(inbox_);
    inbox_bytes_ = 0;
  }
  for (auto& write : arrived) writes_->Add(std::move(write));
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

void Node::FoundIfComplete() {
  // Running already; or Start comes later; or the log's first entry is on its way to the disk.
  if (replica_ || link_ == nullptr || founding_ticket_ != 0) return;
  {
    std::lock_guard lock(founding_mutex_);
    const auto founders = parts_.founding.Founders();
    if (!founders) return;
  }
  // The log's first entry is made durable before the founding: a folder that says it is founded has
  // a log, and a log that has more than that entry has voted.
  if (parts_.log.last().value == 0) {
    logging::Info(Component::kNode, "all members are known, founding the cluster",
                  {{"members", options_.members.size()}});
    const wal::Ticket ticket =
        raft::Replica::FoundLog(parts_.log, raft::Membership{options_.members});
    founding_ticket_ = ticket;
    return;
  }
  FinishFounding();
}

void Node::FinishFounding() {
  {
    std::lock_guard lock(founding_mutex_);
    if (auto founded = parts_.founding.Found(); !founded) {
      endings_.fatal("cannot write the identity of this node: " + founded.error().message);
      return;
    }
  }
  BeginConsensus();
}

// It votes again, and must never forget anything any more: so this is durable first.
void Node::FinishRejoin() {
  {
    std::lock_guard lock(founding_mutex_);
    if (auto saved = parts_.founding.Rejoined(); !saved) {
      endings_.fatal("cannot write the identity of this node: " + saved.error().message);
      return;
    }
  }
  replica_->Rejoined();
}

void Node::BeginConsensus() {
  HOLDFAST_CHECK(parts_.log.last().value > 0,
                 "the folder belongs to a founded cluster but its log is gone");
  HOLDFAST_CHECK(parts_.machine.applied() <= parts_.log.last(),
                 "the store holds entry " + parts_.machine.applied().ToString() +
                     ", the log ends at " + parts_.log.last().ToString());
  const NodeId self = options_.raft.id;
  replica_ = std::make_unique<raft::Replica>(
      options_.raft, raft::Membership{options_.members}, parts_.log,
      [this](NodeId to, raft::Message message) { SendRaft(to, std::move(message)); },
      options_.retention);
  read_index_ = std::make_unique<raft::ReadIndex>(
      *replica_, self, [this](const raft::ReadIndex::Probe& probe) {
        for (NodeId member : options_.members) {
          if (member == options_.raft.id) continue;
          PeerFrame frame;
          frame.mutable_probe()->set_term(probe.term.value);
          frame.mutable_probe()->set_sequence(probe.sequence);
          link_->Send(member, std::move(frame));
        }
      });
  writes_ = std::make_unique<WriteRouter>(
      *replica_, self, parts_.clock,
      [this](NodeId leader, uint64_t id, const Write& write, uint64_t now_ms) {
        return SendForward(leader, id, write, now_ms);
      },
      options_.lifetime);
  reads_ = std::make_unique<ReadRouter>(
      *replica_, *read_index_, self,
      [this](NodeId leader, uint64_t id) {
        PeerFrame frame;
        frame.mutable_read_index()->set_id(id);
        link_->Send(leader, std::move(frame));
      },
      options_.lifetime);
  handed_ = parts_.machine.applied();
  bool rejoining = false;
  {
    std::lock_guard lock(founding_mutex_);
    rejoining = parts_.founding.rejoining();
  }
  checkpoint_ms_ = parts_.clock.MonotonicMs();
  replica_->Start(checkpoint_ms_, parts_.machine.applied(), rejoining);
  PublishStatus();
  founded_.store(true, std::memory_order_release);
  running_.set_value();
}

void Node::HandCommitted() {
  while (handed_ < replica_->committed() && applying_ < bounds::kApplyBacklogMax &&
         !applier_.overfull()) {
    handed_ = handed_.Next();
    wal::Entry entry = parts_.log.Read(handed_);
    CommittedEntry committed;
    committed.index = handed_;
    committed.waiting = writes_->TakeWaiting(handed_, entry.term);
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
  if (leader != status_.leader && leader.value != 0 && leader != last_leader_) {
    ++status_.leader_changes;
    last_leader_ = leader;
  }
  status_.leader = leader;
  status_.term = replica_->term();
  status_.first = parts_.log.first();
  status_.last = parts_.log.last();
  status_.waiting_writes = writes_->waiting();
  status_.rejoining = replica_->rejoining();
  status_.committed = replica_->committed();
  status_.peers.clear();
  for (NodeId member : options_.members) {
    if (member != status_.id) status_.peers.push_back({member, replica_->MatchOf(member)});
  }
  freshness_.Heard(parts_.machine.applied(), replica_->known_commit(), replica_->last_contact_ms());
  status_changed_.notify_all();
}

void Node::LogDurable(wal::Ticket ticket) {
  NowOnLoop([this, ticket] {
    if (replica_) {
      replica_->Durable(parts_.clock.MonotonicMs(), ticket);
    } else if (founding_ticket_ != 0 && ticket >= founding_ticket_) {
      OnLoop([this] {
        if (!replica_) FinishFounding();
      });
    }
  });
}

// --- Peers

Identity Node::Hello() {
  std::lock_guard lock(founding_mutex_);
  return parts_.founding.identity();
}

std::string Node::OnHello(const Identity& peer) {
  std::lock_guard lock(founding_mutex_);
  const Result<void> met = parts_.founding.Meet(peer);
  if (!parts_.founding.outcast().empty()) {
    endings_.fatal(parts_.founding.outcast() +
                   "\nLeave this folder off; or remove it, and the node rejoins with a new one.");
  }
  if (!met) return met.error().message;
  OnLoop([this] { FoundIfComplete(); });
  return "";
}

void Node::OnFrames(NodeId from, uint64_t epoch, std::vector<PeerFrame> frames) {
  OnLoop([this, from, epoch, frames = std::move(frames)]() mutable {
    uint64_t& newest = epochs_[from];
    if (epoch < newest || !replica_ || installing_) return;
    // A connection in place of another: answers that the old one carried are lost.
    if (newest != 0 && epoch > newest) writes_->LinkDown(from, parts_.clock.MonotonicMs());
    newest = epoch;
    Batch replies;
    for (PeerFrame& frame : frames) HandleFrame(from, frame);
  });
}

void Node::OnLinkDown(NodeId to) {
  OnLoop([this, to] {
    fetch_.LinkDown(parts_.clock.MonotonicMs(), to);
    if (writes_) writes_->LinkDown(to, parts_.clock.MonotonicMs());
  });
}

void Node::HandleFrame(NodeId from, PeerFrame& frame) {
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  switch (frame.body_case()) {
    case PeerFrame::kRaft:
      if (auto message = FromWire(*frame.mutable_raft())) {
        replica_->Receive(now_ms, from, std::move(*message));
      } else {
        logging::Err(Component::kNode, "dropped a Raft message that makes no sense",
                     {{"peer", from.value}});
      }
      break;
    case PeerFrame::kForwardWrite: HandleForward(from, *frame.mutable_forward_write()); break;
    case PeerFrame::kForwardResult: {
      ForwardResult& result = *frame.mutable_forward_result();
      Reply reply;
      if (result.result_case() == ForwardResult::kReply) {
        reply.body = std::move(*result.mutable_reply());
      } else {
        reply.body = Fail(FromWire(result.error()));
      }
      reply.position = LogIndex(result.position());
      reply.replayed = result.replayed();
      writes_->ForwardAnswered(result.id(), std::move(reply), now_ms);
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
    case PeerFrame::kHello:
    case PeerFrame::kWelcome:
    case PeerFrame::BODY_NOT_SET: break;
  }
}

void Node::HandleForward(NodeId from, ForwardWrite& forward) {
  // Once in the log, a method that a node does not know stops it. A newer peer may know more.
  const bool numbers = forward.service() <= UINT8_MAX && forward.method() <= UINT8_MAX;
  const Method* method =
      numbers ? parts_.machine.registry().Find(static_cast<uint8_t>(forward.service()),
                                               static_cast<uint8_t>(forward.method()))
              : nullptr;
  if (method == nullptr || method->kind() != WRITE) {
    PeerFrame frame;
    frame.mutable_forward_result()->set_id(forward.id());
    *frame.mutable_forward_result()->mutable_error() =
        ToWire(Error{ErrorCode::kUnimplemented, "the leader does not know this method", "",
                     "Is the leader of an older version? Finish the upgrade first.", 0});
    link_->Send(from, std::move(frame));
    return;
  }
  auto write = std::make_unique<Write>();
  write->forwarded_to_us = true;
  write->deadline_ms = parts_.clock.MonotonicMs() + forward.timeout_ms();
  write->request.set_service(forward.service());
  write->request.set_method(forward.method());
  write->request.set_idempotency_key(std::move(*forward.mutable_idempotency_key()));
  write->request.set_principal(std::move(*forward.mutable_principal()));
  write->request.set_body(std::move(*forward.mutable_body()));
  Done answer = [this, from, id = forward.id()](Reply reply) {
    PeerFrame frame;
    ForwardResult& result = *frame.mutable_forward_result();
    result.set_id(id);
    if (reply.body) {
      result.set_reply(std::move(*reply.body));
    } else {
      *result.mutable_error() = ToWire(reply.body.error());
    }
    result.set_position(reply.position.value);
    result.set_replayed(reply.replayed);
    link_->Send(from, std::move(frame));
  };
  if (auto refusal = write_admission_.Refusal(forward.timeout_ms())) {
    answer(Failed(*std::move(refusal)));
    return;
  }
  write->done = Admitted(write->request.body().size(), std::move(answer));
  writes_->Add(std::move(write));
}

void Node::SendRaft(NodeId to, raft::Message message) {
  PeerFrame frame;
  *frame.mutable_raft() = ToWire(message);
  link_->Send(to, std::move(frame));
}

bool Node::SendForward(NodeId leader, uint64_t id, const Write& write, uint64_t now_ms) {
  PeerFrame frame;
  ForwardWrite& forward = *frame.mutable_forward_write();
  forward.set_id(id);
  forward.set_service(write.request.service());
  forward.set_method(write.request.method());
  forward.set_idempotency_key(write.request.idempotency_key());
  forward.set_principal(write.request.principal());
  forward.set_body(write.request.body());
  forward.set_timeout_ms(
      static_cast<uint32_t>(write.deadline_ms > now_ms ? write.deadline_ms - now_ms : 0));
  return link_->Send(leader, std::move(frame));
}

// --- Calls

void Node::Call(const Method& method, std::string request, CallOptions options, Done done) {
  switch (method.kind()) {
    case STATELESS: {
      google::protobuf::Arena arena;
      Message* body = method.request->New(&arena);
      Message* reply = method.reply->New(&arena);
      HOLDFAST_CHECK(body->ParseFromString(request), "an unchecked request: " + method.full_name);
      Result<void> answered = method.stateless(*body, reply);
      if (answered) {
        done(Reply{reply->SerializeAsString(), LogIndex(0), false});
      } else {
        done(Failed(answered.error()));
      }
      return;
    }
    case WRITE: CallWrite(method, std::move(request), std::move(options), std::move(done)); return;
    case READ: CallRead(method, std::move(request), std::move(options), std::move(done)); return;
    default: break;
  }
  done(Failed(Error{ErrorCode::kUnimplemented, method.full_name + " cannot be called", "", "", 0}));
}

std::optional<Error> Node::Refusal(const Method& method) {
  if (method.kind() == WRITE) return write_admission_.Refusal(bounds::kWaitMsMax);
  return std::nullopt;  // A read may ask for what this node has at once.
}

uint64_t Node::DeadlineMs(const CallOptions& options) const {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      options.deadline - std::chrono::steady_clock::now());
  const int64_t left_ms = std::clamp<int64_t>(left.count(), 0, bounds::kDeadlineMsMax);
  return parts_.clock.MonotonicMs() + static_cast<uint64_t>(left_ms);
}

Error Node::NotFounded() const {
  return Error{ErrorCode::kUnavailable,
               "this cluster is new and still waits for some of its members to start", "",
               "Start all nodes once; afterwards a majority is enough.",
               static_cast<uint32_t>(bounds::kRetryAfterMsDefault)};
}

Done Node::Admitted(size_t bytes, Done done) {
  write_admission_.Enter(bytes);
  return [this, bytes, done = std::move(done)](Reply reply) mutable {
    write_admission_.Leave(bytes, reply.body.has_value());
    done(std::move(reply));
  };
}

void Node::CallWrite(const Method& method, std::string request, CallOptions options, Done done) {
  if (!founded_.load(std::memory_order_acquire)) {
    done(Failed(NotFounded()));
    return;
  }
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  const uint64_t deadline_ms = DeadlineMs(options);
  const uint64_t patience_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
  if (auto refusal = write_admission_.Refusal(patience_ms)) {
    done(Failed(*std::move(refusal)));
    return;
  }
  auto write = std::make_unique<Write>();
  write->deadline_ms = deadline_ms;
  write->request.set_service(method.service_id);
  write->request.set_method(method.method_id);
  write->request.set_idempotency_key(std::move(options.idempotency_key));
  write->request.set_principal(std::move(options.principal));
  write->done = Admitted(request.size(), std::move(done));
  write->request.set_body(std::move(request));
  // What comes together goes into the log together: the loop would take the first ones alone.
  thread_local std::vector<std::unique_ptr<Write>> together;
  thread_local const Node* node = nullptr;
  if (Batch::IsOpen() && (node == nullptr || node == this)) {
    together.push_back(std::move(write));
    if (std::exchange(node, this) == nullptr) {
      Batch::AtEnd([this] {
        node = nullptr;
        PutIntoInbox(std::exchange(together, {}));
      });
    }
    return;
  }
  std::vector<std::unique_ptr<Write>> alone;
  alone.push_back(std::move(write));
  PutIntoInbox(std::move(alone));
}

void Node::PutIntoInbox(std::vector<std::unique_ptr<Write>> writes) {
  bool wake = false;
  {
    std::lock_guard lock(inbox_mutex_);
    for (auto& write : writes) {
      const size_t bytes = write->request.body().size();
      if (inbox_.size() >= bounds::kWaitingRequestsMax ||
          inbox_bytes_ + bytes > bounds::kWaitingBytesMax) {
        continue;
      }
      wake |= inbox_.empty();
      inbox_bytes_ += bytes;
      inbox_.push_back(std::move(write));
    }
  }
  if (wake) NowOnLoop([] {});
  Batch refusals;
  for (auto& write : writes) {
    if (!write) continue;
    write->done(
        Failed(Error{ErrorCode::kResourceExhausted, "too many requests are waiting on this node",
                     "", "Nothing was done. Slow down and try again.", 100}));
  }
}

void Node::CallRead(const Method& method, std::string request, CallOptions options, Done done) {
  if (method.options.linearizable() && options.consistency == Consistency::kSession) {
    options.consistency = Consistency::kLinearizable;
  }
  if (options.consistency == Consistency::kStale) {
    ReadNow(method, request, std::move(done));
    return;
  }
  if (!founded_.load(std::memory_order_acquire)) {
    done(Failed(NotFounded()));
    return;
  }
  const uint64_t deadline_ms = DeadlineMs(options);
  const bool has_token = options.consistency == Consistency::kSession && options.after.value != 0;
  if (has_token && parts_.machine.applied() >= options.after) {
    ReadNow(method, request, std::move(done));
    return;
  }
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  if (auto refusal = read_admission_.Refusal(deadline_ms > now_ms ? deadline_ms - now_ms : 0)) {
    done(Failed(*std::move(refusal)));
    return;
  }
  if (waiting_reads_.fetch_add(1) >= bounds::kWaitingReadsMax) {
    --waiting_reads_;
    done(Failed(Error{ErrorCode::kResourceExhausted, "too many reads are waiting on this node", "",
                      "Slow down and try again, or ask another node.", 100}));
    return;
  }
  read_admission_.Enter(0);
  done = [this, done = std::move(done)](Reply reply) mutable {
    --waiting_reads_;
    read_admission_.Leave(0, reply.body.has_value());
    done(std::move(reply));
  };
  if (has_token) {
    ReadAt(options.after, "holdfast-after", deadline_ms, method, std::move(request),
           std::move(done));
    return;
  }
  OnLoop(
      [this, deadline_ms, &method, request = std::move(request), done = std::move(done)]() mutable {
        reads_->Add(deadline_ms, [this, deadline_ms, &method, request = std::move(request),
                                  done = std::move(done)](Result<LogIndex> index) mutable {
          if (!index) {
            done(Failed(index.error()));
            return;
          }
          ReadAt(*index, "", deadline_ms, method, std::move(request), std::move(done));
        });
      });
}

void Node::ReadAt(LogIndex index, const char* field, uint64_t deadline_ms, const Method& method,
                  std::string request, Done done) {
  auto pending = std::make_shared<PendingRead>(std::move(done));
  const auto ticket =
      applier_.WhenApplied(index, [this, pending, &method, request = std::move(request)]() mutable {
        parts_.reads.Post([this, pending, &method, request = std::move(request)] {
          if (pending->Take()) ReadNow(method, request, std::move(pending->done));
        });
      });
  if (!ticket) return;
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  const uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
  parts_.loop.PostAfter(left_ms, [this, pending, index, field, ticket] {
    if (!pending->Take()) return;
    applier_.Forget(index, *ticket);
    pending->done(
        Failed(Error{ErrorCode::kDeadlineExceeded,
                     "this node had not reached log position " + index.ToString() + " in time",
                     field, "Ask another node, or allow more time.",
                     static_cast<uint32_t>(bounds::kRetryAfterMsDefault)}));
  });
}

void Node::ReadNow(const Method& method, const std::string& request, Done done) {
  google::protobuf::Arena arena;
  Message* body = method.request->New(&arena);
  HOLDFAST_CHECK(body->ParseFromString(request), "an unchecked request: " + method.full_name);
  state_machine::Position at;
  Reply reply;
  reply.body = parts_.machine.Read(method, *body, &at);
  reply.position = at.applied;
  {
    std::lock_guard lock(status_mutex_);
    const uint64_t now_ms = parts_.clock.MonotonicMs();
    const uint64_t contact_ms = freshness_.ContactMs(at.applied);
    reply.age = std::chrono::milliseconds(now_ms > contact_ms ? now_ms - contact_ms : 0);
  }
  done(std::move(reply));
}

Leadership Node::Leadership() const {
  std::lock_guard lock(status_mutex_);
  return {status_.id, status_.leader, status_.term};
}

NodeStatus Node::status() const {
  const state_machine::Position position = parts_.machine.position();
  std::lock_guard lock(status_mutex_);
  NodeStatus status = status_;
  status.applied = position.applied;
  status.digest = position.digest;
  status.apply_backlog = applying_.load();
  status.now = position.now;
  status.founded = founded_.load(std::memory_order_acquire);
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  status.waiting_reads = waiting_reads_.load(std::memory_order_relaxed);
  status.live = now_ms < swept_ms_.load(std::memory_order_relaxed) + kLoopSilentMsMax;
  const uint64_t contact_ms = freshness_.ContactMs(status.applied);
  status.caught_up = contact_ms != 0;
  status.silent_ms = now_ms > contact_ms ? now_ms - contact_ms : 0;
  const bool heard = status.silent_ms < 2 * options_.raft.election_timeout_ms;
  status.ready = status.founded && status.leader.value != 0 && heard;
  return status;
}

}  // namespace holdfast::node
