#include "src/client/client.h"

#include <gtest/gtest.h>

#include "src/api/testing/shop.pb.h"
#include "src/client/testing/fake_node.h"

namespace holdfast::client {
namespace {

using namespace holdfast::client::testing;  // NOLINT: the fixture of these tests.

class ClientTest : public ::testing::Test {
 protected:
  // Keeps the .proto in the program, so that the client knows a read from a write.
  const api::testing::GetRequest linked_;
};

TEST_F(ClientTest, CarriesBytesAndMetadataBothWays) {
  FakeNode node([](const PipeRequest& request) {
    return Answer{.body = "re:" + request.body(), .position = 42, .replayed = true, .age_ms = 17};
  });
  Client client({node.address()}, Quick());
  CallOptions options;
  options.idempotency_key = "mine";
  const auto reply = client.Call(kWrite, "bytes", options);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->body, "re:bytes");
  EXPECT_EQ(reply->position, LogIndex(42));
  EXPECT_TRUE(reply->replayed);
  EXPECT_EQ(reply->age, milliseconds(17));
  EXPECT_EQ(client.position(), LogIndex(42));
  ASSERT_EQ(node.calls(), 1u);
  const PipeRequest seen = node.seen()[0];
  EXPECT_EQ(seen.idempotency_key(), "mine");
  EXPECT_EQ(seen.name(), "") << "what is known goes by its numbers";
  EXPECT_NE(seen.service(), 0u);
  EXPECT_NE(seen.method(), 0u);
  EXPECT_GT(seen.timeout_ms(), 4'000u);
  EXPECT_LE(seen.timeout_ms(), 5'000u);
}

TEST_F(ClientTest, TypedCallParsesTheReply) {
  FakeNode node(Echo);
  Client client({node.address()}, Quick());
  api::testing::GetRequest request;
  request.set_id("x");
  const auto reply = client.Call<api::testing::GetRequest>(kRead, request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message.id(), "x");

  FakeNode broken([](const PipeRequest&) { return Answer{.body = "\xff\xff"}; });
  Client other({broken.address()}, Quick());
  const auto bad = other.Call<api::testing::GetRequest>(kRead, request);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::kInternal);
}

TEST_F(ClientTest, SessionReadsCarryTheHighestPositionSeen) {
  FakeNode node(InTurn({{.position = 7}, {.position = 5}}));
  Client client({node.address()}, Quick());
  ASSERT_TRUE(client.Call(kWrite, ""));
  ASSERT_TRUE(client.Call(kRead, ""));  // An older position does not take the session back.
  ASSERT_TRUE(client.Call(kRead, ""));
  CallOptions options;
  options.after = LogIndex(9);
  ASSERT_TRUE(client.Call(kRead, "", options));
  options.consistency = Consistency::kStale;
  ASSERT_TRUE(client.Call(kRead, "", options));
  const auto seen = node.seen();
  EXPECT_EQ(seen[0].after(), 0u);
  EXPECT_EQ(seen[1].after(), 7u);
  EXPECT_EQ(seen[2].after(), 7u);
  EXPECT_EQ(seen[2].consistency(), PipeRequest::session);
  EXPECT_EQ(seen[3].after(), 9u);
  EXPECT_EQ(seen[4].consistency(), PipeRequest::stale);
  EXPECT_EQ(seen[4].after(), 0u);
}

TEST_F(ClientTest, AnErrorOfTheNodeComesBackAsItWas) {
  FakeNode node([](const PipeRequest&) {
    return Answer{Error{ErrorCode::kInvalidArgument, "must be at least 1", "legs[1].amount",
                        "look it up", 0}};
  });
  Client client({node.address()}, Quick());
  const auto reply = client.Call(kWrite, "");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(reply.error().field, "legs[1].amount");
  EXPECT_EQ(reply.error().message, "must be at least 1");
  EXPECT_EQ(reply.error().hint, "look it up");
  EXPECT_EQ(node.calls(), 1u) << "a refusal is final";
}

TEST_F(ClientTest, TriesTheNextNodeAndStaysWithIt) {
  FakeNode node(Echo);
  Client client({DeadAddress(), node.address()}, WithoutKeys());
  for (int i = 0; i < 3; ++i) {
    const auto reply = client.Call(kWrite, "x");
    ASSERT_TRUE(reply) << reply.error().message;
  }
  EXPECT_EQ(node.calls(), 3u);
}

TEST_F(ClientTest, WhatWasCertainlyNotDoneIsTriedAgainWithoutAKey) {
  FakeNode first([](const PipeRequest&) { return Unavailable(); });
  FakeNode second(InTurn({Unavailable(), Unavailable()}));
  Client client({first.address(), second.address()}, WithoutKeys());
  const auto reply = client.Call(kWrite, "x");
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(first.calls(), 3u);
  EXPECT_EQ(second.calls(), 3u);
  EXPECT_EQ(second.seen()[0].idempotency_key(), "");
}

TEST_F(ClientTest, AWriteOfUnknownOutcomeIsNotRepeatedWithoutAKey) {
  FakeNode first([](const PipeRequest&) { return Unknown(); });
  FakeNode second(Echo);
  Client client({first.address(), second.address()}, WithoutKeys());
  const auto reply = client.Call(kWrite, "x");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(first.calls() + second.calls(), 1u);
}

TEST_F(ClientTest, AWriteOfUnknownOutcomeIsRepeatedUnderOneKey) {
  FakeNode first([](const PipeRequest&) { return Unknown(); });
  FakeNode second(Echo);
  Client client({first.address(), second.address()}, Quick());
  ASSERT_TRUE(client.Call(kWrite, "x"));
  ASSERT_EQ(first.calls(), 1u);
  ASSERT_EQ(second.calls(), 1u);
  const std::string key = first.seen()[0].idempotency_key();
  EXPECT_GE(key.size(), 32u);
  EXPECT_EQ(second.seen()[0].idempotency_key(), key);
  ASSERT_TRUE(client.Call(kWrite, "x"));
  EXPECT_NE(second.seen()[1].idempotency_key(), key) << "another call, another key";
}

TEST_F(ClientTest, AWriteThatMayBeDoneTwiceIsRepeatedWithoutAKey) {
  FakeNode first([](const PipeRequest&) { return Unknown(); });
  FakeNode second(Echo);
  Client client({first.address(), second.address()}, Quick());
  CallOptions options;
  options.repeatable = true;
  ASSERT_TRUE(client.Call(kWrite, "x", options));
  ASSERT_EQ(first.calls(), 1u);
  ASSERT_EQ(second.calls(), 1u);
  EXPECT_EQ(first.seen()[0].idempotency_key(), "");
  EXPECT_EQ(second.seen()[0].idempotency_key(), "");
}

TEST_F(ClientTest, AMethodThatIsNotKnownCountsAsAWrite) {
  FakeNode node([](const PipeRequest&) { return Unknown(); });
  Client client({node.address()}, WithoutKeys());
  const auto reply = client.Call("/some.other.Service/Get", "");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(node.calls(), 1u);
}

TEST_F(ClientTest, AConnectionLostInTheMiddleLeavesAWriteUnknown) {
  FakeNode node([](const PipeRequest&) { return Never(); });
  FakeNode other(Echo);
  Client client({node.address(), other.address()}, WithoutKeys());
  std::thread killer([&node] {
    node.WaitForCall();
    node.Stop();
  });
  const auto reply = client.Call(kWrite, "x");
  killer.join();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(other.calls(), 0u);
}

TEST_F(ClientTest, AConnectionLostInTheMiddleIsRepeatedUnderAKey) {
  FakeNode node([](const PipeRequest&) { return Never(); });
  FakeNode other(Echo);
  Options options = Quick();
  options.attempt_timeout = milliseconds(4'000);  // The loss must be noticed, not timed out.
  Client client({node.address(), other.address()}, options);
  std::thread killer([&node] {
    node.WaitForCall();
    node.Stop();
  });
  const auto reply = client.Call(kWrite, "x");
  killer.join();
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(other.seen().at(0).idempotency_key(), node.seen().at(0).idempotency_key());
}

TEST_F(ClientTest, ANodeThatHangsCostsOneAttempt) {
  FakeNode hanging([](const PipeRequest&) { return Never(); });
  FakeNode node(Echo);
  Options options = Quick();
  options.attempt_timeout = milliseconds(1'000);
  Client client({hanging.address(), node.address()}, options);
  ASSERT_TRUE(client.Call(kRead, "x"));
  EXPECT_EQ(hanging.calls(), 1u);
  ASSERT_TRUE(client.Call(kRead, "x"));
  EXPECT_EQ(hanging.calls(), 1u) << "the next call begins at the node that answered";
}

TEST_F(ClientTest, WithoutAnyNodeTheAnswerIsUnavailable) {
  Client client({DeadAddress(), DeadAddress()}, Quick());
  const auto reply = client.Call(kWrite, "x", Within(100));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kUnavailable);
}

TEST_F(ClientTest, UnavailableAfterAnUnknownOutcomeStaysUnknown) {
  FakeNode node([first = true](const PipeRequest&) mutable {
    return std::exchange(first, false) ? Unknown() : Unavailable();
  });
  Client client({node.address()}, Quick());
  const auto write = client.Call(kWrite, "x", Within(2'000));
  ASSERT_FALSE(write);
  EXPECT_EQ(write.error().code, ErrorCode::kOutcomeUnknown);
  ASSERT_GT(node.calls(), 1u);
  EXPECT_NE(write.error().hint.find(node.seen()[0].idempotency_key()), std::string::npos)
      << "the caller needs the key to go on: " << write.error().hint;
}

TEST_F(ClientTest, AReadIsNeverOfUnknownOutcome) {
  FakeNode node([](const PipeRequest&) { return Never(); });
  Client client({node.address()}, Quick());
  const auto read = client.Call(kRead, "x", Within(2'000));
  EXPECT_EQ(node.calls(), 1u);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kDeadlineExceeded);
}

TEST_F(ClientTest, AFullQueueIsGivenTheTimeItAsksFor) {
  Answer full = Fails(ErrorCode::kResourceExhausted);
  full.error->retry_after_ms = 60;
  FakeNode node(InTurn({full}));
  Client client({node.address()}, WithoutKeys());
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(client.Call(kWrite, "x"));
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(60));
  EXPECT_EQ(node.calls(), 2u);
}

TEST_F(ClientTest, ANodeIsGivenLessTimeThanTheCaller) {
  for (const auto& [patience, most] : std::vector<std::pair<int64_t, uint32_t>>{
           {60'000, 59'500}, {2'000, 1'800}, {100, 50}, {2, 1}, {1, 1}}) {
    FakeNode node(Echo);
    Client client({node.address()}, Quick());
    // However short: what had no time to connect is not sent at all.
    if (!client.Call(kRead, "x", Within(patience))) continue;
    const uint32_t given = node.seen().at(0).timeout_ms();
    EXPECT_LE(given, most) << patience;
    EXPECT_GE(given, 1u) << patience;
    if (patience > 1'000) {
      EXPECT_GT(given, most / 2) << patience;
    }
  }
}

// A last attempt with a margin of its own, a tenth of next to nothing, turned "nothing was done"
// into an unknown outcome.
TEST_F(ClientTest, ALateAttemptLeavesTheMarginOfTheWholeCall) {
  const auto begin = std::chrono::steady_clock::now();
  struct Attempt {
    double arrived_ms;
    uint32_t timeout_ms;
  };
  std::vector<Attempt> attempts;  // Under the node's own lock.
  FakeNode node([&](const PipeRequest& request) {
    const std::chrono::duration<double, std::milli> arrived =
        std::chrono::steady_clock::now() - begin;
    attempts.push_back({arrived.count(), request.timeout_ms()});
    return Unavailable();
  });
  Client client({node.address()}, Quick());
  ASSERT_FALSE(client.Call(kWrite, "x", Within(1'000)));
  node.Stop();
  ASSERT_GT(attempts.size(), 1u);
  EXPECT_LE(attempts[0].timeout_ms, 900u);
  // Each was sent after the one before it had arrived; one that was sent past 900 ms has no margin.
  const double until = attempts[0].arrived_ms + attempts[0].timeout_ms + 1;
  for (size_t i = 1; i < attempts.size() && attempts[i].arrived_ms < 900; ++i) {
    EXPECT_LE(attempts[i].timeout_ms, std::max(1.0, until - attempts[i - 1].arrived_ms))
        << "an attempt gets the time until 900 ms, not until the end";
  }
}

// It used to blame the only node that lived: "no answer from 127.0.0.1:9001 in time".
TEST_F(ClientTest, WhatANodeSaysAtItsDeadlineArrivesInTime) {
  Answer no_leader = Unavailable();
  no_leader.error->message = "no leader could be reached in time";
  FakeNode node([&](const PipeRequest& request) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable nobody;
    nobody.wait_for(lock, milliseconds(request.timeout_ms()), [] { return false; });
    return no_leader;
  });
  Options options;  // Those of a program: an attempt may take longer than the call.
  Client client({node.address(), DeadAddress(), DeadAddress()}, options);
  for (const char* method : {kWrite, kRead}) {
    // Over before its silence is noticed: this node does one thing at a time. The answer has 60 ms
    // to arrive in, which not every machine gives it every time.
    Error told;
    for (int i = 0; i < 5 && told.message != no_leader.error->message; ++i) {
      const auto reply = client.Call(method, "x", Within(600));
      ASSERT_FALSE(reply);
      told = reply.error();
    }
    EXPECT_EQ(told.code, ErrorCode::kUnavailable);
    EXPECT_EQ(told.message, no_leader.error->message);
  }
}

TEST_F(ClientTest, WhatANodeSaysIsToldAndNotThatOthersAreGone) {
  FakeNode node([](const PipeRequest&) { return Unavailable(); });
  Client client({node.address(), DeadAddress()}, Quick());
  for (const char* method : {kWrite, kRead}) {
    const auto reply = client.Call(method, "x", Within(2'000));
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(reply.error().message, "no");
  }
}

TEST_F(ClientTest, AnUnknownOutcomeIsExplainedByWhatLeftItUnknown) {
  Answer unknown = Unknown();
  unknown.error->message = "leadership was lost";
  FakeNode node([&, first = true](const PipeRequest&) mutable {
    return std::exchange(first, false) ? unknown : Unavailable();
  });
  Client client({node.address(), DeadAddress()}, Quick());
  const auto reply = client.Call(kWrite, "x", Within(2'000));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(reply.error().message,
            "it is not known whether the request was carried out: leadership was lost");
}

TEST_F(ClientTest, RefusesAKeyThatMetadataCannotCarry) {
  Client client({DeadAddress()}, Quick());
  for (const std::string& key : {std::string("a\nb"), std::string("\xc3\xa9"),
                                 std::string(bounds::kIdempotencyKeyBytesMax + 1, 'k')}) {
    CallOptions options;
    options.idempotency_key = key;
    const auto reply = client.Call(kWrite, "x", options);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().field, "idempotency-key");
  }
}

TEST_F(ClientTest, ThreadsShareOneClient) {
  std::set<std::string> keys;  // Under the node's own lock.
  FakeNode node([&keys, position = uint64_t{0}](const PipeRequest& seen) mutable {
    keys.insert(seen.idempotency_key());
    return Answer{.position = ++position};
  });
  Client client({node.address()}, Quick());
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&client, &good] {
      for (int j = 0; j < 25; ++j) good += client.Call(kWrite, "x").has_value() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 200);
  EXPECT_EQ(keys.size(), 200u);
  EXPECT_EQ(client.position(), LogIndex(200));
}

TEST(ParseEndpointsTest, TakesAddressesAndNamesTheBadOne) {
  const auto good = ParseEndpoints("127.0.0.1:9001,node-2.example:1,[::1]:65535");
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, (std::vector<std::string>{"127.0.0.1:9001", "node-2.example:1", "[::1]:65535"}));
  for (const char* bad :
       {"", "a", ":1", "a:", "a:0", "a:65536", "a:99999999999", "a:1,", ",a:1", "a:1x", "a:-1"}) {
    const auto refused = ParseEndpoints(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().field, "endpoints");
  }
  std::string many = "a:1";
  for (size_t i = 0; i < kEndpointsMax; ++i) many += ",a:1";
  EXPECT_FALSE(ParseEndpoints(many));
}

}  // namespace
}  // namespace holdfast::client
