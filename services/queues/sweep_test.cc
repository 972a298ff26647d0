// What is done bit by bit, behind everybody's back.

#include "services/queues/testing.h"
#include "src/base/bounds.h"

namespace holdfast::queues {
namespace {

constexpr int64_t kPause = bounds::kQueueSweepPauseMs * 1'000;

class SweepTest : public QueuesFixture {
 protected:
  // Rows of this table of the queues.
  uint64_t Rows(uint8_t table) {
    uint64_t rows = 0;
    absl::ReaderMutexLock lock(&node_.store().mutex());
    node_.store().ForEach([&](store::TableNumber number, std::string_view, std::string_view) {
      rows += number == store::TableNumber{5, table} ? 1 : 0;
    });
    return rows;
  }
};

TEST_F(SweepTest, ADeletedGroupGivesUpItsClaimsBitByBit) {
  node_.AddGroup("jobs", "audit");
  constexpr int kCount = 300;  // More than one step.
  for (int i = 0; i < kCount; ++i) node_.Publish("jobs", "k" + std::to_string(i % 7), "x");
  for (int i = 0; i < 5; ++i) node_.Pull("jobs", 1, "audit");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(node_.Ack("jobs", PullOne()), "acked");
  EXPECT_EQ(node_.Stats("jobs").messages(), 300u);
  EXPECT_EQ(Name(node_.RemoveGroup("jobs", "none").outcome()), "group_not_found");
  EXPECT_EQ(Name(node_.RemoveGroup("nowhere", "none").outcome()), "queue_not_found");
  EXPECT_EQ(Name(node_.RemoveGroup("dead", "default").outcome()), "last_group");
  EXPECT_EQ(Name(node_.RemoveGroup("jobs", "audit").outcome()), "deleted");
  EXPECT_EQ(Name(node_.Pull("jobs", 1, "audit").outcome()), "group_not_found");
  for (int i = 0; i < 12; ++i) {
    node_.Publish("jobs", "k1", "later");
    EXPECT_EQ(node_.Broken().value_or(""), "");
    node_.Tick(kPause);
  }
  EXPECT_EQ(node_.Stats("jobs").messages(), 292u);
  for (int i = 0; i < 292; ++i) ASSERT_EQ(node_.Ack("jobs", PullOne()), "acked");
  EXPECT_EQ(node_.Stats("jobs").messages(), 0u);
  // The name is free, and means a new group.
  EXPECT_EQ(Name(node_.AddGroup("jobs", "audit").outcome()), "created");
  node_.Publish("jobs", "k", "new");
  EXPECT_EQ(TestNode::Payloads(node_.Pull("jobs", 1, "audit")), "new");
}

TEST_F(SweepTest, APurgeIsAtOnceAndSweptBitByBit) {
  for (int i = 0; i < 300; ++i) node_.Publish("jobs", "k" + std::to_string(i % 50), "x");
  const std::string delivery = PullOne();
  PurgeRequest purge;
  purge.set_name("jobs");
  EXPECT_EQ(Name(node_.Write<QueueReply>("Purge", purge).outcome()), "purged");
  EXPECT_EQ(node_.Stats("jobs").messages(), 0u);
  EXPECT_EQ(node_.Stats("jobs").bytes(), 0u);
  EXPECT_EQ(PullOne(), "");
  EXPECT_EQ(node_.Ack("jobs", delivery), "expired");
  EXPECT_EQ(node_.Publish("jobs", "k1", "new").sequence(), 301u) << "no sequence is used twice";
  EXPECT_EQ(TestNode::Payloads(node_.Pull("jobs", 10)), "new");
  for (int i = 0; i < 14; ++i) node_.Tick(kPause);
  node_.Checkpoint();
  ASSERT_TRUE(node_.machine().NextTimer().has_value());
  EXPECT_GT(node_.machine().NextTimer()->us, node_.now_us() + kSecond) << "the sweep has ended";
  purge.set_name("nowhere");
  EXPECT_EQ(Name(node_.Write<QueueReply>("Purge", purge).outcome()), "queue_not_found");
}

// What went wrong: each queue that was deleted took its own share of every entry.
TEST_F(SweepTest, WhatWasDeletedIsSweptInABoundedShareOfTheTime) {
  constexpr uint8_t kMessages = 6;
  constexpr uint64_t kEach = 100;
  PublishBatchRequest batch;
  for (uint64_t i = 0; i < kEach; ++i) batch.add_messages()->set_key(std::to_string(i));
  for (const char* name : {"one", "two", "three"}) {
    node_.Create(TestNode::QueueOf(name));
    batch.set_queue(name);
    node_.Write<PublishBatchReply>("PublishBatch", batch);
  }
  for (const char* name : {"one", "two", "three"}) {
    DeleteRequest request;
    request.set_name(name);
    node_.Write<QueueReply>("Delete", request);
  }
  // Entries follow one another faster than the sweep does.
  uint64_t left = Rows(kMessages);
  uint64_t steps = 0;
  uint64_t entries = 0;
  for (; left > 0 && entries < 1'000; ++entries) {
    node_.Tick(kPause / 5);
    const uint64_t now = Rows(kMessages);
    EXPECT_LE(left - now, bounds::kQueueSweptPerEntry);
    if (now < left) ++steps;
    left = now;
  }
  EXPECT_EQ(left, 0u);
  EXPECT_GE(entries, 5 * (steps - 1)) << "others have four of five entries for themselves";
  for (int i = 0; i < 12; ++i) node_.Tick(kPause);
  for (const uint8_t table : {3, 4, 5, 7, 8, 9, 10, 11, 15, 16}) {
    // Two queues are left, empty, with a level and a group each.
    EXPECT_EQ(Rows(table), table == 3 || table == 4 ? 2u : 0u) << int{table};
  }
}

}  // namespace
}  // namespace holdfast::queues
