// A node: the replicated log, the state machine behind it, and the loop that drives both. Callers
// come in through the frontend.
//
//   caller's thread    in the frontend: stateless methods, stale reads and satisfied session reads
//                      run here
//   loop               owns consensus, routes writes and reads; never applies, never waits. What
//                      callers bring and the log writer reports is run by their threads, when the
//                      loop has nothing to do
//   apply              runs committed entries, answers writes, wakes reads
//   reads              runs the reads that had to wait
//   background         writes checkpoints
//   log writer         (in wal) groups what queued up into one write and one fdatasync
//
// Lives from Start to Stop. A broken invariant or a failed disk stops the process, not just the
// node.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "src/base/executor.h"
#include "src/clock/clock.h"
#include "src/node/applier.h"
#include "src/node/backup_export.h"
#include "src/node/checkpoint_exports.h"
#include "src/node/checkpoint_fetch.h"
#include "src/node/clock_keeper.h"
#include "src/node/disk_space.h"
#include "src/node/dispatcher.h"
#include "src/node/entry_stamps.h"
#include "src/node/freshness.h"
#include "src/node/frontend.h"
#include "src/node/hold_back.h"
#include "src/node/identity.h"
#include "src/node/peer_link.h"
#include "src/node/programs.h"
#include "src/node/read_router.h"
#include "src/node/write_router.h"
#include "src/raft/read_index.h"
#include "src/raft/replica.h"
#include "src/state_machine/machine.h"
#include "src/wal/log.h"

namespace holdfast::node {

struct NodeOptions {
  raft::EngineOptions raft;     // raft.id is the node's.
  std::vector<NodeId> members;  // Ascending, self included: those that found the cluster.
  // Where others are reached, host:port: those that the configuration knows.
  std::map<NodeId, std::string> addresses;
  uint64_t lifetime = 0;  // Another one in every life of the process.
  uint32_t restarts = 0;  // How often the process has begun anew, for the status.
  uint64_t checkpoint_interval_ms = bounds::kCheckpointIntervalMsDefault;  // At least so often.
  raft::Retention retention;                          // Of the log behind a checkpoint.
  uint64_t disk_reserve_bytes = 0;                    // See DiskSpace.
  size_t entry_requests = bounds::kEntryRequestsMax;  // That one entry takes at most.
  ClockOptions clock;
};

// What an operator wants to know; a copy at one moment.
struct NodeStatus {
  NodeId id;
  raft::Role role = raft::Role::kFollower;
  NodeId leader;  // 0: none known.
  Term term;
  LogIndex first;  // Of the log.
  LogIndex last;
  LogIndex committed;
  LogIndex applied;
  uint64_t digest = 0;     // Of the state after `applied`; equal on all nodes at equal positions.
  LogTime now;             // Log time of `applied`.
  uint32_t restarts = 0;   // Of this node in its process; see Server.
  bool rejoining = false;  // Has lost its disk, and no voice yet.
  bool founded = false;    // False: waiting for all members of a new cluster.
  std::string waiting;     // Not founded, or rejoining: for what; for people.
  bool ready = false;      // Can serve: knows a leader, and has heard of it lately.
  bool live = false;       // The loop runs; if it does not for long, only a restart helps.
  bool stopping = false;   // Takes no new work; set by whoever stops the node.
  bool disk_full = false;  // Takes no writes until there is room; see DiskSpace.
  uint64_t leader_changes = 0;  // How often another leader became known, in this life.
  bool caught_up = false;       // Has, in this life, applied all that it knew to be committed.
  uint64_t silent_ms = 0;       // Since this node last knew itself in touch with the log's end.
  size_t waiting_writes = 0;    // Neither proposed nor forwarded yet.
  size_t waiting_reads = 0;     // For a position, or for a word of the leader.
  size_t apply_backlog = 0;     // Entries committed and handed to the applier.
  struct Peer {
    NodeId id;
    LogIndex match;  // As leader: durable there. 0 otherwise.
    bool voter = true;
    bool heard = false;             // As leader: it has answered within the last election timeout.
    bool rejoining = false;         // As leader: it has no voice yet.
    std::string address;            // host:port, as this node reaches it.
    uint32_t behaviour_newest = 0;  // That its program can do, and ...
    std::string release;            // ... which it is; as it has said.
  };
  uint32_t behaviour = 0;  // The version in force after `applied`; 0: none yet.
  LogIndex membership;     // The index of the entry that names the members.
  bool voter = true;       // This node; otherwise it is a learner.
  std::vector<Peer> peers;
};

// The part of it that follows consensus, for who looks at every event: a simulator.
struct NodeStanding {
  raft::Role role = raft::Role::kFollower;
  NodeId leader;
  Term term;
  LogIndex last;
  LogIndex membership;
  bool rejoining = false;
  bool founded = false;
  bool disk_full = false;
};

// What an operator asks for; see docs/operations.md.
struct MembershipChange {
  enum class Kind { kAdd, kPromote, kRemove };
  Kind kind = Kind::kAdd;
  NodeId node;
  std::string address;  // kAdd: where the others reach it, host:port.
};

class Node : public Dispatcher, public PeerHandler {
 public:
  struct Parts {  // All must outlive the node.
    const Clock& clock;
    state_machine::Machine& machine;
    store::Store& store;
    wal::Log& log;
    Founding& founding;
    Executor& loop;
    Executor& apply;
    Executor& reads;
    Executor& background;
    FileSystem& files;
    std::string folder;  // The node's own; see checkpoint_install.h.
    CheckpointExports::Export export_store;
  };
  struct Endings {
    // Told, once, why this node cannot go on; must end the process.
    std::function<void(std::string)> fatal;
    // A checkpoint is to be installed: the node must be stopped and started anew. Any thread.
    std::function<void()> restart;
  };

  Node(NodeOptions options, Parts parts, Endings endings);
  ~Node() override;

  // Begins. `link` must deliver frames to this node and outlive Stop.
  void Start(PeerLink& link);
  // Asks for a change of the members; any thread but the loop. The index of the entry that names
  // the new ones, which come into force when it is committed; or that of the present ones, when
  // there is nothing to change. An Error when this node does not lead, or it cannot be done now.
  Result<LogIndex> ChangeMembership(MembershipChange change);
  // As above, without waiting: told on the loop, or never when the node stops before. Any thread.
  void ChangeMembership(MembershipChange change, std::function<void(Result<LogIndex>)> done);
  // Returns once consensus runs, which a new cluster does not before all its members have been met.
  void WaitUntilRunning();
  // Hands leadership over if it has it, and waits for that at most `patience_ms`.
  void HandOver(uint64_t patience_ms);
  // Answers the calls that wait for what is not there yet, so that nobody's door has to wait for
  // them; everything else goes on.
  void StopWaiting() { frontend_.StopWaiting(); }
  // Answers whoever still waits; after it the loop takes no event. Stop the link and the executors
  // before destruction.
  void Stop();

  // --- Dispatcher; any thread
  void Call(const state_machine::Method& method, std::string request, CallOptions options,
            Done done) override;
  node::Leadership Leadership() const override;
  std::optional<Error> Refusal(const state_machine::Method& method) override;
  NodeStatus status() const;
  NodeStanding standing() const;
  const ApplyMetrics& apply_metrics() const { return applier_.metrics(); }
  // What this node knows about the time of the world, and how.
  ClockReport clock_report() const;
  // The same without a copy, for who looks at every event; must not call the node.
  void LookAtClock(absl::FunctionRef<void(const ClockReport&)> look) const;
  // A server of time has been asked, and has answered or not; any thread.
  void ServerSays(size_t server, ClockKeeper::ServerWord word);
  BackupExport& backup() { return backup_; }
  // This node applies what is committed `delay_ms` later, for `for_ms`, unless it leads: HoldBack.
  void HoldBackFor(uint64_t delay_ms, uint64_t for_ms);

  // --- From the log's writer: appends up to `ticket` are durable. Any thread.
  void LogDurable(wal::Ticket ticket);

  // --- PeerHandler; the loop
  Hello Greeting() override;
  std::string OnHello(const Hello& peer) override;
  void OnFrames(NodeId from, uint64_t epoch, std::vector<PeerFrame> frames) override;
  void OnLinkDown(NodeId to) override;

 private:
  // Posts to the loop; a Step follows everything that came together.
  void OnLoop(Task event);
  // On this thread, when the loop has nothing to do; else as OnLoop. With no lock held. The event
  // must not wait for a disk: the thread has others to serve.
  void NowOnLoop(Task event);
  void Step();
  // The part of a step that saves nothing: at most an entry is read for a follower that lags.
  void Advance(uint64_t now_ms);
  void StepInTime(uint64_t now_ms);
  void Sweep();
  void FoundIfComplete();
  void FinishFounding();
  void SayHelloAgain(uint64_t now_ms);
  void RepeatHello(uint64_t now_ms);
  void SayHelloTo(NodeId peer);
  void HelloFrame(NodeId from, const Hello& peer);
  void Met(const Identity& peer);
  bool TakesAnothersPlace() const;
  bool AddedAgain(const Identity& peer);
  // As the leader: raises the behaviour when all can do it. Before any is in force nothing else is
  // proposed.
  void StepBehaviour(uint64_t now_ms);
  Result<LogIndex> ProposeMembership(const MembershipChange& change);
  void AdoptMembership();
  // Whether the membership in force is without this node.
  bool Removed() const;
  void BeginFarewell();
  void EndRemoved();
  void NoteHerald(const Identity& peer);
  void Misfits(NodeId from);
  std::map<NodeId, std::string> Peers() const;
  void FinishRejoin();
  void BeginConsensus();
  void HandCommitted();
  bool HandOverWhenLevel(uint64_t now_ms, const std::function<bool(NodeId)>& may = nullptr);
  // Keeps the time: node_clock.cc.
  void StepClock(uint64_t now_ms);
  void SeeStampsOfLog();
  void SeeStamp(const std::string& payload);
  void GiveWayInTime(uint64_t now_ms);
  void TellClock(uint64_t now_ms);
  void WatchDisk(uint64_t now_ms);
  void NoteLeader(NodeId leader);
  void WarnWithoutLeader(uint64_t now_ms);
  void PublishStatus();
  void PublishMembers();

  void AnswersLost(NodeId peer);
  void HandleFrame(NodeId from, PeerFrame& frame);
  void HandleForward(NodeId from, ForwardWrite& forward);
  void HandleCheckpointRequest(NodeId from, const CheckpointRequest& request);
  void SendCheckpoint(NodeId to, CheckpointReply reply);
  void StepCheckpoints(uint64_t now_ms);
  void CheckpointFetched(const CheckpointManifest& manifest);
  void SendRaft(NodeId to, LogIndex membership, const raft::Message& message);
  void StepBackup();
  void MakeBackup(uint64_t session);
  bool SendForward(NodeId leader, uint64_t id, const Write& write, uint64_t now_ms);

  // How old a state up to `applied` is; see Freshness. Any thread.
  std::chrono::milliseconds Age(LogIndex applied) const;

  const NodeOptions options_;
  Parts parts_;
  Endings endings_;
  PeerLink* link_ = nullptr;
  Frontend frontend_;  // Before whatever holds its callers: what they drop, it still counts.
  Applier applier_;
  CheckpointExports exports_;
  BackupExport backup_;

  // --- The loop's
  ClockKeeper clock_;
  EntryStamps stamps_;
  LogIndex clock_members_;      // The membership whose voters it asks.
  Term stamped_term_;           // As leader: in which it has looked at what its log was stamped.
  uint64_t begun_ms_ = 0;       // When consensus did.
  uint64_t timeless_ms_ = 0;    // As leader: since when it has not known the time.
  uint64_t giving_way_ms_ = 0;  // Until when writes wait, for another to take over; 0: they do not.
  bool gave_way_ = false;       // It was asked to.
  uint64_t give_way_pause_ms_ = bounds::kClockHandOverMs;  // Before the next attempt.
  uint64_t clock_hand_overs_ = 0;
  std::optional<clock::Status> clock_told_;  // In the node's log.
  uint64_t clock_published_ = 0;             // That version of the report.
  std::unique_ptr<raft::Replica> replica_;   // Once founded.
  std::unique_ptr<raft::ReadIndex> read_index_;
  std::unique_ptr<WriteRouter> writes_;
  std::unique_ptr<ReadRouter> reads_;
  std::map<NodeId, uint64_t> epochs_;
  LogIndex handed_;  // Given to the applier.
  HoldBack hold_back_;
  std::atomic<size_t> applying_{0};  // Entries that the applier has not finished.
  uint64_t told_proposal_ = 0;       // The list (by its name) that the others were told of ...
  uint64_t said_hello_ms_ = 0;       // ... and when.
  uint64_t leaderless_ms_ = 0;       // Since when no leader is known; 0: one is, or it was said.
  std::map<NodeId, std::string> refused_hellos_;  // Why, the last time.
  std::map<NodeId, uint64_t> misfit_ms_;  // When it was last told that it goes by other members.
  Programs programs_{ThisProgram()};      // Written under founding_mutex_.
  Term stepped_;                          // In which this leader has last raised the behaviour ...
  uint32_t stepped_to_ = 0;               // ... to this.
  bool removed_ = false;      // This node is no member any more: it only tells the others so ...
  std::set<NodeId> know_it_;  // ... until a majority of them knows it.
  wal::Ticket founding_ticket_ = 0;  // Of the log's first entry, while it becomes durable.
  uint64_t relief_ms_ = 0;           // When leadership was last given away for want of room.
  bool handing_over_ = false;        // Leadership goes to the first follower that has everything.
  CheckpointFetch fetch_;
  DiskSpace disk_;
  uint64_t checkpoint_ms_ = 0;  // When the last was asked for by time.
  bool installing_ = false;     // A checkpoint lies ready: nothing more is done but to stop.
  bool step_posted_ = false;
  uint64_t step_due_ms_ = UINT64_MAX;  // Of the step that is posted for a time.
  bool stopped_ = false;

  std::promise<void> running_;
  mutable std::mutex founding_mutex_;  // Of parts_.founding.

  std::atomic<uint64_t> swept_ms_{0};  // When the loop last ran, monotonic.

  mutable std::mutex status_mutex_;
  std::condition_variable status_changed_;
  NodeStatus status_;
  NodeId last_leader_;  // The last one known; 0 before the first.
  ClockReport clock_report_;
  Freshness freshness_;  // Under status_mutex_.
};

}  // namespace holdfast::node
