// Timers by log time: when they ring, in which order, and what survives.
#include "src/state_machine/timers.h"

#include <gtest/gtest.h>

#include "src/state_machine/testing/sample.h"

namespace holdfast::state_machine {
namespace {

using namespace testing;  // NOLINT: the sample service and its messages.
using Rung = std::vector<std::string>;

constexpr store::TableNumber kTimers{0, 3};

class TimersTest : public ::testing::Test {
 protected:
  // One entry that sets them all.
  void Set(int64_t now_us, const std::vector<std::pair<std::string, int64_t>>& timers) {
    std::vector<LogRequest> requests;
    requests.reserve(timers.size());
    for (const auto& [name, due_us] : timers) requests.push_back(RequestOf(RingOf(name, due_us)));
    for (const Outcome& outcome : node_.Apply(now_us, requests)) ASSERT_TRUE(outcome.reply);
  }
  void Cancel(int64_t now_us, const std::string& name, int64_t due_us) {
    CancelRequest request;
    request.set_name(name);
    request.set_ring_us(due_us);
    ASSERT_TRUE(node_.Apply(now_us, {RequestOf(kCancel, request)})[0].reply);
  }
  // 0: none.
  int64_t Next() { return node_.machine().NextTimer().value_or(LogTime{0}).us; }

  MachineOnDisk node_;
};

TEST_F(TimersTest, RingWhenDueInOrderOfTimeThenName) {
  Set(100, {{"late", 300}, {"b", 200}, {"a", 200}, {"early", 150}, {"b", 200}});
  EXPECT_EQ(Next(), 150);
  node_.Apply(149);
  EXPECT_EQ(node_.service().Rung(), Rung{});
  node_.Apply(200);
  EXPECT_EQ(node_.service().Rung(), (Rung{"early@3", "a@3", "b@3"})) << "set twice is one timer";
  EXPECT_EQ(Next(), 300);
  node_.Apply(1'000);
  EXPECT_EQ(node_.service().Rung(), (Rung{"early@3", "a@3", "b@3", "late@4"}));
  EXPECT_EQ(Next(), 0);
  EXPECT_TRUE(node_.Rows(kTimers).empty());
}

TEST_F(TimersTest, ATickIsAnEntryWithoutRequests) {
  Set(100, {{"a", 200}});
  EXPECT_TRUE(node_.Apply(200).empty());
  EXPECT_EQ(node_.service().Rung(), Rung{"a@2"});
}

TEST_F(TimersTest, AnEntryOfConsensusHasNoTime) {
  Set(100, {{"a", 101}});
  node_.Apply("");
  EXPECT_EQ(node_.service().Rung(), Rung{});
}

TEST_F(TimersTest, RingBeforeTheRequestsOfTheirEntry) {
  Set(100, {{"a", 200}});
  // A timer that is due when it is set waits for the next entry.
  Set(200, {{"past", 50}});
  EXPECT_EQ(node_.service().Rung(), Rung{"a@2"});
  EXPECT_EQ(Next(), 50);
  node_.Apply(201);
  EXPECT_EQ(node_.service().Rung(), (Rung{"a@2", "past@3"}));
  EXPECT_EQ(Next(), 0);
}

TEST_F(TimersTest, ABoundedNumberPerEntry) {
  constexpr size_t kMax = bounds::kTimersPerEntryMax;
  std::vector<std::pair<std::string, int64_t>> timers;
  for (size_t i = 0; i < kMax; ++i) timers.emplace_back(std::to_string(i), 200);
  timers.emplace_back("x", 201);  // After the others, by time.
  timers.emplace_back("y", 202);
  Set(100, timers);
  node_.Apply(1'000);
  EXPECT_EQ(node_.service().Rung().size(), kMax);
  EXPECT_EQ(Next(), 201) << "overdue: the leader ticks at once";
  node_.Apply(1'001);
  const Rung rung = node_.service().Rung();
  ASSERT_EQ(rung.size(), kMax + 2);
  EXPECT_EQ(rung[kMax - 1], "999@2");
  EXPECT_EQ(rung[kMax], "x@3");
  EXPECT_EQ(rung[kMax + 1], "y@3");
  EXPECT_EQ(Next(), 0);
}

TEST_F(TimersTest, AsManyRingAsALargeEntrySets) {
  std::vector<std::pair<std::string, int64_t>> timers;
  for (size_t i = 0; i < 3 * bounds::kTimersPerEntryMax; ++i) {
    timers.emplace_back(std::to_string(i), 200);
  }
  Set(100, timers);
  for (auto& [name, due_us] : timers) due_us = 9'000;
  Set(1'000, timers);
  EXPECT_EQ(node_.service().Rung().size(), timers.size());
  EXPECT_EQ(Next(), 9'000);
}

TEST_F(TimersTest, ACancelledTimerDoesNotRing) {
  Set(100, {{"a", 200}, {"b", 200}, {"c", 300}});
  Cancel(101, "a", 200);
  Cancel(102, "c", 299);  // There is none: another time is another timer.
  node_.Apply(250);
  EXPECT_EQ(node_.service().Rung(), Rung{"b@4"});
  Cancel(251, "c", 300);
  EXPECT_EQ(Next(), 300) << "may be early after a cancel ...";
  node_.Apply(300);
  EXPECT_EQ(Next(), 0) << "... until a tick has found nothing";
  EXPECT_EQ(node_.service().Rung(), Rung{"b@4"});
}

TEST_F(TimersTest, ATimerOfAFailedRequestIsNotSet) {
  PutRequest request = RingOf("a", 200);
  request.set_ending(failed);
  ASSERT_FALSE(node_.Apply(100, {RequestOf(request)})[0].reply);
  EXPECT_TRUE(node_.Rows(kTimers).empty());
  node_.Apply(200);
  EXPECT_EQ(node_.service().Rung(), Rung{});
  EXPECT_EQ(Next(), 0);
}

TEST_F(TimersTest, ATimerMaySetAnother) {
  Set(100, {{"again1", 200}, {"again2", 200}, {"z", 250}});
  node_.Apply(210);
  EXPECT_EQ(node_.service().Rung(), (Rung{"again1@2", "again2@2"}));
  EXPECT_EQ(Next(), 210) << "one echo: both set the same";
  node_.Apply(211);
  EXPECT_EQ(node_.service().Rung(), (Rung{"again1@2", "again2@2", "echo@3"}));
  EXPECT_EQ(Next(), 250);
}

TEST_F(TimersTest, SurviveARestart) {
  Set(100, {{"a", 200}, {"b", 300}});
  node_.Checkpoint();
  Set(101, {{"c", 150}});  // In the log only.
  node_.Restart();
  EXPECT_EQ(Next(), 150);
  node_.Apply(200);
  node_.Checkpoint();
  node_.Restart();
  EXPECT_EQ(Next(), 300);
  node_.Apply(400);
  EXPECT_EQ(node_.service().Rung(), (Rung{"c@3", "a@3", "b@4"}));
}

TEST_F(TimersTest, ATimerOfAnUnknownServiceStopsTheNode) {
  const auto disk = std::make_shared<store::MemoryDisk>();
  {
    store::Store store(std::make_unique<store::MemoryBase>(disk));
    Timers timers(store);
    std::function<void()> checkpoint;
    {
      absl::MutexLock lock(&store.mutex());
      timers.Set(LogTime{200}, 77, "a");
      store.EndEntry();
      checkpoint = store.BeginCheckpoint();
    }
    checkpoint();
  }
  MachineOnDisk older(disk);
  older.Apply(199);
  const std::string stop = StopOf([&] { older.Apply(200); });
  EXPECT_NE(stop.find("a timer of service 77"), std::string::npos) << stop;
}

}  // namespace
}  // namespace holdfast::state_machine
