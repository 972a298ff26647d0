#include "src/client/consumer.h"

#include <gtest/gtest.h>

#include <deque>

#include "services/ledger/ledger.pb.h"
#include "src/client/testing/fake_node.h"

namespace holdfast::client {
namespace {

using namespace holdfast::client::testing;  // NOLINT: the fixture of these tests.
using queues::AckOutcome;

// Numbers of the services and methods, as the pipe names them.
constexpr uint32_t kQueuesService = 5;
constexpr uint32_t kAtomicService = 253;
enum Method : uint32_t { kGet = 4, kPull = 10, kAck = 12, kNack = 13, kExtend = 14 };

// A node whose queue gives out messages once, and which answers acks and executes as it is told.
class Desk {
 public:
  explicit Desk(int messages)
      : node_([this](const PipeRequest& request) { return Take(request); }) {
    for (int i = 1; i <= messages; ++i) {
      auto* message = waiting_.add_messages();
      message->set_delivery("d" + std::to_string(i));
      message->set_message_id("m" + std::to_string(i));
    }
    waiting_.set_outcome(messages == 0 ? queues::PullOutcome::empty : queues::PullOutcome::pulled);
  }

  Result<Consumed> Consume(absl::FunctionRef<Handled(const queues::Message&)> handler) {
    Client client({node_.address()}, Options{});
    return client::Consume(client, options, handler);
  }
  // The requests to one method, in the order of their coming.
  template <class Message>
  std::vector<Message> Seen(uint32_t service, uint32_t method) const {
    std::vector<Message> found;
    for (const PipeRequest& request : node_.seen()) {
      if (request.service() != service || request.method() != method) continue;
      found.emplace_back();
      EXPECT_TRUE(found.back().ParseFromString(request.body()));
    }
    return found;
  }
  auto Acks() const { return Seen<queues::AckRequest>(kQueuesService, kAck); }
  auto Nacks() const { return Seen<queues::NackRequest>(kQueuesService, kNack); }
  auto Executes() const { return Seen<atomic::ExecuteRequest>(kAtomicService, 1); }
  FakeNode& node() { return node_; }

  ConsumeOptions options{.queue = "orders", .max = 10};
  AckOutcome::Code ack = AckOutcome::acked;
  AckOutcome::Code nack = AckOutcome::retried;
  Answer execute;

 private:
  Answer Take(const PipeRequest& request) {
    if (request.service() == kAtomicService) return execute;
    if (request.method() == kPull) return {.body = waiting_.SerializeAsString()};
    if (request.method() == kGet) {
      queues::Queue queue;
      queue.set_visibility_seconds(600);
      return {.body = queue.SerializeAsString()};
    }
    queues::AckReply reply;
    reply.add_results()->set_outcome(request.method() == kAck    ? ack
                                     : request.method() == kNack ? nack
                                                                 : AckOutcome::extended);
    return {.body = reply.SerializeAsString()};
  }

  queues::PullReply waiting_;
  FakeNode node_;
};

Handled Pay(const queues::Message& message) {
  ledger::CreateTransferRequest transfer;
  transfer.set_id(message.message_id());
  return AckWith({MakeWrite("ledger.CreateTransfer", transfer)});
}

Answer Executed(atomic::ExecuteOutcome::Code outcome, uint32_t failed = 0) {
  atomic::ExecuteReply reply;
  reply.set_outcome(outcome);
  if (outcome == atomic::ExecuteOutcome::rejected) {
    reply.set_failed(failed);
    auto* result = reply.add_results();
    result->set_method(failed == 0 ? "queues.Ack" : "ledger.CreateTransfer");
    result->set_outcome(failed == 0 ? "expired" : "insufficient_funds");
  }
  return {.body = reply.SerializeAsString()};
}

TEST(ConsumerTest, AcksWhatIsDoneAndNacksWhatIsNot) {
  Desk desk(3);
  desk.options.group = "mail";
  desk.options.consumer = "me";
  std::vector<std::string> handled;
  const auto consumed = desk.Consume([&](const queues::Message& message) {
    handled.push_back(message.message_id());
    return message.message_id() == "m2" ? Retry("no ink", milliseconds(70)) : Ack();
  });
  ASSERT_TRUE(consumed) << consumed.error().message;
  EXPECT_EQ(handled, (std::vector<std::string>{"m1", "m2", "m3"}));
  EXPECT_EQ(consumed->pulled, 3);
  EXPECT_EQ(consumed->done, 2);
  EXPECT_EQ(consumed->retried, 1);
  EXPECT_EQ(consumed->error.message, "no ink");

  const auto pulls = desk.Seen<queues::PullRequest>(kQueuesService, kPull);
  ASSERT_EQ(pulls.size(), 1u);
  EXPECT_EQ(pulls[0].queue(), "orders");
  EXPECT_EQ(pulls[0].group(), "mail");
  EXPECT_EQ(pulls[0].consumer(), "me");
  EXPECT_EQ(pulls[0].max(), 10u);
  EXPECT_EQ(pulls[0].wait_ms(), 2'000u);
  EXPECT_EQ(pulls[0].visibility_seconds(), 30u);
  const auto acks = desk.Acks();
  ASSERT_EQ(acks.size(), 2u);
  EXPECT_EQ(acks[0].queue(), "orders");
  EXPECT_EQ(acks[0].deliveries(0), "d1");
  EXPECT_EQ(acks[1].deliveries(0), "d3");
  const auto nacks = desk.Nacks();
  ASSERT_EQ(nacks.size(), 1u);
  EXPECT_EQ(nacks[0].deliveries(0), "d2");
  EXPECT_EQ(nacks[0].delay_ms(), 70u);
  EXPECT_EQ(nacks[0].error(), "no ink");
}

TEST(ConsumerTest, WritesGoInOneStepWithTheAckWhichComesFirst) {
  Desk desk(1);
  desk.execute = Executed(atomic::ExecuteOutcome::done);
  const auto consumed = desk.Consume(Pay);
  ASSERT_TRUE(consumed);
  EXPECT_EQ(consumed->done, 1);
  EXPECT_TRUE(desk.Acks().empty());
  const auto executes = desk.Executes();
  ASSERT_EQ(executes.size(), 1u);
  ASSERT_EQ(executes[0].writes_size(), 2);
  EXPECT_EQ(executes[0].writes(0).method(), "queues.Ack");
  queues::AckRequest ack;
  ASSERT_TRUE(ack.ParseFromString(executes[0].writes(0).request()));
  EXPECT_EQ(ack.queue(), "orders");
  EXPECT_EQ(ack.deliveries(0), "d1");
  EXPECT_EQ(executes[0].writes(1).method(), "ledger.CreateTransfer");
}

TEST(ConsumerTest, RefusedWritesBringTheMessageBackLater) {
  Desk desk(1);
  desk.execute = Executed(atomic::ExecuteOutcome::rejected, 1);
  const auto consumed = desk.Consume(Pay);
  ASSERT_TRUE(consumed);
  EXPECT_EQ(consumed->retried, 1);
  const auto nacks = desk.Nacks();
  ASSERT_EQ(nacks.size(), 1u);
  EXPECT_EQ(nacks[0].delay_ms(), 1'000u);
  EXPECT_EQ(nacks[0].error(), "ledger.CreateTransfer: insufficient_funds");

  Desk malformed(1);
  malformed.execute = {.error = InvalidArgument("writes[1].request.amount", "must be positive")};
  ASSERT_TRUE(malformed.Consume(Pay));
  ASSERT_EQ(malformed.Nacks().size(), 1u);
  EXPECT_EQ(malformed.Nacks()[0].error(), "writes[1].request.amount must be positive");
}

TEST(ConsumerTest, AnAckThatComesTooLateIsToldAndNothingElseIsDone) {
  Desk desk(1);
  desk.execute = Executed(atomic::ExecuteOutcome::rejected, 0);
  auto consumed = desk.Consume(Pay);
  ASSERT_TRUE(consumed);
  EXPECT_EQ(consumed->expired, 1);
  EXPECT_TRUE(desk.Nacks().empty());
  desk.ack = AckOutcome::expired;
  consumed = desk.Consume([](const queues::Message&) { return Ack(); });
  ASSERT_TRUE(consumed);
  EXPECT_EQ(consumed->expired, 1);
  EXPECT_EQ(consumed->done, 0);
  desk.nack = AckOutcome::expired;
  consumed = desk.Consume([](const queues::Message&) { return Retry("no"); });
  ASSERT_TRUE(consumed);
  EXPECT_EQ(consumed->expired, 1);
  EXPECT_EQ(consumed->retried, 0);
}

TEST(ConsumerTest, WithoutAnAnswerNothingIsSaidOfTheMessage) {
  Desk desk(1);
  desk.execute = Fails(ErrorCode::kInternal);
  const auto consumed = desk.Consume(Pay);
  ASSERT_TRUE(consumed);
  EXPECT_EQ(consumed->unknown, 1);
  EXPECT_EQ(consumed->error.code, ErrorCode::kInternal);
  EXPECT_TRUE(desk.Nacks().empty()) << "the ack may have been done";
}

TEST(ConsumerTest, ADeliveryIsExtendedWhileItIsHandled) {
  Desk desk(2);
  desk.options.visibility = std::chrono::seconds(1);
  const auto extends = [&] { return desk.Seen<queues::ExtendRequest>(kQueuesService, kExtend); };
  const auto consumed = desk.Consume([&](const queues::Message& message) {
    // Until it is extended: both at first, the second message alone once the first one is acked.
    const int open = message.message_id() == "m1" ? 2 : 1;
    for (size_t calls = 1; extends().empty() || extends().back().deliveries_size() != open;) {
      desk.node().WaitForCalls(++calls);
    }
    return Ack();
  });
  ASSERT_TRUE(consumed);
  EXPECT_EQ(consumed->done, 2);
  EXPECT_EQ(extends()[0].queue(), "orders");
  EXPECT_EQ(extends()[0].visibility_seconds(), 1u);
  EXPECT_EQ(extends().back().deliveries(0), "d2");
}

// 0 is the queue's own time. A third of it was no time at all.
TEST(ConsumerTest, WithoutAVisibilityItIsExtendedAsTheQueueSays) {
  Desk desk(1);
  desk.options.visibility = std::chrono::seconds(0);
  const auto extends = [&] { return desk.Seen<queues::ExtendRequest>(kQueuesService, kExtend); };
  const auto asked = [&] { return desk.Seen<queues::GetRequest>(kQueuesService, kGet); };
  const auto begun = std::chrono::steady_clock::now();
  const auto consumed = desk.Consume([&](const queues::Message&) {
    for (size_t calls = 1; extends().empty();) desk.node().WaitForCalls(++calls);
    EXPECT_GE(std::chrono::steady_clock::now() - begun, milliseconds(300));
    for (size_t calls = 2; asked().empty();) desk.node().WaitForCalls(++calls);
    return Ack();
  });
  ASSERT_TRUE(consumed);
  EXPECT_EQ(consumed->done, 1);
  EXPECT_EQ(desk.Seen<queues::PullRequest>(kQueuesService, kPull)[0].visibility_seconds(), 0u);
  ASSERT_EQ(extends().size(), 1u);
  EXPECT_EQ(extends()[0].visibility_seconds(), 0u);
  EXPECT_EQ(asked()[0].name(), "orders");
}

TEST(ConsumerTest, ALongErrorIsCutBetweenCharacters) {
  for (const size_t before : {253u, 254u, 255u, 256u, 300u}) {
    Desk desk(1);
    ASSERT_TRUE(desk.Consume([&](const queues::Message&) {
      return Retry(std::string(before, 'x') + "\u20ac\u20ac");  // Three bytes each.
    }));
    const auto nacks = desk.Nacks();  // A text that is no UTF-8 does not parse.
    ASSERT_EQ(nacks.size(), 1u);
    EXPECT_EQ(nacks[0].error(),
              std::string(std::min<size_t>(before, 256), 'x') + (before == 253 ? "\u20ac" : ""));
  }
}

TEST(ConsumerTest, AnEmptyQueueIsNoErrorAndAMissingOneIs) {
  Desk desk(0);
  const auto never = [](const queues::Message&) -> Handled {
    ADD_FAILURE() << "there is no message";
    return Ack();
  };
  const auto nothing = desk.Consume(never);
  ASSERT_TRUE(nothing);
  EXPECT_EQ(nothing->pulled, 0);
  EXPECT_EQ(desk.node().calls(), 1u);

  FakeNode without([](const PipeRequest&) {
    queues::PullReply reply;
    reply.set_outcome(queues::PullOutcome::queue_not_found);
    return Answer{.body = reply.SerializeAsString()};
  });
  Client client({without.address()});
  const auto missing = Consume(client, {.queue = "orders"}, never);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "cannot pull from orders: queue_not_found");
}

}  // namespace
}  // namespace holdfast::client
