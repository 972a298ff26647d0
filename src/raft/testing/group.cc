#include "src/raft/testing/group.h"

#include <algorithm>
#include <cstdio>

namespace holdfast::raft::sim {
namespace {

std::vector<const MemoryLog*> DisksOf(const auto& servers) {
  std::vector<const MemoryLog*> disks;
  disks.reserve(servers.size());
  for (const auto& server : servers) disks.push_back(&server->log);
  return disks;
}

template <class Server>
std::vector<std::unique_ptr<Server>> MakeServers(size_t count) {
  std::vector<std::unique_ptr<Server>> servers;
  for (uint64_t id = 1; id <= count; ++id) {
    servers.push_back(std::make_unique<Server>());
    servers.back()->id = NodeId(id);
  }
  return servers;
}

}  // namespace

Group::Group(const GroupOptions& options)
    : options_(options),
      random_(options.seed),
      network_(events_, random_, options.nodes,
               [this](NodeId from, NodeId to, const Frame& frame) { Deliver(from, to, frame); }),
      servers_(MakeServers<Server>(options.nodes)),
      history_(DisksOf(servers_)) {
  const size_t founders = options.founders == 0 ? options.nodes : options.founders;
  for (uint64_t id = 1; id <= founders; ++id) founding_.voters.push_back(NodeId(id));
  for (auto& server : servers_) {
    Replica::FoundLog(server->log, founding_);
    server->log.Write(1);
    server->log.set_before_effect([this, raw = server.get()] { CountEffect(*raw); });
    server->membership = founding_;
    if (!founding_.Has(server->id)) server->state = State::kOut;
    Restart(server->id);
  }
}

NodeId Group::Leader() const {
  NodeId leader;
  for (const auto& server : servers_) {
    if (!IsLeader(server->id)) continue;
    if (leader.value == 0 || replica(server->id).term() > replica(leader).term()) {
      leader = server->id;
    }
  }
  return leader;
}

template <class Event>
void Group::Run(Server& server, Event event) {
  if (!server.replica) return;
  try {
    event();
    Observe(server);
    if (server.replica) AdoptMembership(server);
    if (!server.replica) return;
    server.reads->Step(events_.now_ms());
    StartWrite(server);
    SetTimer(server);
  } catch (const Dies&) {
    Crash(server.id);
  }
}

void Group::CountEffect(Server& server) {
  if (server.effects_to_live > 0 && --server.effects_to_live == 0) throw Dies{};
}

void Group::Crash(NodeId node, bool links) {
  Server& server = At(node);
  if (!server.replica) return;
  Trace("node " + node.ToString() + " crashes");
  server.replica.reset();
  server.reads.reset();
  ++server.incarnation;
  ++server.write_generation;
  ++server.timer_generation;
  server.effects_to_live = 0;
  server.proposed.clear();
  const size_t whole = random_.Between(0, server.writing);  // One draw at a time: the order of
  const size_t part = random_.Between(0, 3);  // arguments is the compiler's to choose.
  server.log.Crash(whole, part);
  server.writing = 0;
  server.fetching = false;
  if (links) {
    network_.BreakAllOf(node);
  } else {
    network_.BreakAllTo(node);
  }
  // A process ends, which its peers are told by its kernel; or the machine, which nobody is told.
  if (random_.Between(0, 1) == 0) return;
  for (const auto& other : servers_) {
    if (other->id == node) continue;
    events_.After(random_.Between(50, 2'000),
                  [this, other = other->id, node] { SeeLinkDown(other, node); });
  }
}

void Group::SeeLinkDown(NodeId node, NodeId peer) {
  Server& server = At(node);
  Run(server, [&] { server.replica->LinkDown(events_.now_ms(), peer); });
}

void Group::Wipe(NodeId node) {
  Server& server = At(node);
  Crash(node, false);
  Trace("node " + node.ToString() + " loses its disk");
  server.log.Lose();
  Replica::FoundLog(server.log, founding_);
  server.log.Write(1);
  server.checkpoint = LogIndex(0);
  server.rejoining = true;
  history_.NoteLost(&server.log);
}

// --- Membership

Membership Group::membership() const {
  const NodeId leader = Leader();
  return leader.value == 0 ? Membership{{}} : replica(leader).membership();
}

bool Group::IsChanging() const {
  std::optional<LogIndex> index;
  for (const auto& server : servers_) {
    if (server->state == State::kOut) continue;
    if (server->state == State::kHerald) return true;
    if (index.value_or(server->membership.index) != server->membership.index) return true;
    index = server->membership.index;
    for (LogIndex i = std::max(server->log.first(), index->Next()); i <= server->log.last();
         i = i.Next()) {
      if (server->log.TypeAt(i) == wal::EntryType::kConfiguration) return true;
    }
  }
  return false;
}

void Group::ChangeMembership(Change change, NodeId node) {
  const NodeId leader = Leader();
  if (leader.value == 0) return;
  Server& server = At(leader);
  Membership next = server.replica->membership();
  const auto insert = [node](std::vector<NodeId>* nodes) {
    nodes->insert(std::upper_bound(nodes->begin(), nodes->end(), node), node);
  };
  switch (change) {
    case Change::kAdd:
      if (next.Has(node) || At(node).state != State::kOut) return;
      insert(&next.learners);
      break;
    case Change::kPromote:
      if (!next.Has(node) || next.IsVoter(node)) return;
      std::erase(next.learners, node);
      insert(&next.voters);
      break;
    case Change::kRemove:
      if (!next.Has(node) || node == leader || next.voters.size() == 1) return;
      std::erase(next.learners, node);
      std::erase(next.voters, node);
      break;
  }
  Run(server, [&] {
    const auto position = server.replica->ProposeMembership(events_.now_ms(), next);
    if (!position) return;
    Trace("node " + leader.ToString() + " proposes a membership of " +
          std::to_string(next.voters.size()) + " voters and " +
          std::to_string(next.learners.size()) + " learners at entry " +
          position->index.ToString() + ", node " + node.ToString() + " being changed");
  });
}

void Group::AdoptMembership(Server& server) {
  const std::optional<Membership>& next = server.replica->next_membership();
  if (!next || !server.replica->all_durable()) return;
  const Membership before = server.membership;
  server.membership = *next;
  if (server.membership.index > changes_seen_) {
    changes_seen_ = server.membership.index;
    ++changes_;
  }
  Trace("node " + server.id.ToString() + " goes by membership " +
        server.membership.index.ToString());
  const std::vector<NodeId> members = server.membership.All();
  for (NodeId member : members) {
    if (At(member).state == State::kOut) Enlist(At(member), server.membership);
  }
  for (NodeId member : before.All()) TellMembership(server, member);
  for (NodeId member : members) TellMembership(server, member);
  if (!server.membership.Has(server.id)) {
    Crash(server.id, false);
    server.state = State::kHerald;
    Trace("node " + server.id.ToString() + " has been removed");
    Herald(server);
    return;
  }
  server.replica->Adopt(events_.now_ms());
  Observe(server);
}

void Group::Enlist(Server& server, const Membership& membership) {
  server.log.Lose();
  Replica::FoundLog(server.log, founding_);
  server.log.Write(1);
  server.checkpoint = LogIndex(0);
  server.rejoining = false;  // Who is new has promised nothing.
  server.state = State::kMember;
  server.membership = membership;
  events_.After(random_.Between(1'000, 1'000'000), [this, &server] { Restart(server.id); });
}

// Until a majority goes by the new membership the old one may still need this server: it stays to
// tell them.
void Group::Herald(Server& server) {
  size_t told = 0;
  for (NodeId voter : server.membership.voters) {
    told += At(voter).membership.index >= server.membership.index ? 1 : 0;
  }
  if (told >= server.membership.Majority()) {
    server.state = State::kOut;
    return;
  }
  for (NodeId member : server.membership.All()) TellMembership(server, member);
  events_.After(300'000, [this, &server] { Herald(server); });
}

void Group::TellMembership(Server& server, NodeId to) {
  if (to != server.id) network_.Send(server.id, to, server.membership);
}

// ---

size_t Group::rejoining() const {
  size_t count = 0;
  for (const auto& server : servers_) count += server->rejoining ? 1 : 0;
  return count;
}

void Group::Checkpoint(NodeId node) {
  Server& server = At(node);
  Run(server, [&] {
    if (server.committed <= server.checkpoint) return;
    server.checkpoint = server.committed;
    server.replica->Checkpointed(events_.now_ms(), server.checkpoint);
  });
}

// The files travel while the server goes on as it is.
void Group::FetchCheckpoint(Server& server) {
  if (server.fetching || !server.replica->behind()) return;
  server.fetching = true;
  const NodeId leader = server.replica->behind()->leader;
  if (IsUp(leader)) At(leader).replica->HoldFor(server.id, At(leader).checkpoint);
  const uint64_t incarnation = server.incarnation;
  events_.After(random_.Between(1'000, 400'000), [this, &server, leader, incarnation] {
    if (server.incarnation != incarnation) return;
    server.fetching = false;
    if (!server.replica || !IsUp(leader) || !IsLeader(leader)) return;
    Install(server, At(leader));
  });
}

// The server ends, its state is replaced, and it starts anew.
void Group::Install(Server& server, const Server& source) {
  const LogIndex index = source.checkpoint;
  const Term term = source.log.TermAt(index);
  const Term source_term = source.replica->term();
  if (index <= server.committed || server.log.TermAt(index) == term) return;
  Trace("node " + server.id.ToString() + " installs the checkpoint of node " +
        source.id.ToString() + " at entry " + index.ToString());
  Crash(server.id);
  server.checkpoint = index;
  wal::HardState state = server.log.hard_state();
  if (state.term < source_term) state = {source_term, NodeId(0)};
  server.log.SaveHardState(state);
  server.log.Reset(index.Next(), term);
  ++installs_;
  Restart(server.id);
}

void Group::Restart(NodeId node) {
  Server& server = At(node);
  if (server.replica || server.state != State::kMember) return;
  Trace("node " + node.ToString() + " starts");
  EngineOptions options = options_.engine;
  options.id = node;
  options.seed = static_cast<uint32_t>(random_.Next());
  server.committed = server.checkpoint;
  server.led = Term(0);
  server.timer_us = 0;
  server.replica = std::make_unique<Replica>(
      options, server.membership, server.log,
      [this, &server](NodeId to, LogIndex membership, Message message) {
        CountEffect(server);
        network_.Send(server.id, to, RaftFrame{membership, std::move(message)});
      },
      options_.retention);
  server.reads = std::make_unique<ReadIndex>(*server.replica, node,
                                             [this, &server](const ReadIndex::Probe& probe) {
                                               for (const auto& other : servers_) {
                                                 if (other->id != server.id)
                                                   network_.Send(server.id, other->id, probe);
                                               }
                                             });
  Run(server,
      [&] { server.replica->Start(events_.now_ms(), server.checkpoint, server.rejoining); });
}

void Group::SetDisk(NodeId node, uint64_t min_us, uint64_t max_us) {
  Server& server = At(node);
  server.disk_min_us = min_us;
  server.disk_max_us = max_us;
  if (server.writing > 0) ScheduleWrite(server);
}

void Group::StartWrite(Server& server) {
  if (server.writing > 0 || server.log.queued() == 0) return;
  server.writing = random_.Between(1, server.log.queued());
  ScheduleWrite(server);
}

void Group::ScheduleWrite(Server& server) {
  const uint64_t generation = ++server.write_generation;
  events_.After(random_.Between(server.disk_min_us, server.disk_max_us),
                [this, &server, generation] {
                  if (generation != server.write_generation) return;
                  const wal::Ticket ticket = server.log.Write(server.writing);
                  server.writing = 0;
                  Run(server, [&] { server.replica->Durable(events_.now_ms(), ticket); });
                });
}

void Group::HandOver(NodeId node) {
  Server& server = At(node);
  Run(server, [&] { server.replica->HandOver(events_.now_ms()); });
}

std::optional<Replica::Position> Group::Propose(NodeId node, std::string payload) {
  Server& server = At(node);
  std::optional<Replica::Position> position;
  Run(server, [&] {
    position = server.replica->Propose(events_.now_ms(), std::move(payload));
    if (!position) return;
    // What this server once proposed at or above has been overwritten.
    std::deque<Replica::Position>& proposed = server.proposed;
    while (!proposed.empty() && proposed.back().index >= position->index) proposed.pop_back();
    proposed.push_back(*position);
  });
  return position;
}

void Group::RequestRead(NodeId node, ReadIndex::Done done) {
  Server& server = At(node);
  Run(server, [&] {
    // Whatever any server shows as committed by now, a caller may have seen.
    server.reads->Request([this, node, floor = history_.last(),
                           done = std::move(done)](std::optional<LogIndex> index) mutable {
      if (index) {
        Require(*index >= floor, "a read asked of node " + node.ToString() + " is served at " +
                                     index->ToString() + ", but " + floor.ToString() +
                                     " was committed before it was asked");
      }
      ++(index ? reads_served_ : reads_refused_);
      if (done) done(index);
    });
  });
}

void Group::Deliver(NodeId from, NodeId to, const Frame& frame) {
  Server& server = At(to);
  Run(server, [&] {
    if (const auto* raft = std::get_if<RaftFrame>(&frame)) {
      if (!server.replica->Receive(events_.now_ms(), from, raft->membership, raft->message)) {
        TellMembership(server, from);
      }
    } else if (const auto* membership = std::get_if<Membership>(&frame)) {
      if (membership->index < server.membership.index) TellMembership(server, from);
      server.replica->Learn(*membership);
    } else if (const auto* probe = std::get_if<ReadIndex::Probe>(&frame)) {
      if (!server.replica->takes_part()) return;
      network_.Send(to, from, ProbeResult{server.replica->term(), probe->sequence});
    } else if (const auto* result = std::get_if<ProbeResult>(&frame)) {
      server.reads->Answer(from, result->term, result->sequence);
    }
  });
}

void Group::Observe(Server& server) {
  const Replica& replica = *server.replica;
  const std::string name = "node " + server.id.ToString();
  if (!replica.takes_part()) return;
  Require(server.log.hard_state().term == replica.term(), name + " has not saved its term");
  if (replica.caught_up()) {
    server.rejoining = false;
    history_.NoteRejoined(&server.log);
    ++rejoins_;
    server.replica->Rejoined();
    Trace(name + " has rejoined");
  }
  FetchCheckpoint(server);
  if (replica.role() == Role::kLeader && server.led != replica.term()) {
    server.led = replica.term();
    Trace(name + " leads term " + server.led.ToString() + " from " + server.log.last().ToString());
    history_.NoteLeader(server.id, server.led, server.log);
  }
  const LogIndex committed = replica.committed();
  Require(committed >= server.committed, name + "'s committed index went back from " +
                                             server.committed.ToString() + " to " +
                                             committed.ToString());
  if (committed > server.committed) {
    history_.NoteCommitted(server.id, replica.term(), replica.membership(), server.committed,
                           committed, server.log);
    server.committed = committed;
  }
  while (!server.proposed.empty() && server.proposed.front().index <= committed) {
    const Replica::Position position = server.proposed.front();
    server.proposed.pop_front();
    if (server.log.TermAt(position.index) != position.term) continue;  // Certainly lost.
    history_.NoteAcknowledged(replica.membership(), position.index, position.term);
    ++server.acknowledged;
  }
}

void Group::SetTimer(Server& server) {
  // A timer that lies in the past fires as soon as time has moved on.
  const uint64_t due_us =
      std::max(server.replica->timeout_ms() * 1000, (events_.now_ms() + 1) * 1000);
  if (due_us == server.timer_us) return;
  server.timer_us = due_us;
  const uint64_t generation = ++server.timer_generation;
  events_.At(due_us, [this, &server, generation] {
    if (generation != server.timer_generation) return;
    server.timer_us = 0;
    Run(server, [&] { server.replica->Tick(events_.now_ms()); });
  });
}

bool Group::RunUntil(uint64_t ms, const std::function<bool()>& condition) {
  const uint64_t end = events_.now_us() + ms * 1000;
  while (!condition()) {
    if (events_.now_us() >= end) return false;
    RunFor(1);
  }
  return true;
}

bool Group::Converged() const {
  const NodeId leader = Leader();
  if (leader.value == 0) return false;
  for (NodeId member : replica(leader).membership().All()) {
    const auto& server = servers_[member.value - 1];
    if (!server->replica || server->replica->term() != replica(leader).term()) return false;
    if (server->membership.index != replica(leader).membership().index) return false;
    if (server->committed != log(leader).last() || server->rejoining) return false;
  }
  return true;
}

std::string Group::Describe() const {
  std::string text;
  for (const auto& server : servers_) {
    text += "\n  node " + server->id.ToString() + ": ";
    if (!server->replica) {
      text += "down";
      continue;
    }
    static constexpr const char* kRoles[] = {"follower", "candidate", "leader"};
    text += std::string(kRoles[static_cast<int>(server->replica->role())]) + " of term " +
            server->replica->term().ToString() + ", last " + server->log.last().ToString() +
            ", durable " + server->log.durable_last().ToString() + ", committed " +
            server->replica->committed().ToString() + ", membership " +
            server->membership.index.ToString() + ", follows " +
            server->replica->leader().ToString();
  }
  return text;
}

void Group::Trace(const std::string& what) const {
  if (!options_.trace) return;
  std::printf("%12.3f ms  %s\n", static_cast<double>(events_.now_us()) / 1000, what.c_str());
}

}  // namespace holdfast::raft::sim
