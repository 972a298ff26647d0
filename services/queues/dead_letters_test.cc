// Messages that fail too often: where they go, what is told of them, and how they come back.

#include "services/queues/testing.h"
#include "src/base/bounds.h"

namespace holdfast::queues {
namespace {

class DeadLettersTest : public QueuesFixture {
 protected:
  // Changes where a queue sends what fails so often.
  void SendTo(const std::string& queue, const std::string& target, uint32_t max_deliveries) {
    UpdateRequest request;
    request.set_name(queue);
    request.set_dead_letter(target);
    request.set_max_deliveries(max_deliveries);
    EXPECT_EQ(Name(node_.Write<QueueReply>("Update", request).outcome()), "updated");
  }
  // Fails all of these deliveries; how many of them were dead letters by that.
  int NackAll(const std::string& queue, const std::vector<PullReply>& pulls,
              const std::string& error = "") {
    NackRequest request;
    request.set_queue(queue);
    request.set_error(error);
    for (const PullReply& pulled : pulls) {
      for (const Message& message : pulled.messages()) request.add_deliveries(message.delivery());
    }
    int dead = 0;
    const AckReply reply = node_.Write<AckReply>("Nack", request);
    for (const AckResult& result : reply.results()) {
      dead += result.outcome() == AckOutcome::dead_lettered ? 1 : 0;
    }
    return dead;
  }
  void PublishLarge(int count) {
    for (int i = 0; i < count; ++i) {
      node_.Publish("jobs", "k" + std::to_string(i), std::string(256 << 10, 'x'));
    }
  }
  uint64_t Count(const std::string& queue) { return node_.Stats(queue).messages(); }
};

TEST_F(DeadLettersTest, WhatFailsTooOftenIsADeadLetterWithItsHistoryAndComesBack) {
  PublishRequest publish = TestNode::MessageOf("jobs", "k", "poison", "m1");
  (*publish.mutable_headers())["trace"] = "7";
  const PublishReply published = node_.Publish(publish);
  node_.Publish("jobs", "k", "next");
  PullRequest pull = TestNode::PullOf("jobs");
  pull.set_consumer("ann");
  EXPECT_EQ(node_.Nack("jobs", node_.Pull(pull).messages(0).delivery(), 0, "bad"), "retried");
  pull.set_consumer("bob");
  EXPECT_EQ(TestNode::Payloads(node_.Pull(pull)), "poison");
  node_.Tick(10 * kSecond);
  EXPECT_EQ(TestNode::Payloads(node_.Pull("jobs")), "next");

  const PeekReply peeked = node_.Peek("dead");
  ASSERT_EQ(peeked.messages_size(), 1);
  const Message& dead = peeked.messages(0);
  EXPECT_EQ(dead.payload() + dead.key() + dead.message_id() + dead.headers().at("trace"),
            "poisonkm17");
  const DeadLetter& letter = dead.dead_letter();
  EXPECT_EQ(letter.queue() + " " + letter.group(), "jobs default");
  EXPECT_EQ(letter.sequence(), published.sequence());
  EXPECT_EQ(letter.attempts(), 2u);
  EXPECT_EQ(letter.published().nanos(), published.published().nanos());
  ASSERT_EQ(letter.history_size(), 2);
  EXPECT_EQ(letter.history(0).consumer() + ": " + letter.history(0).error(), "ann: bad");
  EXPECT_EQ(letter.history(1).consumer() + ": " + letter.history(1).error(),
            "bob: its time was over");
  EXPECT_EQ(letter.last_error(), "its time was over");

  node_.Publish("dead", "", "no dead letter");
  const RedriveReply redriven = node_.Redrive("dead");
  EXPECT_EQ(redriven.moved(), 1u);
  EXPECT_EQ(redriven.left(), 1u);
  EXPECT_EQ(node_.Stats("dead").messages(), 1u);
  EXPECT_EQ(node_.Broken().value_or(""), "");
  node_.Tick(10 * kSecond);
  EXPECT_EQ(TestNode::Payloads(node_.Pull("jobs")), "next");
  const std::string next = node_.Peek("jobs").messages(0).payload();
  EXPECT_EQ(next, "next");
  node_.Tick(10 * kSecond);  // It is a dead letter itself.
  const PullReply back = node_.Pull("jobs");
  ASSERT_EQ(TestNode::Payloads(back), "poison");
  EXPECT_EQ(back.messages(0).attempt(), 1u) << "it begins anew";
  EXPECT_EQ(node_.Ack("jobs", back.messages(0).delivery()), "acked");
  EXPECT_EQ(node_.Redrive("nowhere").outcome(), RedriveOutcome::queue_not_found);
  EXPECT_EQ(node_.Redrive("dead", 0, "none").outcome(), RedriveOutcome::group_not_found);
}

TEST_F(DeadLettersTest, ALastNackSaysThatTheMessageIsDead) {
  node_.Publish("jobs", "k", "x");
  EXPECT_EQ(node_.Nack("jobs", PullOne()), "retried");
  EXPECT_EQ(node_.Nack("jobs", PullOne(), 1'000), "dead_lettered");
  EXPECT_EQ(node_.Stats("jobs").messages(), 0u);
  EXPECT_EQ(node_.Stats("dead").messages(), 1u);
}

TEST_F(DeadLettersTest, ADeadLetterOfOneGroupComesBackForThatGroupAlone) {
  node_.AddGroup("jobs", "audit");
  node_.Publish("jobs", "k", "x");
  EXPECT_EQ(node_.Nack("jobs", PullOne("audit")), "retried");
  EXPECT_EQ(node_.Nack("jobs", PullOne("audit")), "dead_lettered");
  EXPECT_EQ(node_.Ack("jobs", PullOne()), "acked");
  EXPECT_EQ(node_.Stats("jobs").messages(), 0u);
  node_.Publish("jobs", "k", "y");
  EXPECT_EQ(node_.Redrive("dead").moved(), 1u);
  const auto all = [&](const std::string& group) {
    std::string payloads;
    for (;;) {
      const PullReply reply = node_.Pull("jobs", 1, group);
      if (reply.messages().empty()) return payloads;
      payloads += reply.messages(0).payload();
      EXPECT_EQ(node_.Ack("jobs", reply.messages(0).delivery()), "acked");
    }
  };
  EXPECT_EQ(all(""), "y");
  EXPECT_EQ(all("audit"), "yx");
  EXPECT_EQ(node_.Stats("jobs").messages(), 0u);
}

// What went wrong: over two dead-letter queues the way back was lost behind the first one.
TEST_F(DeadLettersTest, TheWayBackIsKnownOverSeveralQueues) {
  node_.Create(TestNode::QueueOf("grave"));
  SendTo("jobs", "dead", 1);
  SendTo("dead", "grave", 1);
  const uint64_t sequence = node_.Publish("jobs", "k", "x").sequence();
  EXPECT_EQ(node_.Nack("jobs", PullOne(), 0, "first"), "dead_lettered");
  EXPECT_EQ(node_.Nack("dead", node_.Pull("dead").messages(0).delivery(), 0, "second"),
            "dead_lettered");
  const Message in_grave = node_.Peek("grave").messages(0);
  EXPECT_EQ(in_grave.dead_letter().queue(), "dead");
  EXPECT_EQ(in_grave.dead_letter().last_error(), "second");

  EXPECT_EQ(node_.Redrive("grave").moved(), 1u);
  EXPECT_EQ(Count("grave"), 0u);
  const Message in_dead = node_.Peek("dead").messages(0);
  EXPECT_EQ(in_dead.dead_letter().queue() + " " + in_dead.dead_letter().group(), "jobs default");
  EXPECT_EQ(in_dead.dead_letter().sequence(), sequence);
  EXPECT_EQ(in_dead.dead_letter().attempts(), 1u);

  EXPECT_EQ(node_.Redrive("dead").moved(), 1u);
  EXPECT_EQ(Count("dead"), 0u);
  const PullReply back = node_.Pull("jobs");
  EXPECT_EQ(TestNode::Payloads(back), "x");
  EXPECT_FALSE(back.messages(0).has_dead_letter());
  EXPECT_EQ(node_.Ack("jobs", back.messages(0).delivery()), "acked");
  EXPECT_EQ(node_.Redrive("dead").left(), 0u);
}

// Two queues that are each other's: it goes round for ever, and what is known of its way does not.
TEST_F(DeadLettersTest, AWayInACircleIsBounded) {
  SendTo("jobs", "dead", 1);
  SendTo("dead", "jobs", 1);
  node_.Publish("jobs", "k", "x");
  const size_t rounds = 2 * bounds::kQueueOriginsMax;
  for (size_t i = 0; i < rounds; ++i) {
    const std::string queue = i % 2 == 0 ? "jobs" : "dead";
    ASSERT_EQ(node_.Nack(queue, node_.Pull(queue).messages(0).delivery()), "dead_lettered") << i;
  }
  size_t back = 0;
  while (node_.Redrive((rounds - back) % 2 == 0 ? "jobs" : "dead").moved() == 1) ++back;
  EXPECT_EQ(back, bounds::kQueueOriginsMax + 1);
}

// What went wrong: with `default` gone a redrive took what another group had not done yet.
TEST_F(DeadLettersTest, ARedriveDoesNotTakeAnotherGroupForTheOneThatIsMeant) {
  CreateRequest create = TestNode::QueueOf("failed");
  create.add_groups("a");
  create.add_groups("b");
  node_.Create(create);
  SendTo("jobs", "failed", 1);
  node_.Publish("jobs", "k", "x");
  EXPECT_EQ(node_.Nack("jobs", PullOne()), "dead_lettered");
  EXPECT_EQ(node_.Redrive("failed").outcome(), RedriveOutcome::group_not_found);
  EXPECT_EQ(node_.Redrive("failed", 0, "b").moved(), 1u);
  EXPECT_EQ(node_.Redrive("failed", 0, "b").moved(), 0u);
  EXPECT_EQ(TestNode::Payloads(node_.Pull("failed", 1, "a")), "x") << "it has its own";
  node_.RemoveGroup("failed", "b");
  EXPECT_EQ(node_.Redrive("failed").outcome(), RedriveOutcome::redriven) << "there is but one";
}

// What went wrong: the first one that had to stay, met again, ended the redrive, though the next
// message of a key stood behind it.
TEST_F(DeadLettersTest, WhatHasToStayDoesNotEndARedrive) {
  node_.Publish("dead", "own", "stays");
  for (const char* payload : {"1", "2", "3"}) node_.Publish("jobs", "k", payload);
  SendTo("jobs", "dead", 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(node_.Nack("jobs", PullOne()), "dead_lettered");
  const RedriveReply reply = node_.Redrive("dead", 10);
  EXPECT_EQ(reply.moved(), 3u);
  EXPECT_EQ(reply.left(), 1u);
  EXPECT_FALSE(reply.more());
  for (const char* payload : {"1", "2", "3"}) {
    const PullReply pulled = node_.Pull("jobs");
    EXPECT_EQ(TestNode::Payloads(pulled), payload);
    node_.Ack("jobs", pulled.messages(0).delivery());
  }
}

TEST_F(DeadLettersTest, ARedriveSaysWhetherThereIsMore) {
  SendTo("jobs", "dead", 1);
  for (int i = 0; i < 5; ++i) node_.Publish("jobs", "", "x");
  EXPECT_EQ(NackAll("jobs", {node_.Pull("jobs", 10)}), 5);
  RedriveReply reply = node_.Redrive("dead", 3);
  EXPECT_EQ(reply.moved(), 3u);
  EXPECT_TRUE(reply.more());
  reply = node_.Redrive("dead", 2);
  EXPECT_EQ(reply.moved(), 2u);
  EXPECT_FALSE(reply.more());
}

// What went wrong: one entry moved whatever had failed by then, up to gigabytes.
TEST_F(DeadLettersTest, AnEntryMovesAMebibyteOfThemAndTheNextOneGoesOn) {
  SendTo("jobs", "dead", 1);
  PublishLarge(6);
  EXPECT_EQ(NackAll("jobs", {node_.Pull("jobs", 10), node_.Pull("jobs", 10)}), 6);
  EXPECT_EQ(Count("dead"), 4u);
  EXPECT_EQ(Count("jobs"), 2u);
  EXPECT_EQ(PullOne(), "") << "they have failed for good";
  EXPECT_EQ(node_.Broken().value_or(""), "");
  node_.Tick(1);
  EXPECT_EQ(Count("dead"), 6u);
  EXPECT_EQ(Count("jobs"), 0u);

  RedriveReply reply = node_.Redrive("dead");
  EXPECT_EQ(reply.moved(), 4u);
  EXPECT_TRUE(reply.more());
  reply = node_.Redrive("dead");
  EXPECT_EQ(reply.moved(), 2u);
  EXPECT_FALSE(reply.more());

  // And as their time is over.
  EXPECT_EQ(node_.Pull("jobs", 10).messages_size() + node_.Pull("jobs", 10).messages_size(), 6);
  node_.Tick(10 * kSecond);
  EXPECT_EQ(Count("dead"), 4u);
  node_.Tick(1);
  EXPECT_EQ(Count("dead"), 6u);
  const PeekReply dead = node_.Peek("dead");
  ASSERT_GT(dead.messages_size(), 0);
  EXPECT_EQ(dead.messages(0).dead_letter().last_error(), "its time was over");
}

// What went wrong: a reply of dead letters was as large as their histories made it.
TEST_F(DeadLettersTest, OneReplyTakesAMebibyteWithTheirHistories) {
  constexpr int kCount = 300;
  SendTo("jobs", "dead", static_cast<uint32_t>(bounds::kQueueHistoryMax));
  for (int i = 0; i < kCount; ++i) node_.Publish("jobs", "", "x");
  PullRequest pull = TestNode::PullOf("jobs", 1'000);
  pull.set_consumer(std::string(128, 'c'));
  int dead = 0;
  for (size_t i = 0; i < bounds::kQueueHistoryMax; ++i) {
    dead = NackAll("jobs", {node_.Pull(pull)}, std::string(256, 'e'));
  }
  EXPECT_EQ(dead, kCount);
  while (Count("jobs") > 0) node_.Tick(1);
  int all = 0;
  int replies = 0;
  for (; all < kCount; ++replies) {
    const PullReply reply = node_.Pull("dead", 1'000);
    ASSERT_GT(reply.messages_size(), 0);
    EXPECT_LT(reply.ByteSizeLong(), 2 * bounds::kQueuePullBytesMax);
    all += reply.messages_size();
  }
  EXPECT_EQ(all, kCount);
  EXPECT_GE(replies, 2);
}

}  // namespace
}  // namespace holdfast::queues
