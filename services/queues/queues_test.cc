// The queue service through the machine that runs it on a real node: entry in, reply out.

#include <limits>
#include <map>
#include <set>

#include "services/queues/ring.h"
#include "services/queues/testing.h"
#include "src/base/bounds.h"

namespace holdfast::queues {
namespace {

class QueuesTest : public QueuesFixture {};

// What went wrong: a group that was deleted and made again had another number, by which the queue
// seemed to have another configuration.
TEST_F(QueuesTest, AQueueIsTheSameWhateverNumbersItsGroupsHave) {
  node_.AddGroup("jobs", "audit");
  node_.RemoveGroup("jobs", "default");
  node_.AddGroup("jobs", "default");
  CreateRequest same = Jobs();
  same.add_groups("audit");
  same.add_groups("default");
  EXPECT_EQ(Name(node_.Create(same).outcome()), "already_exists");
  same.mutable_groups()->SwapElements(0, 1);
  const QueueReply other = node_.Create(same);
  EXPECT_EQ(Name(other.outcome()), "exists_with_different_config");
  EXPECT_EQ(other.field(), "groups");
}

TEST_F(QueuesTest, ASingleAckSaysHowItEndedAsAWhole) {
  node_.Publish("jobs", "k", "x");
  AckRequest request;
  request.set_queue("jobs");
  request.add_deliveries(PullOne());
  EXPECT_EQ(Name(node_.Write<AckReply>("Ack", request).outcome()), "acked");
  EXPECT_EQ(Name(node_.Write<AckReply>("Ack", request).outcome()), "expired");
  request.add_deliveries(request.deliveries(0));
  EXPECT_FALSE(node_.Write<AckReply>("Ack", request).has_outcome()) << "each has its own";
}

TEST_F(QueuesTest, QueuesAreCreatedOnceAndChangedInTheDocumentedWay) {
  EXPECT_EQ(Name(node_.Create(Jobs()).outcome()), "already_exists");
  CreateRequest other = Jobs();
  other.set_visibility_seconds(11);
  QueueReply reply = node_.Create(other);
  EXPECT_EQ(Name(reply.outcome()), "exists_with_different_config");
  EXPECT_EQ(reply.field(), "visibility_seconds");
  EXPECT_EQ(reply.queue().visibility_seconds(), 10u);
  CreateRequest lost = TestNode::QueueOf("lost");
  lost.set_dead_letter("nowhere");
  EXPECT_EQ(Name(node_.Create(lost).outcome()), "dead_letter_not_found");

  UpdateRequest update;
  update.set_name("nowhere");
  EXPECT_EQ(Name(node_.Write<QueueReply>("Update", update).outcome()), "queue_not_found");
  update.set_name("jobs");
  update.set_dead_letter("nowhere");
  EXPECT_EQ(Name(node_.Write<QueueReply>("Update", update).outcome()), "dead_letter_not_found");
  update.clear_dead_letter();
  update.set_partitions(15);
  EXPECT_EQ(Name(node_.Write<QueueReply>("Update", update).outcome()), "partitions_cannot_shrink");
  update.set_partitions(20);
  update.set_max_messages(5);
  reply = node_.Write<QueueReply>("Update", update);
  EXPECT_EQ(Name(reply.outcome()), "updated");
  EXPECT_EQ(reply.queue().partitions(), 20u);
  EXPECT_EQ(reply.queue().max_messages(), 5u);
  EXPECT_EQ(reply.queue().visibility_seconds(), 10u) << "what is not given stays";
  EXPECT_EQ(reply.queue().dead_letter(), "dead");

  DeleteRequest remove;
  remove.set_name("dead");
  EXPECT_EQ(Name(node_.Write<QueueReply>("Delete", remove).outcome()), "in_use");
  remove.set_name("nowhere");
  EXPECT_EQ(Name(node_.Write<QueueReply>("Delete", remove).outcome()), "queue_not_found");
  remove.set_name("jobs");
  EXPECT_EQ(Name(node_.Write<QueueReply>("Delete", remove).outcome()), "deleted");
  remove.set_name("dead");
  EXPECT_EQ(Name(node_.Write<QueueReply>("Delete", remove).outcome()), "deleted");
  EXPECT_EQ(node_.Read<ListReply>("List", ListRequest()).queues_size(), 0);
}

TEST_F(QueuesTest, QueuesAreListedByNameInPages) {
  node_.Create(TestNode::QueueOf("a"));
  ListRequest request;
  request.set_limit(2);
  ListReply page = node_.Read<ListReply>("List", request);
  ASSERT_EQ(page.queues_size(), 2);
  EXPECT_EQ(page.queues(0).name() + " " + page.queues(1).name(), "a dead");
  request.set_cursor(page.next_cursor());
  page = node_.Read<ListReply>("List", request);
  ASSERT_EQ(page.queues_size(), 1);
  EXPECT_EQ(page.queues(0).name(), "jobs");
  EXPECT_EQ(page.next_cursor(), "");
}

TEST_F(QueuesTest, MalformedRequestsNameTheField) {
  CreateRequest create = Jobs();
  create.set_name("a/b");
  EXPECT_EQ(FieldOf("Create", create), "name");
  create.set_name(std::string(129, 'x'));
  EXPECT_EQ(FieldOf("Create", create), "name");
  create = Jobs();
  create.set_partitions(1025);
  EXPECT_EQ(FieldOf("Create", create), "partitions");
  create = Jobs();
  create.set_dead_letter("");
  EXPECT_EQ(FieldOf("Create", create), "max_deliveries");
  create.set_dead_letter("jobs");
  EXPECT_EQ(FieldOf("Create", create), "dead_letter");
  create = Jobs();
  create.add_groups("a");
  create.add_groups("a");
  EXPECT_EQ(FieldOf("Create", create), "groups[1]");
  create.set_groups(1, "b c");
  EXPECT_EQ(FieldOf("Create", create), "groups[1]");
  create.clear_groups();
  for (int i = 0; i < 17; ++i) create.add_groups("g" + std::to_string(i));
  EXPECT_EQ(FieldOf("Create", create), "groups");

  PublishRequest publish = TestNode::MessageOf("", "k", "x");
  EXPECT_EQ(FieldOf("Publish", publish), "queue");
  publish = TestNode::MessageOf("jobs", std::string(129, 'k'), "x");
  EXPECT_EQ(FieldOf("Publish", publish), "key");
  publish = TestNode::MessageOf("jobs", "a\nb", "x");
  EXPECT_EQ(FieldOf("Publish", publish), "key");
  publish = TestNode::MessageOf("jobs", "k", std::string((256 << 10) + 1, 'x'));
  EXPECT_EQ(FieldOf("Publish", publish), "payload");
  publish = TestNode::MessageOf("jobs", "k", "x");
  publish.set_data("y");
  EXPECT_EQ(FieldOf("Publish", publish), "data");
  publish = TestNode::MessageOf("jobs", "k", "x", "a\tb");
  EXPECT_EQ(FieldOf("Publish", publish), "message_id");
  publish = TestNode::MessageOf("jobs", "k", "x");
  publish.set_delay_ms(uint64_t{31} * 24 * 3'600 * 1'000);
  EXPECT_EQ(FieldOf("Publish", publish), "delay_ms");
  publish = TestNode::MessageOf("jobs", "k", "x");
  (*publish.mutable_headers())["h"] = std::string(257, 'x');
  EXPECT_EQ(FieldOf("Publish", publish), "headers");

  PublishBatchRequest batch;
  batch.set_queue("jobs");
  EXPECT_EQ(FieldOf("PublishBatch", batch), "messages");
  batch.add_messages();
  batch.add_messages()->set_key("\x01");
  EXPECT_EQ(FieldOf("PublishBatch", batch), "messages[1].key");

  PullRequest pull = TestNode::PullOf("jobs", 1'001);
  EXPECT_EQ(FieldOf("Pull", pull), "max");
  pull = TestNode::PullOf("jobs");
  pull.set_wait_ms(60'001);
  EXPECT_EQ(FieldOf("Pull", pull), "wait_ms");
  pull = TestNode::PullOf("jobs");
  pull.set_consumer("\x7f");
  EXPECT_EQ(FieldOf("Pull", pull), "consumer");

  AckRequest ack;
  ack.set_queue("jobs");
  EXPECT_EQ(FieldOf("Ack", ack), "deliveries");
  for (const char* wrong : {"", "1", "1-1-1", "1-1-1-1-1", "01-1-1-1", "1-1-1-", "a-1-1-1",
                            "-1-1-1-1", "1-1-99999999999999999999-1"}) {
    ack.clear_deliveries();
    ack.add_deliveries("1-1-1-1");
    ack.add_deliveries(wrong);
    EXPECT_EQ(FieldOf("Ack", ack), "deliveries[1]") << wrong;
  }
  EXPECT_EQ(node_.TryRead<StatsReply>("Stats", StatsRequest()).error().field, "queue");
  PeekRequest peek;
  peek.set_queue("jobs");
  peek.set_cursor("x");
  EXPECT_EQ(node_.TryRead<PeekReply>("Peek", peek).error().field, "cursor");
  peek.set_queue("nowhere");
  peek.clear_cursor();
  EXPECT_EQ(node_.TryRead<PeekReply>("Peek", peek).error().code, ErrorCode::kNotFound);
}

TEST_F(QueuesTest, AMessageIdIsPublishedOnceForTheWholeWindowAlsoAfterTheAck) {
  const PublishReply first = node_.Publish("jobs", "k", "x", "m1");
  EXPECT_EQ(Name(first.outcome()), "published");
  EXPECT_EQ(Name(node_.Publish("nowhere", "k", "x", "m1").outcome()), "queue_not_found");
  const auto again = [&] {
    const PublishReply reply = node_.Publish("jobs", "k", "x", "m1");
    EXPECT_EQ(reply.sequence(), first.sequence());
    EXPECT_EQ(reply.published().nanos(), first.published().nanos());
    EXPECT_EQ(reply.partition(), first.partition());
    return Name(reply.outcome()) + (reply.duplicate() ? " duplicate" : "");
  };
  EXPECT_EQ(again(), "already_published duplicate");
  EXPECT_EQ(node_.Ack("jobs", PullOne()), "acked");
  EXPECT_EQ(node_.Stats("jobs").messages(), 0u);
  EXPECT_EQ(again(), "already_published duplicate");
  node_.Checkpoint();
  node_.Tick(7 * 24 * 3'600 * kSecond - 10'000);  // A moment before the end.
  EXPECT_EQ(again(), "already_published duplicate");
  PurgeRequest purge;
  purge.set_name("jobs");
  EXPECT_EQ(Name(node_.Write<QueueReply>("Purge", purge).outcome()), "purged");
  EXPECT_EQ(again(), "already_published duplicate");
  node_.Pass(10'000);
  EXPECT_EQ(Name(node_.Publish("jobs", "k", "x", "m1").outcome()), "published") << "it is over";
  EXPECT_EQ(Name(node_.Publish("jobs", "k", "x", "m1").outcome()), "already_published");
}

TEST_F(QueuesTest, AMessageIdWithOtherContentIsAConflictThatNamesTheField) {
  PublishRequest original = TestNode::MessageOf("jobs", "k", "x", "m1");
  original.set_delay_ms(5);
  (*original.mutable_headers())["a"] = "1";
  EXPECT_EQ(Name(node_.Publish(original).outcome()), "published");
  const auto field = [&](auto change) {
    PublishRequest request = original;
    change(request);
    const PublishReply reply = node_.Publish(request);
    EXPECT_EQ(Name(reply.outcome()), "exists_with_different_content");
    EXPECT_FALSE(reply.duplicate());
    return reply.field();
  };
  EXPECT_EQ(field([](auto& r) {
              r.set_key("l");
              r.set_payload("y");
            }),
            "key");
  EXPECT_EQ(field([](auto& r) {
              r.set_payload("y");
              r.set_delay_ms(6);
            }),
            "payload");
  EXPECT_EQ(field([](auto& r) {
              r.clear_payload();
              r.set_data("x");
            }),
            "payload");
  EXPECT_EQ(field([](auto& r) {
              r.set_delay_ms(6);
              r.clear_headers();
            }),
            "delay_ms");
  EXPECT_EQ(field([](auto& r) { (*r.mutable_headers())["a"] = "2"; }), "headers");
  // Another queue has ids of its own.
  original.set_queue("dead");
  EXPECT_EQ(Name(node_.Publish(original).outcome()), "published");
}

TEST_F(QueuesTest, AFullQueueRefusesAndStillKnowsItsIds) {
  CreateRequest small = TestNode::QueueOf("small");
  small.set_max_messages(2);
  small.set_max_bytes(100);
  node_.Create(small);
  EXPECT_EQ(Name(node_.Publish("small", "k", "x", "m1").outcome()), "published");
  EXPECT_EQ(Name(node_.Publish("small", "k", std::string(100, 'x')).outcome()), "queue_full");
  EXPECT_EQ(Name(node_.Publish("small", "k", "x").outcome()), "published");
  EXPECT_EQ(Name(node_.Publish("small", "k", "x").outcome()), "queue_full");
  EXPECT_EQ(Name(node_.Publish("small", "k", "x", "m1").outcome()), "already_published");
  const PullReply pulled = node_.Pull("small");
  EXPECT_EQ(node_.Ack("small", pulled.messages(0).delivery()), "acked");
  EXPECT_EQ(Name(node_.Publish("small", "k", "x").outcome()), "published");
}

TEST_F(QueuesTest, PullAnswersInTheDocumentedOrder) {
  const auto outcome = [&](const PullRequest& request) {
    const std::string written = Name(node_.Pull(request).outcome());
    const std::string read = Name(node_.Read<PullReply>("AwaitPull", request).outcome());
    EXPECT_TRUE(read == written || (written == "pulled" && read == "empty")) << read;
    return written;
  };
  PullRequest request = TestNode::PullOf("nowhere");
  request.set_group("none");
  EXPECT_EQ(outcome(request), "queue_not_found");
  request.set_queue("jobs");
  EXPECT_EQ(outcome(request), "group_not_found");
  node_.AddGroup("jobs", "parted", true);
  request.set_group("parted");
  EXPECT_EQ(outcome(request), "partition_required");
  request.set_partition(16);
  EXPECT_EQ(outcome(request), "partition_not_found");
  request.set_partition(15);
  EXPECT_EQ(outcome(request), "empty");
  request.set_group("");
  EXPECT_EQ(outcome(request), "group_not_partitioned");
  request.clear_partition();
  EXPECT_EQ(outcome(request), "empty");
  node_.Publish("jobs", "k", "x");
  EXPECT_EQ(outcome(request), "pulled");
}

TEST_F(QueuesTest, AKeyHasOneMessageInFlightAndStaysInOrder) {
  for (const char* payload : {"a1", "a2", "a3"}) node_.Publish("jobs", "a", payload);
  for (const char* payload : {"b1", "b2"}) node_.Publish("jobs", "b", payload);
  node_.Publish("jobs", "", "free1");
  node_.Publish("jobs", "", "free2");
  PullReply pulled = node_.Pull("jobs", 10);
  EXPECT_EQ(TestNode::Payloads(pulled), "a1 b1 free1 free2");
  EXPECT_EQ(Name(node_.Pull("jobs", 10).outcome()), "empty");
  EXPECT_EQ(node_.Ack("jobs", pulled.messages(1).delivery()), "acked");
  EXPECT_EQ(node_.Ack("jobs", pulled.messages(0).delivery()), "acked");
  pulled = node_.Pull("jobs", 10);
  EXPECT_EQ(TestNode::Payloads(pulled), "b2 a2") << "as their keys became free";
  EXPECT_EQ(node_.Nack("jobs", pulled.messages(1).delivery()), "retried");
  pulled = node_.Pull("jobs", 10);
  EXPECT_EQ(TestNode::Payloads(pulled), "a2") << "never a3 before a2 is done";
  EXPECT_EQ(pulled.messages(0).attempt(), 2u);
}

TEST_F(QueuesTest, ALateAckIsNotCreditedToWhoHasTheMessageNow) {
  node_.Publish("jobs", "k", "x");
  const std::string first = PullOne();
  node_.Pass(10 * kSecond - 1'001);
  EXPECT_EQ(node_.Extend("jobs", first), "extended") << "in time";
  node_.Tick(10 * kSecond);  // The timer fires.
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(node_.Ack("jobs", first), "expired");
    EXPECT_EQ(node_.Nack("jobs", first), "expired");
    EXPECT_EQ(node_.Extend("jobs", first), "expired");
  }
  const std::string second = PullOne();
  EXPECT_NE(second, first);
  EXPECT_EQ(node_.Ack("jobs", first), "expired");
  EXPECT_EQ(node_.Ack("nowhere", second), "queue_not_found");
  EXPECT_EQ(node_.Ack("dead", second), "expired") << "of another queue";
  EXPECT_EQ(node_.Ack("jobs", second), "acked");
  EXPECT_EQ(node_.Ack("jobs", second), "expired");
}

TEST_F(QueuesTest, WhetherADeliveryIsOverDoesNotDependOnTheTimer) {
  // More deliveries end at once than timers fire with one entry.
  const auto count = static_cast<int>(bounds::kTimersPerEntryMax) + 50;
  for (int i = 0; i < count; ++i) node_.Publish("jobs", "k" + std::to_string(i), "x");
  std::vector<std::string> deliveries;
  PullRequest request = TestNode::PullOf("jobs", 1'000);
  request.set_visibility_seconds(100);
  while (static_cast<int>(deliveries.size()) < count) {
    const PullReply reply = node_.Pull(request);
    for (const Message& message : reply.messages()) deliveries.push_back(message.delivery());
  }
  node_.Pass(101 * kSecond);
  AckRequest ack;
  ack.set_queue("jobs");
  ack.add_deliveries(deliveries.back());
  EXPECT_EQ(node_.Stats("jobs").groups(0).in_flight(), static_cast<uint64_t>(count));
  EXPECT_EQ(Name(node_.Write<AckReply>("Ack", ack).results(0).outcome()), "expired");
  EXPECT_GT(node_.Stats("jobs").groups(0).in_flight(), 0u) << "its timer has not fired yet";
  node_.Tick(1);
  EXPECT_EQ(node_.Stats("jobs").groups(0).ready(), static_cast<uint64_t>(count));
}

TEST_F(QueuesTest, ADelayHoldsBackItsKeyAndNoOther) {
  PublishRequest late = TestNode::MessageOf("jobs", "a", "late");
  late.set_delay_ms(5'000);
  node_.Publish(late);
  node_.Publish("jobs", "a", "after");
  node_.Publish("jobs", "b", "other");
  EXPECT_EQ(node_.Stats("jobs").groups(0).delayed(), 1u);
  PullReply pulled = node_.Pull("jobs", 10);
  EXPECT_EQ(TestNode::Payloads(pulled), "other");
  EXPECT_EQ(node_.Nack("jobs", pulled.messages(0).delivery(), 60'000), "retried");
  EXPECT_EQ(TestNode::Payloads(node_.Pull("jobs", 10)), "");
  node_.Tick(5 * kSecond);
  pulled = node_.Pull("jobs", 10);
  EXPECT_EQ(TestNode::Payloads(pulled), "late");
  node_.Ack("jobs", pulled.messages(0).delivery());
  EXPECT_EQ(TestNode::Payloads(node_.Pull("jobs", 10)), "after");
  node_.Tick(60 * kSecond);
  EXPECT_EQ(TestNode::Payloads(node_.Pull("jobs", 10)), "after other") << "as their times ended";
}

TEST_F(QueuesTest, GroupsReadIndependentlyAndAMessageGoesWhenAllAreDone) {
  node_.Publish("jobs", "k", "before");
  EXPECT_EQ(Name(node_.AddGroup("jobs", "audit").outcome()), "created");
  EXPECT_EQ(Name(node_.AddGroup("jobs", "audit").outcome()), "already_exists");
  EXPECT_EQ(Name(node_.AddGroup("jobs", "audit", true).outcome()), "exists_with_different_config");
  EXPECT_EQ(Name(node_.AddGroup("nowhere", "audit").outcome()), "queue_not_found");
  node_.Publish("jobs", "k", "after");
  const PullReply audit = node_.Pull("jobs", 10, "audit");
  EXPECT_EQ(TestNode::Payloads(audit), "after") << "what came before the group is not for it";
  EXPECT_EQ(node_.Ack("jobs", audit.messages(0).delivery()), "acked");
  EXPECT_EQ(node_.Stats("jobs").messages(), 2u);
  EXPECT_EQ(node_.Ack("jobs", PullOne()), "acked");
  EXPECT_EQ(node_.Stats("jobs").messages(), 1u);
  EXPECT_EQ(node_.Ack("jobs", PullOne()), "acked");
  EXPECT_EQ(node_.Stats("jobs").messages(), 0u);
}

TEST_F(QueuesTest, TooManyGroupsAreRefused) {
  for (size_t i = 1; i < bounds::kQueueGroupsMax; ++i) {
    EXPECT_EQ(Name(node_.AddGroup("jobs", "g" + std::to_string(i)).outcome()), "created");
  }
  EXPECT_EQ(Name(node_.AddGroup("jobs", "more").outcome()), "too_many_groups");
  node_.Publish("jobs", "k", "x");
  for (size_t i = 1; i < bounds::kQueueGroupsMax; ++i) {
    EXPECT_EQ(node_.Ack("jobs", PullOne("g" + std::to_string(i))), "acked");
    EXPECT_EQ(node_.Stats("jobs").messages(), 1u);
  }
  EXPECT_EQ(node_.Ack("jobs", PullOne()), "acked");
  EXPECT_EQ(node_.Stats("jobs").messages(), 0u);
}

TEST_F(QueuesTest, GrowingMovesOnlyTheShareItMust) {
  for (const auto& [before, after] : std::vector<std::pair<uint32_t, uint32_t>>{
           {1, 2}, {16, 20}, {16, 17}, {100, 128}, {1'000, 1'024}}) {
    constexpr int kKeys = 20'000;
    int moved = 0;
    std::map<uint32_t, int> per_partition;
    for (int i = 0; i < kKeys; ++i) {
      const std::string lane = LaneOf("key-" + std::to_string(i), 0);
      const uint32_t old_place = PartitionOf(lane, before);
      const uint32_t new_place = PartitionOf(lane, after);
      ASSERT_LT(new_place, after);
      if (old_place != new_place) {
        ++moved;
        EXPECT_GE(new_place, before) << "a key moves to a new partition or stays";
      }
      ++per_partition[new_place];
    }
    const double share = static_cast<double>(after - before) / after;
    EXPECT_GT(moved, kKeys * share * 0.5) << before << " to " << after;
    EXPECT_LT(moved, kKeys * share * 1.6) << before << " to " << after;
    if (after > 100) continue;  // Too few keys each.
    const int mean = kKeys / static_cast<int>(after);
    for (uint32_t i = 0; i < after; ++i) {
      EXPECT_GT(per_partition[i], mean / 2) << i << " of " << after;
      EXPECT_LT(per_partition[i], mean * 2) << i << " of " << after;
    }
  }
}

TEST_F(QueuesTest, APartitionedGroupGetsItsPartitionInOrderAlsoAcrossAGrowth) {
  node_.AddGroup("jobs", "parted", true);
  constexpr int kKeys = 200;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < kKeys; ++i) {
      node_.Publish("jobs", "key" + std::to_string(i),
                    std::to_string(i) + "." + std::to_string(round));
    }
  }
  std::map<std::string, std::string> seen;  // Key -> payloads.
  const auto drain = [&](uint32_t partition, uint32_t partitions, int pulls) {
    for (int i = 0; i < pulls; ++i) {
      PullRequest request = TestNode::PullOf("jobs", 3, "parted");
      request.set_partition(partition);
      const PullReply reply = node_.Pull(request);
      for (const Message& message : reply.messages()) {
        EXPECT_EQ(PartitionOf(LaneOf(message.key(), message.sequence()), partitions), partition);
        EXPECT_EQ(message.partition(), partition);
        seen[message.key()] += message.payload() + " ";
        EXPECT_EQ(node_.Ack("jobs", message.delivery()), "acked");
      }
      if (reply.messages().empty()) return;
    }
  };
  for (uint32_t partition = 0; partition < 16; ++partition) drain(partition, 16, 2);
  UpdateRequest grow;
  grow.set_name("jobs");
  grow.set_partitions(24);
  EXPECT_EQ(Name(node_.Write<QueueReply>("Update", grow).outcome()), "updated");
  for (uint32_t partition = 24; partition-- > 0;) drain(partition, 24, 2);
  for (uint32_t partition = 0; partition < 24; ++partition) drain(partition, 24, 1'000);
  EXPECT_EQ(seen.size(), static_cast<size_t>(kKeys));
  for (int i = 0; i < kKeys; ++i) {
    const std::string n = std::to_string(i);
    EXPECT_EQ(seen["key" + n], n + ".0 " + n + ".1 ");
  }
  uint64_t messages = 0;
  const StatsReply stats = node_.Stats("jobs", true);
  for (const PartitionStats& partition : stats.partitions()) {
    messages += partition.messages();
  }
  EXPECT_EQ(messages, 2u * kKeys) << "the other group has not read them";
}

TEST_F(QueuesTest, APageOfAPeekGoesOnWhereTheLastOneEnded) {
  for (int i = 1; i <= 25; ++i) node_.Publish("jobs", "k", std::to_string(i));
  for (int i = 1; i <= 3; ++i) node_.Ack("jobs", PullOne());
  std::string cursor;
  int next = 4;
  do {
    const PeekReply page = node_.Peek("jobs", cursor, 10);
    for (const Message& message : page.messages()) {
      EXPECT_EQ(message.payload(), std::to_string(next++));
      EXPECT_EQ(message.delivery(), "");
    }
    cursor = page.next_cursor();
  } while (!cursor.empty());
  EXPECT_EQ(next, 26);
}

TEST_F(QueuesTest, OneReplyTakesAMebibyteAndLeavesTheRest) {
  for (int i = 0; i < 6; ++i) {
    node_.Publish("jobs", "k" + std::to_string(i), std::string(256 << 10, 'x'));
  }
  EXPECT_EQ(node_.Pull("jobs", 100).messages_size(), 3);
  EXPECT_EQ(node_.Pull("jobs", 100).messages_size(), 3);
  EXPECT_EQ(node_.Pull("jobs", 100).messages_size(), 0);
}

TEST_F(QueuesTest, WhoWaitsIsWokenByWhatBecomesReady) {
  std::optional<state_machine::Topic> topic;
  const PullRequest request = TestNode::PullOf("jobs");
  const auto waits = [&] {
    topic.reset();
    return Name(node_.Read<PullReply>("AwaitPull", request, &topic).outcome());
  };
  const auto woken = [&] {
    uint32_t waiters = 0;
    for (const auto& touched : node_.machine().touched()) {
      if (touched.topic == topic) waiters += touched.waiters;
    }
    return waiters;
  };
  EXPECT_EQ(waits(), "empty");
  ASSERT_TRUE(topic.has_value());
  node_.Publish("dead", "k", "x");
  EXPECT_EQ(woken(), 0u);
  PublishBatchRequest batch;
  batch.set_queue("jobs");
  for (const char* key : {"a", "a", "b"}) batch.add_messages()->set_key(key);
  node_.Write<PublishBatchReply>("PublishBatch", batch);
  EXPECT_EQ(woken(), 2u) << "two keys, each of which has one to give";
  EXPECT_EQ(waits(), "available");
  EXPECT_FALSE(topic.has_value());
  node_.Pull("jobs", 2);
  EXPECT_EQ(waits(), "empty");
  node_.Tick(10 * kSecond);
  EXPECT_EQ(woken(), 2u) << "their time was over";
}

// What went wrong: who waited when a queue was purged slept beside what came afterwards, and who
// waited for a queue that was deleted was not told.
TEST_F(QueuesTest, WhoWaitsIsWokenAfterAPurgeAndByADeletion) {
  std::optional<state_machine::Topic> topic;
  node_.Read<PullReply>("AwaitPull", TestNode::PullOf("jobs"), &topic);
  ASSERT_TRUE(topic.has_value());
  const auto woken = [&] {
    const auto& touched = node_.machine().touched();
    return std::any_of(touched.begin(), touched.end(),
                       [&](const auto& one) { return one.topic == topic; });
  };
  PurgeRequest purge;
  purge.set_name("jobs");
  EXPECT_EQ(Name(node_.Write<QueueReply>("Purge", purge).outcome()), "purged");
  node_.Publish("jobs", "k", "x");
  EXPECT_TRUE(woken());
  node_.Tick(kSecond);
  EXPECT_FALSE(woken());
  DeleteRequest gone;
  gone.set_name("jobs");
  EXPECT_EQ(Name(node_.Write<QueueReply>("Delete", gone).outcome()), "deleted");
  EXPECT_TRUE(woken());
}

TEST_F(QueuesTest, PushAndPopWorkOnAQueueThatComesIntoBeing) {
  EXPECT_EQ(Name(node_.Write<PullReply>("Pop", PopRequest()).outcome()), "empty");
  PushRequest push;
  push.set_key("user:123");
  push.set_payload("hello");
  EXPECT_EQ(Name(node_.Write<PublishReply>("Push", push).outcome()), "published");
  push.set_payload("again");
  EXPECT_EQ(Name(node_.Write<PublishReply>("Push", push).outcome()), "published");
  const PullReply first = node_.Write<PullReply>("Pop", PopRequest());
  EXPECT_EQ(Name(first.outcome()) + " " + TestNode::Payloads(first), "pulled hello");
  EXPECT_EQ(first.messages(0).key(), "user:123");
  EXPECT_EQ(first.messages(0).delivery(), "") << "there is nothing to ack";
  EXPECT_EQ(TestNode::Payloads(node_.Write<PullReply>("Pop", PopRequest())), "again");
  EXPECT_EQ(Name(node_.Write<PullReply>("Pop", PopRequest()).outcome()), "empty");
  EXPECT_EQ(node_.Stats("default").messages(), 0u);
}

TEST_F(QueuesTest, AConsumerThatNeverAcksIsNoLeak) {
  CreateRequest create = TestNode::QueueOf("many");
  create.set_visibility_seconds(43'200);
  node_.Create(create);
  PublishBatchRequest batch;
  batch.set_queue("many");
  for (int i = 0; i < 1'000; ++i) batch.add_messages();
  for (uint64_t i = 0; i <= bounds::kQueueInFlightMax / 1'000; ++i) {
    node_.Write<PublishBatchReply>("PublishBatch", batch);
  }
  for (uint64_t i = 0; i < bounds::kQueueInFlightMax / 1'000; ++i) {
    EXPECT_EQ(node_.Pull("many", 1'000).messages_size(), 1'000);
  }
  EXPECT_EQ(Name(node_.Pull("many").outcome()), "too_many_in_flight");
  EXPECT_EQ(node_.Stats("many").groups(0).in_flight(), bounds::kQueueInFlightMax);
}

// It ended by the new leader's clock, and by the time in which nobody led.
TEST_F(QueuesTest, AFailoverShortensNoDelivery) {
  node_.Publish("jobs", "k", "a");
  const std::string delivery = PullOne();
  node_.Tick(4 * kSecond);
  node_.NewLeader();
  node_.Tick(60 * kSecond);  // Whose clock is ahead, or who came late.
  EXPECT_EQ(PullOne(), "") << "it is out for 6 seconds more";
  EXPECT_EQ(node_.Extend("jobs", delivery), "extended");
  node_.Tick(9 * kSecond);
  node_.NewLeader();
  node_.Tick(60 * kSecond);
  EXPECT_EQ(node_.Ack("jobs", delivery), "acked");
  node_.Publish("jobs", "k", "b");
  const std::string next = PullOne();
  node_.NewLeader();
  node_.Tick(60 * kSecond);
  node_.Tick(10 * kSecond);
  EXPECT_EQ(node_.Ack("jobs", next), "expired");
  EXPECT_NE(PullOne(), "");
}

}  // namespace
}  // namespace holdfast::queues
