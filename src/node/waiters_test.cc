// Who waits is woken once: by what touches its topic, by the end of its time, or not at all.
#include "src/node/waiters.h"

#include <gtest/gtest.h>

#include <string>

#include "src/base/bounds.h"

namespace holdfast::node {
namespace {

using state_machine::kAllWaiters;
using state_machine::Topic;

class WaitersTest : public ::testing::Test {
 protected:
  void Wait(std::string name, Topic topic, uint64_t seen, uint64_t until_ms = 1'000) {
    waiters_.Wait(topic, LogIndex(seen), until_ms,
                  [this, name = std::move(name)] { woken_ += name; });
  }
  void Touch(uint64_t index, std::vector<state_machine::Touched> touched) {
    waiters_.Touched(LogIndex(index), touched);
  }

  Waiters waiters_;
  std::string woken_;
};

TEST_F(WaitersTest, ATouchWakesThoseOfItsTopic) {
  Wait("a", 1, 10);
  Wait("b", 2, 10);
  Wait("c", 1, 10);
  Touch(11, {{3, kAllWaiters}});
  EXPECT_EQ(woken_, "");
  Touch(12, {{1, kAllWaiters}});
  EXPECT_EQ(woken_, "ac");
  Touch(13, {{1, kAllWaiters}, {2, kAllWaiters}});
  EXPECT_EQ(woken_, "acb") << "each once";
}

TEST_F(WaitersTest, ALimitedTouchWakesWhoCameFirst) {
  for (const char* name : {"a", "b", "c", "d"}) Wait(name, 1, 10);
  Touch(11, {{1, 1}});
  EXPECT_EQ(woken_, "a");
  Touch(12, {{1, 1}, {1, 1}});
  EXPECT_EQ(woken_, "abc");
}

TEST_F(WaitersTest, WhatCameBetweenTheLookAndTheWaitIsNotMissed) {
  Touch(11, {{1, kAllWaiters}});
  Wait("a", 1, 10);
  EXPECT_EQ(woken_, "a");
  Wait("b", 1, 11);
  EXPECT_EQ(woken_, "a") << "it had seen entry 11";
  // So many touches later that nobody remembers whether topic 2 was among them.
  for (uint64_t i = 0; i <= bounds::kTouchesKept; ++i) Touch(12 + i, {{3, kAllWaiters}});
  Wait("c", 2, 11);
  EXPECT_EQ(woken_, "ac");
  Wait("d", 2, 12 + bounds::kTouchesKept);
  EXPECT_EQ(woken_, "ac");
}

TEST_F(WaitersTest, TimeRunsOutForEachAlone) {
  Wait("a", 1, 10, 300);
  Wait("b", 1, 10, 200);
  Wait("c", 2, 10, 400);
  waiters_.Expire(199);
  EXPECT_EQ(woken_, "");
  waiters_.Expire(300);
  EXPECT_EQ(woken_, "ba");
  Touch(11, {{1, kAllWaiters}, {2, kAllWaiters}});
  EXPECT_EQ(woken_, "bac");
  waiters_.Expire(1'000);
  EXPECT_EQ(woken_, "bac");
}

TEST_F(WaitersTest, WhoIsDroppedIsNotWoken) {
  Wait("a", 1, 10);
  waiters_.Drop();
  Wait("b", 1, 10);
  Touch(11, {{1, kAllWaiters}});
  waiters_.Expire(2'000);
  EXPECT_EQ(woken_, "");
}

}  // namespace
}  // namespace holdfast::node
