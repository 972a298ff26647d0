// One test or two for each rule of guard.h, against an engine that does as it is told. What the
// paper allows passes; what it forbids is dropped, corrected, or stops the node.
#include "src/raft/guard.h"

#include <gtest/gtest.h>

#include "src/base/testing/stopped.h"
#include "src/raft/testing/memory_log.h"

namespace holdfast::raft {
namespace {

using sim::MemoryLog;
using testing::Stopped;

constexpr NodeId kSelf(1);
constexpr NodeId kSecond(2);
constexpr NodeId kThird(3);

wal::Entry EntryOf(uint64_t term) {
  return {Term(term), wal::EntryType::kCommand, std::make_shared<const std::string>("x")};
}

// Returns the effects that the test has laid out, and shows the state that the test has set.
class ScriptedEngine : public Engine {
 public:
  Effects next;
  std::function<void()> on_event;  // Happens within the next event.
  std::vector<Message> received;
  Role role_now = Role::kFollower;
  Term term_now{1};
  LogIndex commit_now;
  LogIndex stored_now;

  Effects Start(uint64_t, const wal::HardState&, const wal::Log&, const Snapshot&) override {
    return Happen();
  }
  Effects Receive(uint64_t, NodeId, const Message& message) override {
    received.push_back(message);
    return Happen();
  }
  Effects Persisted(uint64_t, LogIndex index) override {
    stored_now = index;
    return Happen();
  }
  Effects Tick(uint64_t) override { return Happen(); }
  Effects Stand(uint64_t) override { return Happen(); }
  bool Submit(uint64_t, std::vector<wal::Entry>, Effects* effects) override {
    *effects = Happen();
    return true;
  }
  bool Transfer(uint64_t, NodeId, Effects* effects) override {
    *effects = Happen();
    return true;
  }
  Effects ConfigurationCommitted(uint64_t, LogIndex, const Membership&) override {
    return Happen();
  }
  Effects Snapshotted(uint64_t, LogIndex, LogIndex) override { return Happen(); }
  Role role() const override { return role_now; }
  Term term() const override { return term_now; }
  NodeId leader() const override { return NodeId(0); }
  LogIndex commit() const override { return commit_now; }
  LogIndex last_stored() const override { return stored_now; }
  uint64_t timeout_ms() const override { return 0; }

 private:
  Effects Happen() {
    if (on_event) std::exchange(on_event, nullptr)();
    return std::exchange(next, {});
  }
};

// A server of three whose log holds `terms` and is durable.
class GuardTest : public ::testing::Test {
 protected:
  void Begin(const std::vector<uint64_t>& terms, uint64_t term, NodeId vote = NodeId(0)) {
    std::vector<wal::Entry> entries;
    entries.reserve(terms.size());
    for (uint64_t entry_term : terms) entries.push_back(EntryOf(entry_term));
    if (!entries.empty()) {
      log_.Append(LogIndex(1), entries);
      log_.Write(1);
    }
    auto engine = std::make_unique<ScriptedEngine>();
    engine_ = engine.get();
    engine_->term_now = Term(term);
    engine_->stored_now = log_.last();
    guard_ = std::make_unique<Guard>(std::move(engine), kSelf, Membership{{kSelf, kSecond, kThird}},
                                     log_);
    guard_->Start(0, {Term(term), vote}, snapshot_, voice_);
  }
  // The engine moves to `term`, with a vote, and says so.
  void Save(uint64_t term, NodeId vote) {
    engine_->next.hard_state_changed = true;
    engine_->next.hard_state = {Term(term), vote};
    engine_->on_event = [this, term] { engine_->term_now = Term(term); };
    guard_->Tick(0);
  }
  void Lead(uint64_t term) {
    engine_->role_now = Role::kFollower;
    engine_->next.hard_state_changed = true;
    engine_->next.hard_state = {Term(term), kSelf};
    engine_->on_event = [this, term] {
      engine_->term_now = Term(term);
      engine_->role_now = Role::kLeader;
    };
    guard_->Tick(0);
  }
  // The engine appends; the log does too, not yet durably.
  void Append(uint64_t first, const std::vector<uint64_t>& terms) {
    engine_->next.first = LogIndex(first);
    for (uint64_t term : terms) engine_->next.entries.push_back(EntryOf(term));
    engine_->on_event = [this, first] {
      engine_->stored_now = std::min(engine_->stored_now, LogIndex(first - 1));
    };
    Effects effects = guard_->Tick(0);
    log_.Append(effects.first, effects.entries);
  }
  Effects Receive(Message message, NodeId from = kSecond) {
    return guard_->Receive(0, from, std::move(message));
  }
  // As the leader: a follower holds everything up to `last`.
  Effects Acknowledge(NodeId from, uint64_t last) {
    return Receive(
        AppendEntriesResult{engine_->term_now, engine_->term_now, LogIndex(0), LogIndex(last)},
        from);
  }
  Effects Commit(uint64_t index) {
    engine_->commit_now = LogIndex(index);
    return guard_->Tick(0);
  }
  static AppendEntries Request(uint64_t term, uint64_t prev, uint64_t prev_term, size_t entries,
                               uint64_t commit = 0) {
    return {Term(term), LogIndex(prev), Term(prev_term), LogIndex(commit),
            std::vector<wal::Entry>(entries, EntryOf(term))};
  }
  // What is left of a success that the engine sends in answer to `request`.
  uint64_t SuccessAfter(AppendEntries request, uint64_t last) {
    engine_->next.messages.push_back(
        {kSecond, AppendEntriesResult{engine_->term_now, request.term, LogIndex(0), LogIndex(last)},
         0});
    Effects effects = Receive(std::move(request));
    return std::get<AppendEntriesResult>(effects.messages.at(0).message).last_index.value;
  }

  testing::StopThrows stop_throws_;
  Snapshot snapshot_;  // What Begin starts from.
  bool voice_ = true;
  MemoryLog log_;
  ScriptedEngine* engine_ = nullptr;
  std::unique_ptr<Guard> guard_;
};

// Why the node stops at `event`; empty when it does not.
template <class Event>
std::string StopOf(Event event) {
  try {
    event();
    return "";
  } catch (const Stopped& stopped) {
    return stopped.what();
  }
}
#define EXPECT_STOPS(statement, why) \
  EXPECT_PRED_FORMAT2(::testing::IsSubstring, why, StopOf([&] { statement; }))

// --- Rule 2

TEST_F(GuardTest, AnswersARequestOfAnOlderTermItself) {
  Begin({1, 1}, 5);
  const Effects effects = Receive(Request(4, 2, 1, 1));
  EXPECT_TRUE(engine_->received.empty());
  ASSERT_EQ(effects.messages.size(), 1u);
  EXPECT_EQ(effects.messages[0].to, kSecond);
  const auto& answer = std::get<AppendEntriesResult>(effects.messages[0].message);
  EXPECT_EQ(answer.term, Term(5));
  EXPECT_EQ(answer.request_term, Term(4));
  EXPECT_EQ(answer.last_index, LogIndex(0));
}

TEST_F(GuardTest, PassesARequestOfTheCurrentTerm) {
  Begin({1, 1}, 5);
  EXPECT_TRUE(Receive(Request(5, 2, 1, 1)).messages.empty());
  EXPECT_EQ(engine_->received.size(), 1u);
}

// --- Rule 3

TEST_F(GuardTest, ClampsLeaderCommitToWhatTheMessageMatches) {
  Begin({1, 1}, 1);
  Receive(Request(1, 2, 1, 1, 9));
  EXPECT_EQ(std::get<AppendEntries>(engine_->received.at(0)).leader_commit, LogIndex(3));
}

TEST_F(GuardTest, LeavesALowerLeaderCommitAlone) {
  Begin({1, 1}, 1);
  Receive(Request(1, 2, 1, 1, 2));
  EXPECT_EQ(std::get<AppendEntries>(engine_->received.at(0)).leader_commit, LogIndex(2));
}

// --- Rule 4

// A server whose state comes from a checkpoint up to entry 10, with one entry behind it.
class GuardAfterCheckpoint : public GuardTest {
 protected:
  GuardAfterCheckpoint() {
    log_.Reset(LogIndex(11), Term(3));
    log_.Append(LogIndex(11), {EntryOf(4)});
    log_.Write(1);
    snapshot_ = {LogIndex(10), Term(3)};
    Begin({}, 4);
  }
  AppendEntries Passed() { return std::get<AppendEntries>(engine_->received.at(0)); }
};

TEST_F(GuardAfterCheckpoint, CutsOffWhatTheSnapshotCovers) {
  Receive(Request(4, 8, 2, 5));
  EXPECT_EQ(Passed().prev_index, LogIndex(10));
  EXPECT_EQ(Passed().prev_term, Term(3));
  EXPECT_EQ(Passed().entries.size(), 3u);
}

TEST_F(GuardAfterCheckpoint, AMessageThatItCoversWhollyBecomesAHeartbeat) {
  Receive(Request(4, 0, 0, 2, 9));
  EXPECT_EQ(Passed().prev_index, LogIndex(10));
  EXPECT_TRUE(Passed().entries.empty());
  EXPECT_EQ(Passed().leader_commit, LogIndex(9));
}

TEST_F(GuardAfterCheckpoint, LeavesAloneWhatIsAnchoredInTheLog) {
  Receive(Request(4, 11, 4, 1));
  EXPECT_EQ(Passed().prev_index, LogIndex(11));
  EXPECT_EQ(Passed().entries.size(), 1u);
}

TEST_F(GuardAfterCheckpoint, TellsALeaderThatIsFurtherWhatIsCommitted) {
  const Effects effects = Receive(Request(4, 20, 4, 0));
  ASSERT_EQ(effects.messages.size(), 1u);
  const auto& answer = std::get<AppendEntriesResult>(effects.messages[0].message);
  EXPECT_EQ(answer.rejected, LogIndex(0));
  EXPECT_EQ(answer.last_index, LogIndex(10)) << "entry 11 may be another at the leader";
}

TEST_F(GuardAfterCheckpoint, CommittedIsWhatTheSnapshotHolds) {
  EXPECT_EQ(guard_->committed(), LogIndex(10));
  EXPECT_STOPS(Append(10, {4}), "drop committed entry 10");
}

TEST_F(GuardTest, ALogThatBeginsBehindTheCheckpointStopsTheNode) {
  log_.Reset(LogIndex(12), Term(3));
  snapshot_ = {LogIndex(10), Term(3)};
  EXPECT_STOPS(Begin({}, 4), "the log begins at 12");
}

TEST_F(GuardTest, TheEngineNeverSeesASnapshotArrive) {
  Begin({1, 1}, 5);
  EXPECT_TRUE(Receive(InstallSnapshot{Term(5), LogIndex(9), Term(4)}).messages.empty());
  const Effects effects = Receive(InstallSnapshot{Term(4), LogIndex(9), Term(4)});
  EXPECT_EQ(std::get<AppendEntriesResult>(effects.messages.at(0).message).term, Term(5));
  EXPECT_TRUE(engine_->received.empty());
}

// A leader that has let go of its log takes a follower for behind that holds all of the checkpoint,
// and only does not know that it is committed.
TEST_F(GuardTest, WhoHoldsTheEndOfACheckpointSaysSo) {
  Begin({1, 1, 4}, 5);
  const auto answer = [this](uint64_t index, uint64_t term) {
    return Receive(InstallSnapshot{Term(5), LogIndex(index), Term(term)}).messages;
  };
  EXPECT_TRUE(answer(3, 1).empty()) << "another entry";
  EXPECT_TRUE(answer(4, 4).empty()) << "above what it holds";
  const auto messages = answer(3, 4);
  ASSERT_EQ(messages.size(), 1u);
  const auto& result = std::get<AppendEntriesResult>(messages.front().message);
  EXPECT_EQ(result.rejected, LogIndex(0));
  EXPECT_EQ(result.last_index, LogIndex(3));
  EXPECT_EQ(guard_->matched(), LogIndex(3));
  Append(4, {5});
  EXPECT_TRUE(answer(4, 5).empty()) << "not durable yet";
}

// --- Rule 9

TEST_F(GuardTest, ASnapshotAboveWhatIsCommittedStopsTheNode) {
  Begin({1, 1, 1}, 1);
  Receive(Request(1, 2, 1, 0));
  Commit(2);
  guard_->Snapshotted(0, LogIndex(2), LogIndex(1));
  EXPECT_STOPS(guard_->Snapshotted(0, LogIndex(2), LogIndex(1)), "the one before was at 2");
  EXPECT_STOPS(guard_->Snapshotted(0, LogIndex(3), LogIndex(1)), "committed is 2");
}

TEST_F(GuardTest, TheLogKeepsTheSnapshotsLastEntry) {
  Begin({1, 1, 1}, 1);
  Receive(Request(1, 3, 1, 0));
  Commit(3);
  EXPECT_STOPS(guard_->Snapshotted(0, LogIndex(2), LogIndex(3)), "the log would lose entry 2");
}

// --- Without a voice

TEST_F(GuardTest, AServerWithoutAVoiceNeitherVotesNorStands) {
  voice_ = false;
  Begin({1, 1}, 1);
  Receive(RequestVote{Term(2), LogIndex(9), Term(1)});
  Receive(RequestVote{Term(2), LogIndex(9), Term(1), false, true});
  Receive(TimeoutNow{Term(1), LogIndex(2), Term(1)});
  Receive(RequestVoteResult{Term(2), true, false});
  EXPECT_TRUE(engine_->received.empty());
  Receive(Request(1, 2, 1, 1));
  EXPECT_EQ(engine_->received.size(), 1u) << "but it stores";
  guard_->GiveVoice();
  Receive(RequestVote{Term(2), LogIndex(9), Term(1)});
  EXPECT_EQ(engine_->received.size(), 2u);
}

// --- Rule 5

TEST_F(GuardTest, CommitsWhatAMajorityHolds) {
  Begin({1, 2, 2}, 1);
  Lead(2);
  Acknowledge(kThird, 3);
  Commit(3);
  EXPECT_EQ(guard_->committed(), LogIndex(3));
}

TEST_F(GuardTest, StopsWhenTheEngineCommitsWhatNobodyElseHolds) {
  Begin({1, 2, 2}, 1);
  Lead(2);
  Acknowledge(kThird, 2);
  EXPECT_STOPS(Commit(3), "a majority is known to hold only 2");
}

TEST_F(GuardTest, CountsItsOwnDiskOnlyWhenItIsDurable) {
  Begin({1, 2}, 1);
  Lead(2);
  Append(3, {2});
  Acknowledge(kThird, 3);
  EXPECT_STOPS(Commit(3), "a majority is known to hold only 2");
}

TEST_F(GuardTest, CommitsThroughItsPeersButShowsOnlyWhatIsDurableHere) {
  Begin({1, 2}, 1);
  Lead(2);
  Append(3, {2});
  Acknowledge(kSecond, 3);
  Acknowledge(kThird, 3);
  Commit(3);
  EXPECT_EQ(guard_->agreed(), LogIndex(3));
  EXPECT_EQ(guard_->committed(), LogIndex(2));
  guard_->Persisted(0, LogIndex(3));
  EXPECT_EQ(guard_->committed(), LogIndex(3));
}

TEST_F(GuardTest, ForgetsTheTallyOfAnEarlierTerm) {
  Begin({1, 2, 2}, 1);
  Lead(2);
  Acknowledge(kThird, 3);
  Lead(4);
  Append(4, {4});
  guard_->Persisted(0, LogIndex(4));
  EXPECT_EQ(guard_->MatchOf(kThird), LogIndex(0));
  EXPECT_STOPS(Commit(4), "a majority is known to hold only 0");
}

TEST_F(GuardTest, StopsWhenTheEngineCommitsAnEntryOfAnOlderTerm) {
  Begin({1, 2, 2}, 2);
  Lead(3);
  Acknowledge(kThird, 3);
  EXPECT_STOPS(Commit(3), "of an older term");
}

TEST_F(GuardTest, AFollowerCommitsNoFurtherThanItsLeaderMatched) {
  Begin({1, 1, 1}, 1);
  Receive(Request(1, 2, 1, 0));
  Commit(3);
  EXPECT_EQ(guard_->committed(), LogIndex(2));
  Receive(Request(1, 3, 1, 0));
  EXPECT_EQ(guard_->committed(), LogIndex(3));
}

TEST_F(GuardTest, CommittedNeverGoesBackOnAFollower) {
  Begin({1, 1, 1}, 1);
  Receive(Request(1, 3, 1, 0));
  Commit(3);
  Commit(2);
  EXPECT_EQ(guard_->committed(), LogIndex(3));
}

TEST_F(GuardTest, CommittedNeverGoesBackOnALeader) {
  Begin({1, 2, 2}, 1);
  Lead(2);
  Acknowledge(kThird, 3);
  Commit(3);
  Commit(2);
  EXPECT_EQ(guard_->committed(), LogIndex(3));
}

// --- Rule 6

TEST_F(GuardTest, PassesASuccessThatIsTrue) {
  Begin({1, 1, 1}, 1);
  EXPECT_EQ(SuccessAfter(Request(1, 3, 1, 0), 3), 3u);
}

TEST_F(GuardTest, ASuccessNamesNothingThatTheLeaderDidNotMatch) {
  Begin({1, 1, 1}, 1);
  EXPECT_EQ(SuccessAfter(Request(1, 2, 1, 0), 3), 2u);
}

TEST_F(GuardTest, ASuccessNamesNothingAfterAnAnchorThatDiffers) {
  Begin({1, 1, 1}, 2);
  EXPECT_EQ(SuccessAfter(Request(2, 3, 2, 0), 3), 0u);
}

TEST_F(GuardTest, ASuccessNamesNothingThatIsNotDurable) {
  Begin({1, 1}, 1);
  Append(3, {1});
  EXPECT_EQ(SuccessAfter(Request(1, 3, 1, 0), 3), 2u);
}

TEST_F(GuardTest, ASuccessNamesNothingThatAnEarlierLeaderMatched) {
  Begin({1, 1, 1}, 1);
  EXPECT_EQ(SuccessAfter(Request(1, 3, 1, 0), 3), 3u);
  Save(2, NodeId(0));
  EXPECT_EQ(SuccessAfter(Request(2, 2, 1, 0), 3), 2u);
}

// --- Rule 10

TEST_F(GuardTest, TermAndVoteMoveAsThePaperAllows) {
  Begin({1}, 3);
  Save(3, kSecond);
  Save(3, kSecond);
  Save(4, NodeId(0));
  Save(7, kThird);
  EXPECT_EQ(guard_->term(), Term(7));
}

TEST_F(GuardTest, StopsAtASecondVote) {
  Begin({1}, 3, kSecond);
  EXPECT_STOPS(Save(3, kThird), "a second vote in term 3");
}

TEST_F(GuardTest, StopsWhenAVoteIsForgotten) {
  Begin({1}, 3, kSecond);
  EXPECT_STOPS(Save(3, NodeId(0)), "a second vote in term 3");
}

TEST_F(GuardTest, StopsWhenTheTermGoesBack) {
  Begin({1}, 3);
  EXPECT_STOPS(Save(2, NodeId(0)), "the term would go back");
}

TEST_F(GuardTest, StopsWhenANewTermIsNotSaved) {
  Begin({1}, 3);
  engine_->on_event = [this] { engine_->term_now = Term(4); };
  EXPECT_STOPS(guard_->Tick(0), "is not the saved one");
}

// --- Rule 11

TEST_F(GuardTest, DropsARejectionOfWhatTheFollowerHasMatched) {
  Begin({1, 2, 2}, 1);
  Lead(2);
  Acknowledge(kThird, 2);
  const size_t before = engine_->received.size();
  Receive(AppendEntriesResult{Term(2), Term(2), LogIndex(2), LogIndex(1)}, kThird);
  EXPECT_EQ(engine_->received.size(), before);
  Receive(AppendEntriesResult{Term(2), Term(2), LogIndex(3), LogIndex(1)}, kThird);
  EXPECT_EQ(engine_->received.size(), before + 1);
}

// --- Rule 12

TEST_F(GuardTest, DropsAResultThatAnswersAnotherTerm) {
  Begin({1, 2, 2}, 1);
  Lead(2);
  Receive(AppendEntriesResult{Term(2), Term(1), LogIndex(0), LogIndex(3)}, kThird);
  EXPECT_TRUE(engine_->received.empty());
  EXPECT_EQ(guard_->MatchOf(kThird), LogIndex(0));
  Receive(AppendEntriesResult{Term(2), Term(2), LogIndex(0), LogIndex(3)}, kThird);
  EXPECT_EQ(engine_->received.size(), 1u);
  EXPECT_EQ(guard_->MatchOf(kThird), LogIndex(3));
}

TEST_F(GuardTest, PassesAResultOfANewerTermSoThatTheLeaderStepsDown) {
  Begin({1, 2, 2}, 1);
  Lead(2);
  Receive(AppendEntriesResult{Term(3), Term(2), LogIndex(0), LogIndex(0)}, kThird);
  EXPECT_EQ(engine_->received.size(), 1u);
}

// --- What the log's and the group's invariants forbid besides

TEST_F(GuardTest, StopsWhenCommittedEntriesWouldBeDropped) {
  Begin({1, 1, 1}, 1);
  Receive(Request(1, 3, 1, 0));
  Commit(2);
  Append(3, {1});  // Not committed: allowed.
  EXPECT_STOPS(Append(2, {1}), "wants to drop committed entry 2");
}

TEST_F(GuardTest, StopsAtAGapInTheLog) {
  Begin({1, 1}, 1);
  EXPECT_STOPS(Append(4, {1}), "the engine leaves a gap");
}

TEST_F(GuardTest, StopsWhenEngineAndDiskDisagreeOnWhatIsDurable) {
  Begin({1, 1}, 1);
  engine_->stored_now = LogIndex(1);
  EXPECT_STOPS(guard_->Tick(0), "takes 1 as durable, not 2");
}

TEST_F(GuardTest, StopsWhenDurabilityIsReportedOutOfOrder) {
  Begin({1, 1}, 1);
  EXPECT_STOPS(guard_->Persisted(0, LogIndex(2)), "is called durable after 2");
  EXPECT_STOPS(guard_->Persisted(0, LogIndex(3)), "is called durable after 2");
}

TEST_F(GuardTest, StopsWhenAnotherServerLeadsTheSameTerm) {
  Begin({1}, 1);
  Lead(2);
  EXPECT_STOPS(Receive(Request(2, 1, 1, 0)), "also leads term 2");
}

TEST_F(GuardTest, OnlyALeaderSendsEntries) {
  Begin({1}, 1);
  engine_->next.messages.push_back({kSecond, Request(1, 1, 1, 0), 0});
  EXPECT_STOPS(guard_->Tick(0), "does not lead its term");
  Lead(2);
  engine_->next.messages.push_back({kSecond, Request(2, 1, 1, 0), 0});
  EXPECT_EQ(guard_->Tick(0).messages.size(), 1u);
}

TEST_F(GuardTest, DropsMessagesOfStrangersAndOfItself) {
  Begin({1}, 1);
  Receive(Request(1, 1, 1, 0), NodeId(4));
  Receive(Request(1, 1, 1, 0), kSelf);
  EXPECT_TRUE(engine_->received.empty());
}

TEST_F(GuardTest, DropsAnAcknowledgementOfWhatTheLeaderDoesNotHave) {
  Begin({1, 2}, 1);
  Lead(2);
  Acknowledge(kThird, 3);
  EXPECT_TRUE(engine_->received.empty());
  EXPECT_EQ(guard_->MatchOf(kThird), LogIndex(0));
}

}  // namespace
}  // namespace holdfast::raft
