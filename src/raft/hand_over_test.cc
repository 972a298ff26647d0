// Leadership that is handed over: on request, because the disk stalls, and what an ex-leader may
// still answer. On simulated groups.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "src/base/testing/stopped.h"
#include "src/raft/testing/group.h"

namespace holdfast::raft::sim {
namespace {

constexpr uint64_t kElectionMs = EngineOptions{}.election_timeout_ms;
constexpr uint64_t kStallUs = 3'600'000'000;

class HandOverTest : public ::testing::Test {
 protected:
  HandOverTest() { spdlog::set_level(spdlog::level::off); }
  ~HandOverTest() override { spdlog::set_level(spdlog::level::info); }
  void Begin(size_t nodes, uint64_t seed) {
    GroupOptions options;
    options.nodes = nodes;
    options.seed = seed;
    group_ = std::make_unique<Group>(options);
    ASSERT_TRUE(group_->RunUntil(10 * kElectionMs, [&] { return group_->Leader().value != 0; }));
    first_ = group_->Leader();
    ASSERT_TRUE(Write(first_));
    ASSERT_TRUE(group_->RunUntil(kElectionMs, [&] { return group_->Converged(); }));
  }
  bool Write(NodeId node) {
    const uint64_t before = group_->acknowledged_by(node);
    return group_->Propose(node, "write") &&
           group_->RunUntil(kElectionMs, [&] { return group_->acknowledged_by(node) > before; });
  }
  bool AnotherLeadsWithin(uint64_t ms) {
    return group_->RunUntil(
        ms, [&] { return group_->Leader().value != 0 && group_->Leader() != first_; });
  }
  NodeId FirstFollower() const { return first_ == NodeId(1) ? NodeId(2) : NodeId(1); }
  // Of three, another leads, elected with everything committed, and has written nothing; the first
  // one follows it with an entry of its own behind that, which nobody else has.
  void FirstKeepsWhatItAloneHas() {
    group_->network().Isolate(first_, Network::Direction::kBoth, Network::Cut::kBreak);
    ASSERT_TRUE(group_->Propose(first_, "nobody else has it"));
    ASSERT_TRUE(AnotherLeadsWithin(10 * kElectionMs));
    second_ = group_->Leader();
    third_ = NodeId(6 - first_.value - second_.value);
    group_->network().RestoreAll();
    ASSERT_TRUE(group_->RunUntil(10 * kElectionMs, [&] {
      return group_->replica(first_).leader() == second_ && group_->IsLeader(second_) &&
             group_->replica(second_).MatchOf(first_) == group_->log(second_).last() &&
             group_->replica(second_).MatchOf(third_) == group_->log(second_).last();
    }));
    ASSERT_GT(group_->log(first_).last(), group_->log(second_).last());
  }

  testing::StopThrows stop_throws_;
  std::unique_ptr<Group> group_;
  NodeId first_, second_, third_;
  int deceived_ = 0;
};

TEST_F(HandOverTest, MovesLeadershipInAFewRoundTrips) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Begin(3, seed);
    group_->HandOver(first_);
    EXPECT_TRUE(AnotherLeadsWithin(50)) << "seed " << seed;
    EXPECT_TRUE(Write(group_->Leader())) << "seed " << seed;
    EXPECT_TRUE(group_->RunUntil(kElectionMs, [&] { return group_->Converged(); }));
  }
}

TEST_F(HandOverTest, AStalledDiskHandsOver) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Begin(3, seed);
    group_->SetDisk(first_, kStallUs, kStallUs);
    ASSERT_TRUE(group_->Propose(first_, "stuck"));
    EXPECT_TRUE(AnotherLeadsWithin(2 * kElectionMs)) << "seed " << seed;
    EXPECT_TRUE(group_->IsUp(first_));
    EXPECT_TRUE(Write(group_->Leader())) << "seed " << seed;
  }
}

// What went wrong: the dead follower had matched as much as the others and came first, so every
// attempt named it, and every attempt kept writes out for an election timeout.
TEST_F(HandOverTest, DoesNotHandOverToADeadFollower) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Begin(5, seed);
    group_->Crash(FirstFollower());
    group_->RunFor(2 * kElectionMs);
    ASSERT_EQ(group_->Leader(), first_);
    group_->HandOver(first_);
    EXPECT_TRUE(AnotherLeadsWithin(50)) << "seed " << seed;
  }
}

TEST_F(HandOverTest, AStalledDiskDoesNotHandOverToADeadFollower) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Begin(5, seed);
    group_->SetDisk(first_, kStallUs, kStallUs);
    ASSERT_TRUE(group_->Propose(first_, "stuck"));
    group_->RunFor(50);
    group_->Crash(FirstFollower());
    EXPECT_TRUE(AnotherLeadsWithin(4 * kElectionMs)) << "seed " << seed;
  }
}

// What went wrong: a leader that had written nothing named a follower whose log went on behind its
// own, with what was never committed. Such a one does not take over, and until the next write
// nothing cuts its log: every attempt named it, and kept writes out for an election timeout.
TEST_F(HandOverTest, AFollowerThatHasMoreThanTheLeaderTakesOver) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Begin(3, seed);
    ASSERT_NO_FATAL_FAILURE(FirstKeepsWhatItAloneHas()) << "seed " << seed;
    group_->Crash(third_);
    group_->RunFor(2 * kElectionMs);
    ASSERT_EQ(group_->Leader(), second_) << "seed " << seed;
    group_->HandOver(second_);
    EXPECT_TRUE(group_->RunUntil(50, [&] { return group_->Leader() == first_; }))
        << "seed " << seed;
    EXPECT_TRUE(Write(first_)) << "seed " << seed;
  }
}

// And so a server that had lost its disk never got its voice back while nobody wrote: its leader
// had counted on it, and could not hand over.
TEST_F(HandOverTest, ALostDiskComesBackThoughAFollowerHasMoreThanTheLeader) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Begin(3, seed);
    ASSERT_NO_FATAL_FAILURE(FirstKeepsWhatItAloneHas()) << "seed " << seed;
    group_->Wipe(third_);
    group_->RunFor(50);
    ASSERT_EQ(group_->Leader(), second_) << "seed " << seed;
    group_->Restart(third_);
    EXPECT_TRUE(group_->RunUntil(2 * kElectionMs, [&] { return !group_->IsRejoining(third_); }))
        << "seed " << seed << group_->Describe();
    EXPECT_TRUE(group_->RunUntil(kElectionMs, [&] { return group_->Converged(); })) << seed;
  }
}

TEST_F(HandOverTest, IsNotPossibleAlone) {
  Begin(1, 1);
  group_->HandOver(first_);
  EXPECT_TRUE(Write(first_));
}

// An ex-leader that nobody has told takes itself for the leader until it has missed its followers
// for an election timeout. In that time it must not serve what it no longer knows to be the latest.
TEST_F(HandOverTest, AnIsolatedExLeaderServesNoReads) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Begin(3, seed);
    group_->HandOver(first_);
    group_->RunFor(3);  // The word is out.
    group_->network().Isolate(first_, Network::Direction::kBoth, Network::Cut::kBreak);
    if (!AnotherLeadsWithin(kElectionMs / 2)) continue;  // It was not: nothing to see here.
    ASSERT_TRUE(Write(group_->Leader()));
    const bool deceived = group_->IsLeader(first_);
    bool answered = false;
    std::optional<LogIndex> index;
    group_->RequestRead(first_, [&](std::optional<LogIndex> result) {
      answered = true;
      index = result;
    });
    group_->RunFor(2 * kElectionMs);
    EXPECT_TRUE(answered) << "seed " << seed;
    EXPECT_FALSE(index) << "seed " << seed;
    EXPECT_FALSE(group_->IsLeader(first_));
    deceived_ += deceived ? 1 : 0;
    // The new leader does serve them.
    index.reset();
    group_->RequestRead(group_->Leader(), [&](std::optional<LogIndex> result) { index = result; });
    group_->RunFor(50);
    EXPECT_TRUE(index) << "seed " << seed;
  }
  EXPECT_GT(deceived_, 0) << "no run had two servers that took themselves for the leader";
}

}  // namespace
}  // namespace holdfast::raft::sim
