// The adapter's memory, under the address and leak sanitizers: every way in which libraft takes,
// keeps or gives back what it is handed. In a plain build these tests still check what comes out.
#include <gtest/gtest.h>

#include "src/raft/engine.h"
#include "src/raft/testing/memory_log.h"

namespace holdfast::raft {
namespace {

using sim::MemoryLog;

wal::Entry EntryOf(uint64_t term, std::string payload = "payload") {
  return {Term(term), wal::EntryType::kCommand,
          std::make_shared<const std::string>(std::move(payload))};
}

// One server, its effects carried out on the spot, its messages kept.
struct Server {
  NodeId id;
  MemoryLog log;
  std::unique_ptr<Engine> engine;
  uint64_t now_ms = 0;
  std::vector<Outgoing> sent;

  Membership membership;

  Server(NodeId node, size_t members) : id(node) {
    for (uint64_t i = 1; i <= members; ++i) membership.voters.push_back(NodeId(i));
    log.SaveHardState({Term(1), NodeId(0)});
    log.Append(LogIndex(1), {{Term(1), wal::EntryType::kConfiguration,
                              std::make_shared<const std::string>(membership.Encode())}});
    log.Write(1);
    Start();
  }
  void Start() {
    EngineOptions options;
    options.id = id;
    engine = NewLibraftEngine(options, membership);
    Do(engine->Start(now_ms, log.hard_state(), log, {}));
  }
  Effects Do(Effects effects) {
    if (effects.hard_state_changed) log.SaveHardState(effects.hard_state);
    if (!effects.entries.empty()) log.Append(effects.first, effects.entries);
    for (Outgoing& out : effects.messages) {
      if (auto* append = std::get_if<AppendEntries>(&out.message)) {
        for (uint64_t i = 1; i <= out.entry_count; ++i) {
          append->entries.push_back(log.Read(LogIndex(append->prev_index.value + i)));
        }
      }
      sent.push_back(out);
    }
    return effects;
  }
  Effects Receive(NodeId from, const Message& message) {
    return Do(engine->Receive(now_ms, from, message));
  }
  void Persist() {
    if (log.queued() == 0) return;
    log.Write(log.queued());
    Do(engine->Persisted(now_ms, log.last()));
  }
  void Tick() {
    now_ms = std::max(now_ms, engine->timeout_ms());
    Do(engine->Tick(now_ms));
  }
  std::vector<uint64_t> Terms() const {
    std::vector<uint64_t> terms;
    for (uint64_t i = 1; i <= log.last().value; ++i) {
      terms.push_back(log.TermAt(LogIndex(i)).value);
    }
    return terms;
  }
};

// Servers whose messages and writes all arrive at once.
struct Group {
  std::vector<std::unique_ptr<Server>> servers;

  explicit Group(size_t count) {
    for (uint64_t id = 1; id <= count; ++id) {
      servers.push_back(std::make_unique<Server>(NodeId(id), count));
    }
  }
  Server& operator[](uint64_t id) { return *servers[id - 1]; }
  void Settle() {
    for (bool busy = true; busy;) {
      busy = false;
      for (auto& server : servers) {
        server->Persist();
        for (Outgoing& out : std::exchange(server->sent, {})) {
          (*this)[out.to.value].Receive(server->id, out.message);
          busy = true;
        }
      }
    }
  }
  void Elect(uint64_t id) {
    for (auto& server : servers) server->now_ms += 10'000;
    (*this)[id].Tick();
    Settle();
  }
};

AppendEntries Append(uint64_t term, uint64_t prev, uint64_t prev_term,
                     const std::vector<uint64_t>& entry_terms, uint64_t commit = 0) {
  AppendEntries message{Term(term), LogIndex(prev), Term(prev_term), LogIndex(commit), {}};
  for (uint64_t entry_term : entry_terms) message.entries.push_back(EntryOf(entry_term));
  return message;
}

AppendEntriesResult AnswerOf(Server& server) {
  AppendEntriesResult result = std::get<AppendEntriesResult>(server.sent.at(0).message);
  server.sent.clear();
  return result;
}

TEST(LibraftEngine, ElectsReplicatesAndCommits) {
  Group group(3);
  group.Elect(1);
  ASSERT_EQ(group[1].engine->role(), Role::kLeader);
  Effects effects;
  ASSERT_TRUE(
      group[1].engine->Submit(group[1].now_ms, {EntryOf(2, "a"), EntryOf(2, "b")}, &effects));
  group[1].Do(std::move(effects));
  group.Settle();
  const LogIndex last = group[1].log.last();
  EXPECT_EQ(group[1].engine->commit(), last);
  EXPECT_EQ(*group[3].log.Read(last).payload, "b");
  EXPECT_EQ(group[3].engine->leader(), NodeId(1));
}

TEST(LibraftEngine, ASingleServerLeadsItself) {
  Server server(NodeId(1), 1);
  server.Tick();
  ASSERT_EQ(server.engine->role(), Role::kLeader);
  server.Persist();
  Effects effects;
  ASSERT_TRUE(
      server.engine->Submit(server.now_ms, {EntryOf(server.engine->term().value)}, &effects));
  server.Do(std::move(effects));
  server.Persist();
  EXPECT_EQ(server.engine->commit(), server.log.last());
}

TEST(LibraftEngine, KeepsOnlyWhatIsNewOfAnOverlappingAppend) {
  Server server(NodeId(1), 3);
  server.Receive(NodeId(2), Append(2, 1, 1, {2, 2, 2}));
  server.Persist();
  EXPECT_EQ(AnswerOf(server).last_index, LogIndex(4));

  const Effects overlap = server.Receive(NodeId(2), Append(2, 2, 2, {2, 2, 2}));
  EXPECT_EQ(overlap.first, LogIndex(5));
  EXPECT_EQ(overlap.entries.size(), 1u);

  // All of it known: the engine keeps the batch.
  const Effects again = server.Receive(NodeId(2), Append(2, 1, 1, {2, 2, 2}));
  EXPECT_TRUE(again.entries.empty());
  server.Persist();
  EXPECT_EQ(server.Terms(), (std::vector<uint64_t>{1, 2, 2, 2, 2}));
}

TEST(LibraftEngine, TruncatesAConflictingSuffix) {
  Server server(NodeId(1), 3);
  server.Receive(NodeId(2), Append(2, 1, 1, {2, 2, 2}));
  server.Persist();
  const Effects effects = server.Receive(NodeId(3), Append(3, 2, 2, {3, 3}));
  EXPECT_EQ(effects.first, LogIndex(3));
  EXPECT_EQ(server.engine->last_stored(), LogIndex(2));
  // Also of what is not durable yet.
  server.Receive(NodeId(2), Append(4, 3, 3, {4}));
  server.Persist();
  EXPECT_EQ(server.Terms(), (std::vector<uint64_t>{1, 2, 3, 4}));
}

TEST(LibraftEngine, RejectsAnAppendThatDoesNotFit) {
  Server server(NodeId(1), 3);
  server.Receive(NodeId(2), Append(2, 1, 1, {2}));
  server.Persist();
  server.sent.clear();

  EXPECT_TRUE(server.Receive(NodeId(2), Append(2, 7, 2, {2, 2})).entries.empty());
  AppendEntriesResult answer = AnswerOf(server);
  EXPECT_EQ(answer.rejected, LogIndex(7));
  EXPECT_EQ(answer.last_index, LogIndex(2));

  EXPECT_TRUE(server.Receive(NodeId(3), Append(4, 2, 3, {4})).entries.empty());
  answer = AnswerOf(server);
  EXPECT_EQ(answer.rejected, LogIndex(2));
  EXPECT_EQ(answer.request_term, Term(4));
}

TEST(LibraftEngine, FreesWhatAMessageOfAnOlderTermBrings) {
  Server server(NodeId(1), 3);
  server.Receive(NodeId(2), Append(5, 1, 1, {5}));
  server.Persist();
  server.sent.clear();
  // The guard answers these itself; the engine must cope all the same.
  EXPECT_TRUE(server.Receive(NodeId(3), Append(4, 1, 1, {4, 4})).entries.empty());
  server.Receive(NodeId(3), RequestVote{Term(4), LogIndex(9), Term(4), false, false});
  server.Receive(NodeId(3), RequestVoteResult{Term(4), true, false});
  server.Receive(NodeId(3), AppendEntriesResult{Term(4), Term(4), LogIndex(0), LogIndex(2)});
  server.Receive(NodeId(3), TimeoutNow{Term(4), LogIndex(2), Term(4)});
  EXPECT_EQ(server.engine->term(), Term(5));
  EXPECT_EQ(server.Terms(), (std::vector<uint64_t>{1, 5}));
}

TEST(LibraftEngine, TakesAMembershipEntryFromALeader) {
  // A server that lost nothing is sent the whole log again, the membership included.
  Server server(NodeId(1), 3);
  AppendEntries all = Append(2, 0, 0, {1, 2, 2});
  all.entries[0] = server.log.Read(LogIndex(1));
  const Effects effects = server.Receive(NodeId(2), all);
  EXPECT_EQ(effects.first, LogIndex(2));
  server.Persist();
  // A second one, still uncommitted, that another leader then takes back.
  AppendEntries change = Append(2, 3, 2, {2});
  change.entries[0].type = wal::EntryType::kConfiguration;
  change.entries[0].payload = server.log.Read(LogIndex(1)).payload;
  server.Receive(NodeId(2), change);
  server.Persist();
  EXPECT_EQ(server.Receive(NodeId(3), Append(3, 3, 2, {3})).first, LogIndex(4));
  server.Persist();
  EXPECT_EQ(server.log.TypeAt(LogIndex(4)), wal::EntryType::kCommand);
}

TEST(LibraftEngine, HandsLeadershipOver) {
  Group group(3);
  group.Elect(1);
  const Term before = group[1].engine->term();
  Effects effects;
  ASSERT_TRUE(group[1].engine->Transfer(group[1].now_ms, NodeId(2), &effects));
  group[1].Do(std::move(effects));
  EXPECT_FALSE(group[1].engine->Transfer(group[1].now_ms, NodeId(3), &effects));
  EXPECT_FALSE(group[1].engine->Submit(group[1].now_ms, {EntryOf(before.value)}, &effects));
  group.Settle();
  EXPECT_EQ(group[2].engine->role(), Role::kLeader);
  EXPECT_EQ(group[1].engine->role(), Role::kFollower);
  EXPECT_GT(group[2].engine->term(), before);
}

TEST(LibraftEngine, RefusesWhatCannotBeHandedOverOrSubmitted) {
  Group group(3);
  Effects effects;
  EXPECT_FALSE(group[1].engine->Submit(0, {EntryOf(1)}, &effects));
  EXPECT_FALSE(group[1].engine->Transfer(0, NodeId(2), &effects));
  group.Elect(1);
  EXPECT_FALSE(group[1].engine->Transfer(group[1].now_ms, NodeId(1), &effects));
  EXPECT_FALSE(group[1].engine->Transfer(group[1].now_ms, NodeId(9), &effects));
  EXPECT_TRUE(effects.messages.empty());
}

TEST(LibraftEngine, StepsDownWithEntriesOnTheWayToDisk) {
  Group group(3);
  group.Elect(1);
  const uint64_t term = group[1].engine->term().value;
  Effects effects;
  ASSERT_TRUE(group[1].engine->Submit(group[1].now_ms, {EntryOf(term), EntryOf(term)}, &effects));
  group[1].Do(std::move(effects));
  const LogIndex last = group[1].log.last();
  // A leader elected without this server takes back what nobody else has.
  group[1].Receive(NodeId(3), Append(term + 1, last.value - 2, 1, {term + 1}));
  EXPECT_EQ(group[1].engine->role(), Role::kFollower);
  group[1].Persist();
  EXPECT_EQ(group[1].log.TermAt(group[1].log.last()), Term(term + 1));
}

// What went wrong (libraft 0.22.1 alone): a refused pre-vote did not tell the receiver's term. The
// server with the longest log, its term behind the others', was refused for ever, and the others
// were refused for their logs: a group without a leader, restarts or not.
TEST(LibraftEngine, AServerWhoseTermIsBehindIsNotRefusedForEver) {
  Group group(3);
  const auto prepare = [&](uint64_t id, const std::vector<uint64_t>& terms, uint64_t term) {
    Server& server = group[id];
    const NodeId other(id % 3 + 1);
    server.Receive(other, Append(2, 1, 1, terms));
    server.Persist();
    server.Start();  // So that it knows no leader.
    server.Receive(other, RequestVote{Term(term), LogIndex(1), Term(1), false, false});
    server.sent.clear();
    ASSERT_EQ(server.engine->term(), Term(term));
  };
  prepare(1, {2, 2}, 9);
  prepare(2, {2, 2, 2}, 6);
  prepare(3, {2}, 11);
  const auto led = [&] {
    return group[1].engine->role() == Role::kLeader || group[2].engine->role() == Role::kLeader ||
           group[3].engine->role() == Role::kLeader;
  };
  for (int attempt = 0; attempt < 20 && !led(); ++attempt) {
    group[attempt % 3 + 1].Tick();
    group.Settle();
  }
  EXPECT_TRUE(led());
}

TEST(LibraftEngine, RestartsWithALog) {
  Group group(3);
  group.Elect(1);
  const Term term = group[1].engine->term();
  for (int round = 0; round < 3; ++round) {
    Effects effects;
    ASSERT_TRUE(group[1].engine->Submit(group[1].now_ms, {EntryOf(term.value)}, &effects));
    group[1].Do(std::move(effects));
    group.Settle();
  }
  Server& second = group[2];
  second.engine->ConfigurationCommitted(second.now_ms, LogIndex(1),
                                        Membership{{NodeId(1), NodeId(2), NodeId(3)}});
  second.Start();  // The engine before it is gone, its log stays.
  EXPECT_EQ(second.engine->term(), term);
  EXPECT_EQ(second.engine->last_stored(), second.log.last());
  second.engine->ConfigurationCommitted(second.now_ms, LogIndex(1),
                                        Membership{{NodeId(1), NodeId(2), NodeId(3)}});
  group[3].Start();  // While it follows a leader it would grant no pre-vote.
  group.Elect(2);
  EXPECT_EQ(second.engine->role(), Role::kLeader);
}

}  // namespace
}  // namespace holdfast::raft
