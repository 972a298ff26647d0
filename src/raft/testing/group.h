// A group of real replicas over simulated disks, links and time. After every event of a server the
// group's History is checked.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/raft/read_index.h"
#include "src/raft/replica.h"
#include "src/raft/testing/event_queue.h"
#include "src/raft/testing/history.h"
#include "src/raft/testing/memory_log.h"
#include "src/raft/testing/network.h"

namespace holdfast::raft::sim {

struct GroupOptions {
  size_t nodes = 3;
  size_t founders = 0;  // The first so many found the group; 0: all.
  uint64_t seed = 1;
  EngineOptions engine;  // `id` and `seed` are the group's to fill in.
  Retention retention;
  bool trace = false;  // Says on stdout what happens.
};

class Group {
 public:
  explicit Group(const GroupOptions& options);
  Group(const Group&) = delete;

  EventQueue& events() { return events_; }
  Random& random() { return random_; }
  Network& network() { return network_; }
  History& history() { return history_; }
  size_t size() const { return servers_.size(); }

  bool IsUp(NodeId node) const { return At(node).replica != nullptr; }
  const Replica& replica(NodeId node) const { return *At(node).replica; }
  const MemoryLog& log(NodeId node) const { return At(node).log; }
  bool IsLeader(NodeId node) const { return IsUp(node) && replica(node).role() == Role::kLeader; }
  // Of the highest term, among those that run and take themselves for a leader; 0: none.
  NodeId Leader() const;

  // `links`: whether what it has sent is lost, too.
  void Crash(NodeId node, bool links = true);
  void Restart(NodeId node);
  // `node` sees its connection to `peer` break, as it does when the peer's process ends.
  void SeeLinkDown(NodeId node, NodeId peer);
  // The server dies at its `effects`-th effect from now: a save, an append or a message.
  void DieSoon(NodeId node, uint64_t effects) { At(node).effects_to_live = effects; }
  // How long each write takes, the one under way included.
  void SetDisk(NodeId node, uint64_t min_us, uint64_t max_us);
  void HandOver(NodeId node);
  // The state up to where the server is is made durable outside its log.
  void Checkpoint(NodeId node);
  // The server dies, its disk is lost. What it has sent still arrives.
  void Wipe(NodeId node);
  bool IsRejoining(NodeId node) const { return At(node).rejoining; }
  size_t rejoining() const;

  // The leader's; 0 voters: nobody leads.
  Membership membership() const;
  // Asks the leader to make `node` a learner, a learner a voter, or to remove it.
  enum class Change { kAdd, kPromote, kRemove };
  void ChangeMembership(Change change, NodeId node);
  // Not every server goes by the same membership, or a change is on its way.
  bool IsChanging() const;
  size_t VotersOf(NodeId node) const { return At(node).membership.voters.size(); }
  bool IsMember(NodeId node) const { return At(node).state == State::kMember; }
  std::optional<Replica::Position> Propose(NodeId node, std::string payload);
  // A linearizable read. `done` may be null; what must hold of its index is checked here.
  void RequestRead(NodeId node, ReadIndex::Done done = nullptr);

  void RunFor(uint64_t ms) { events_.RunUntil(events_.now_us() + ms * 1000); }
  // False when `ms` pass without it.
  bool RunUntil(uint64_t ms, const std::function<bool()>& condition);
  // Everyone runs, agrees on one leader, and has all of its log committed and durable.
  bool Converged() const;

  uint64_t reads_served() const { return reads_served_; }
  uint64_t installs() const { return installs_; }
  uint64_t rejoins() const { return rejoins_; }
  uint64_t changes() const { return changes_; }
  uint64_t reads_refused() const { return reads_refused_; }
  uint64_t acknowledged_by(NodeId node) const { return At(node).acknowledged; }
  std::string Describe() const;
  void Trace(const std::string& what) const;

 private:
  // Not a member, as far as it knows; or one; or no longer one, but others may not know that yet.
  enum class State { kOut, kMember, kHerald };
  struct Server {
    NodeId id;
    State state = State::kMember;
    Membership membership;  // As it is kept on its disk.
    MemoryLog log;
    LogIndex checkpoint;     // Durable beside the log ...
    bool rejoining = false;  // ... as is this.
    bool fetching = false;   // Another's checkpoint.
    std::unique_ptr<Replica> replica;
    std::unique_ptr<ReadIndex> reads;
    uint64_t incarnation = 0;
    LogIndex committed;  // As last seen; since the restart.
    Term led;            // As last noted with the history.
    std::deque<Replica::Position> proposed;
    uint64_t acknowledged = 0;
    uint64_t timer_us = 0;
    uint64_t timer_generation = 0;
    size_t writing = 0;  // How many appends the disk is at.
    uint64_t write_generation = 0;
    uint64_t disk_min_us = 200;
    uint64_t disk_max_us = 2'000;
    uint64_t effects_to_live = 0;  // 0: no end in sight.
  };
  struct Dies {};

  Membership founding_;

  Server& At(NodeId node) { return *servers_[node.value - 1]; }
  const Server& At(NodeId node) const { return *servers_[node.value - 1]; }
  // Runs one event of a server, with all that follows from it.
  template <class Event>
  void Run(Server& server, Event event);
  void CountEffect(Server& server);
  void AdoptMembership(Server& server);
  // A server that was not a member begins as one, with an empty disk.
  void Enlist(Server& server, const Membership& membership);
  void TellMembership(Server& server, NodeId to);
  void Herald(Server& server);
  void Observe(Server& server);
  void FetchCheckpoint(Server& server);
  void Install(Server& server, const Server& source);
  void SetTimer(Server& server);
  void StartWrite(Server& server);
  void ScheduleWrite(Server& server);
  void Deliver(NodeId from, NodeId to, const Frame& frame);

  const GroupOptions options_;
  EventQueue events_;
  Random random_;
  Network network_;
  std::vector<std::unique_ptr<Server>> servers_;
  History history_;
  uint64_t reads_served_ = 0;
  uint64_t reads_refused_ = 0;
  uint64_t installs_ = 0;
  uint64_t rejoins_ = 0;
  uint64_t changes_ = 0;
  LogIndex changes_seen_;  // The newest membership that is in force anywhere.
};

}  // namespace holdfast::raft::sim
