// CallAsync, cancellation, time, bounds, and how calls share their pipes.
#include <absl/synchronization/blocking_counter.h>
#include <absl/synchronization/notification.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "src/api/testing/shop.pb.h"
#include "src/client/client.h"
#include "src/client/testing/fake_node.h"

namespace holdfast::client {
namespace {

using namespace holdfast::client::testing;  // NOLINT: the fixture of these tests.

// A call and what became of it.
class Asked {
 public:
  Asked(Client& client, const char* method, const std::string& body,
        const CallOptions& options = {})
      : pending_(client.CallAsync(method, body, options, [this](Result<Reply> result) {
          result_ = std::move(result);
          ended_.Notify();
        })) {}
  ~Asked() { ended_.WaitForNotification(); }

  Pending& pending() { return pending_; }
  bool ended() const { return ended_.HasBeenNotified(); }
  const Result<Reply>& result() {
    ended_.WaitForNotification();
    return result_;
  }
  ErrorCode code() {
    EXPECT_FALSE(result());
    return result() ? ErrorCode::kInternal : result().error().code;
  }

 private:
  absl::Notification ended_;
  Result<Reply> result_;
  Pending pending_;
};

// Of this process, node and all.
size_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  size_t all = 0;
  size_t resident = 0;
  statm >> all >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// A node that answers calls whose body is "ok", and stands still from any other one on until it is
// let go: it reads nothing meanwhile.
struct StandingStill {
  absl::Notification go;
  FakeNode node{[this](const PipeRequest& request) {
    if (request.body() == "ok") return Echo(request);
    go.WaitForNotification();
    return Never();
  }};
};

class AsyncTest : public ::testing::Test {
 protected:
  const api::testing::GetRequest linked_;  // Keeps the .proto in the program.
};

TEST_F(AsyncTest, ManyCallsShareOnePipeAndTravelTogether) {
  FakeNode node(Echo);
  Client client({node.address()}, Quick());
  constexpr int kCalls = 10'000;
  absl::BlockingCounter left(kCalls);
  std::atomic<int> good{0};
  for (int i = 0; i < kCalls; ++i) {
    const std::string body = std::to_string(i);
    client.CallAsync(kWrite, body, {}, [&, body](Result<Reply> reply) {
      good += reply && reply->body == body ? 1 : 0;
      left.DecrementCount();
    });
  }
  left.Wait();
  EXPECT_EQ(good, kCalls);
  EXPECT_EQ(node.pipes(), 1u);
  EXPECT_LT(node.messages(), static_cast<size_t>(kCalls) / 2);
}

TEST_F(AsyncTest, WhatTheAnsweredOnesAskNextTravelsTogether) {
  FakeNode node(Echo);
  Client client({node.address()}, Quick());
  ASSERT_TRUE(client.Call(kRead, "the pipe is up"));
  constexpr int kCallers = 64;
  constexpr int kRounds = 20;
  absl::BlockingCounter left(kCallers);
  struct Caller {
    Client& client;
    absl::BlockingCounter& left;
    int rounds = kRounds;
    void Next() {
      if (rounds-- == 0) {
        left.DecrementCount();
        return;
      }
      client.CallAsync(kWrite, "x", {}, [this](const Result<Reply>&) { Next(); });
    }
  };
  std::vector<std::unique_ptr<Caller>> callers;
  const size_t before = node.messages();
  for (int i = 0; i < kCallers; ++i) {
    callers.push_back(std::make_unique<Caller>(Caller{client, left}));
    callers.back()->Next();
  }
  left.Wait();
  // One each if they travelled alone; how many share one is a matter of the threads' timing.
  EXPECT_LT(node.messages() - before, static_cast<size_t>(kCallers * kRounds) / 2);
}

TEST_F(AsyncTest, TypedCallParsesTheReply) {
  FakeNode node(Echo);
  Client client({node.address()}, Quick());
  api::testing::GetRequest request;
  request.set_id("x");
  absl::Notification ended;
  client.CallAsync<api::testing::GetRequest>(
      kRead, request, {}, [&](Result<TypedReply<api::testing::GetRequest>> reply) {
        EXPECT_TRUE(reply && reply->message.id() == "x");
        ended.Notify();
      });
  ended.WaitForNotification();
}

TEST_F(AsyncTest, ACancelledReadEndsAtOnceAndTheNodeIsTold) {
  FakeNode node([](const PipeRequest&) { return Never(); });
  Client client({node.address()}, Quick());
  Asked call(client, kRead, "x");
  node.WaitForCall();
  EXPECT_FALSE(call.ended());
  call.pending().Cancel();
  EXPECT_TRUE(call.ended());
  EXPECT_EQ(call.code(), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(node.WaitForCancels(1)[0], node.seen()[0].id());
  call.pending().Cancel();  // Again, and harmless.
}

TEST_F(AsyncTest, ACancelledWriteThatWasSentIsOfUnknownOutcome) {
  FakeNode node([](const PipeRequest&) { return Never(); });
  Client client({node.address()}, Quick());
  Asked call(client, kWrite, "x");
  node.WaitForCall();
  call.pending().Cancel();
  EXPECT_EQ(call.code(), ErrorCode::kOutcomeUnknown);
  EXPECT_NE(call.result().error().hint.find(node.seen()[0].idempotency_key()), std::string::npos);
}

TEST_F(AsyncTest, ACancelledWriteThatWasNotSentWasCertainlyNotDone) {
  FakeNode node(Echo);
  node.KeepSilent();
  Client client({node.address()}, Quick());
  Asked call(client, kWrite, "x");
  call.pending().Cancel();
  EXPECT_EQ(call.code(), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(node.calls(), 0u);
}

TEST_F(AsyncTest, RepliesAndCancellationsMayRace) {
  FakeNode node(Echo);
  Client client({node.address()}, Quick());
  for (int i = 0; i < 300; ++i) {
    Asked call(client, kRead, "x");
    node.WaitForCalls(static_cast<size_t>(i) + 1);
    call.pending().Cancel();
    EXPECT_TRUE(call.result() || call.code() == ErrorCode::kDeadlineExceeded);
  }
}

TEST_F(AsyncTest, ACallThatTakesTooLongEndsInTimeAndOthersGoOn) {
  FakeNode node([](const PipeRequest& request) {
    return request.body() == "slow" ? Never() : Answer{.body = request.body()};
  });
  Client client({node.address()}, Quick());
  ASSERT_TRUE(client.Call(kRead, "the pipe is up"));
  Asked slow(client, kRead, "slow", Within(50));
  EXPECT_TRUE(client.Call(kRead, "quick"));
  EXPECT_EQ(slow.code(), ErrorCode::kDeadlineExceeded);
  EXPECT_TRUE(client.Call(kRead, "quick"));
  EXPECT_EQ(node.pipes(), 1u);
}

TEST_F(AsyncTest, PastTheBoundOfCallsTheNextOneIsRefused) {
  FakeNode node([](const PipeRequest&) { return Never(); });
  Client client({node.address()}, Quick());
  std::atomic<size_t> ended{0};
  std::vector<Pending> calls;
  for (size_t i = 0; i < bounds::kClientRequestsMax; ++i) {
    calls.push_back(client.CallAsync(kRead, "", {}, [&](const Result<Reply>&) { ++ended; }));
  }
  EXPECT_EQ(ended, 0u);
  Asked one_more(client, kRead, "");
  EXPECT_EQ(one_more.code(), ErrorCode::kResourceExhausted);
  calls.front().Cancel();
  EXPECT_EQ(ended, 1u);
  Asked again(client, kRead, "");
  EXPECT_FALSE(again.ended());
  again.pending().Cancel();
  for (Pending& call : calls) call.Cancel();
  EXPECT_EQ(ended, bounds::kClientRequestsMax);
}

TEST_F(AsyncTest, PastTheBoundOfBytesTheNextOneIsRefused) {
  FakeNode node([](const PipeRequest&) { return Never(); });
  Client client({node.address()}, Quick());
  std::vector<Pending> calls;
  const std::string large(bounds::kRequestBytesMax, 'x');
  for (size_t i = 0; i < bounds::kClientBytesMax / large.size(); ++i) {
    calls.push_back(client.CallAsync(kRead, large, {}, [](const Result<Reply>&) {}));
  }
  Asked one_more(client, kRead, large);
  EXPECT_EQ(one_more.code(), ErrorCode::kResourceExhausted);
  Asked too_large(client, kRead, large + "x");
  EXPECT_EQ(too_large.code(), ErrorCode::kTooLarge);
  for (Pending& call : calls) call.Cancel();
}

// Requests of calls that had ended stayed in the pipe's queue, and counted for nothing.
TEST_F(AsyncTest, WhatWasCancelledIsHeldNoMore) {
  StandingStill still;
  Client client({still.node.address()}, Quick());
  ASSERT_TRUE(client.Call(kRead, "ok"));
  constexpr size_t kCalls = 1'024;  // 32 times as many as may be under way.
  const std::string large(bounds::kRequestBytesMax, 'x');
  const size_t before = ResidentBytes();
  size_t not_done = 0;
  size_t unsure = 0;
  for (size_t i = 0; i < kCalls; ++i) {
    Pending call = client.CallAsync(kWrite, large, {}, [&](const Result<Reply>& reply) {
      ASSERT_FALSE(reply);
      ++(reply.error().code == ErrorCode::kDeadlineExceeded ? not_done : unsure);
    });
    call.Cancel();
  }
  EXPECT_LT(ResidentBytes(), before + (512 << 20));
  EXPECT_EQ(not_done + unsure, kCalls) << "none was refused";
  EXPECT_LE(unsure, 64u) << "what was not sent was certainly not done";
  still.go.Notify();
  ASSERT_TRUE(client.Call(kRead, "ok"));
  EXPECT_LE(still.node.calls(), 64u) << "what nobody waits for is not sent";
}

TEST_F(AsyncTest, WhatHadNoTimeLeftIsHeldNoMore) {
  StandingStill still;
  Client client({still.node.address()}, Quick());
  ASSERT_TRUE(client.Call(kRead, "ok"));
  constexpr int kRounds = 40;
  constexpr int kTogether = 16;
  const std::string large(bounds::kRequestBytesMax, 'x');
  const size_t before = ResidentBytes();
  for (int round = 0; round < kRounds; ++round) {
    absl::BlockingCounter left(kTogether);
    for (int i = 0; i < kTogether; ++i) {
      client.CallAsync(kRead, large, Within(20), [&](const Result<Reply>& reply) {
        EXPECT_FALSE(reply);
        left.DecrementCount();
      });
    }
    left.Wait();
  }
  EXPECT_LT(ResidentBytes(), before + (512 << 20));
  still.go.Notify();
  ASSERT_TRUE(client.Call(kRead, "ok"));
}

// Calls again whatever it is told, and twice more once the client is closed.
class Restless {
 public:
  Restless(Client& client, const char* method) : client_(client), method_(method) { Call(); }
  int left() const { return left_; }

 private:
  void Call() {
    client_.CallAsync(method_, "x", {}, [this](const Result<Reply>& reply) {
      const bool closed =
          !reply && reply.error().message.find("the client is closed") != std::string::npos;
      if (closed && --left_ == 0) return;
      Call();
    });
  }

  Client& client_;
  const char* const method_;
  int left_ = 3;  // Calls of one, so of one thread at a time.
};

// One of them waited for ever for a pipe that nobody closed; another left a thread behind.
TEST_F(AsyncTest, WhatBeginsWhileTheClientClosesEndsAtOnce) {
  FakeNode echo(Echo);
  FakeNode never([](const PipeRequest&) { return Never(); });
  FakeNode mute(Echo);
  mute.KeepSilent();
  FakeNode unavailable([](const PipeRequest&) { return Unavailable(); });
  Options pausing = Quick();
  pausing.pause_min = pausing.pause_max = milliseconds(4'000);
  struct Case {
    std::vector<std::string> endpoints;
    Options options;
    FakeNode* asked;  // Where calls arrive, if they do.
  };
  const std::vector<Case> cases = {
      {{echo.address()}, Quick(), &echo},
      {{never.address()}, Quick(), &never},
      {{mute.address()}, Quick(), nullptr},
      {{DeadAddress(), mute.address()}, Quick(), nullptr},
      {{unavailable.address()}, pausing, &unavailable},
      {{never.address(), unavailable.address(), echo.address()}, Quick(), &never},
  };
  for (const auto& [endpoints, options, asked] : cases) {
    for (size_t round = 0; round < 5; ++round) {
      const size_t before = asked == nullptr ? 0 : asked->calls();
      auto client = std::make_unique<Client>(endpoints, options);
      std::deque<Restless> callers;
      for (int i = 0; i < 8; ++i) callers.emplace_back(*client, i % 2 == 0 ? kRead : kWrite);
      if (asked != nullptr) asked->WaitForCalls(before + 2 * round);  // Some way on.
      client.reset();
      for (const Restless& caller : callers) EXPECT_EQ(caller.left(), 0);
    }
  }
}

TEST_F(AsyncTest, AClientThatGoesEndsItsCalls) {
  FakeNode node([](const PipeRequest&) { return Never(); });
  auto client = std::make_unique<Client>(std::vector<std::string>{node.address()}, Quick());
  Asked sent(*client, kWrite, "x");
  node.WaitForCall();
  client.reset();
  EXPECT_TRUE(sent.ended());
  EXPECT_EQ(sent.code(), ErrorCode::kOutcomeUnknown);
}

TEST_F(AsyncTest, WritesGoToTheLeaderAndReadsToTheNearest) {
  FakeNode near(Echo, 1);
  FakeNode leader(Echo, 2);
  near.SetLeader(2, 5);
  leader.SetLeader(2, 5);
  Client client({near.address(), leader.address()}, Quick());
  ASSERT_TRUE(client.Call(kRead, "x"));  // Tells who leads; the next write looks for it.
  while (leader.calls() == 0) ASSERT_TRUE(client.Call(kWrite, "x"));
  const size_t so_far = near.calls();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(client.Call(kWrite, "x"));
  EXPECT_EQ(near.calls(), so_far);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(client.Call(kRead, "x"));
  EXPECT_EQ(near.calls(), so_far + 10);
  CallOptions options;
  options.consistency = Consistency::kLinearizable;
  ASSERT_TRUE(client.Call(kRead, "x", options));
  EXPECT_EQ(near.calls(), so_far + 10);

  // Another leader: the higher term is right, whoever says otherwise.
  near.SetLeader(1, 6);
  ASSERT_TRUE(client.Call(kRead, "x"));
  const size_t old_leader = leader.calls();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(client.Call(kWrite, "x"));
  EXPECT_EQ(leader.calls(), old_leader);
}

TEST_F(AsyncTest, ALeaderThatFallsSilentIsLeftAlone) {
  FakeNode near(Echo, 1);
  FakeNode leader(Echo, 2);
  near.SetLeader(2, 5);
  leader.SetLeader(2, 5);
  Options options = Quick();
  options.attempt_timeout = milliseconds(700);  // Over before a sign of life is missed.
  Client client({near.address(), leader.address()}, options);
  ASSERT_TRUE(client.Call(kRead, "x"));
  while (leader.calls() == 0) ASSERT_TRUE(client.Call(kWrite, "x"));
  leader.Freeze();
  const size_t before = leader.calls();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(client.Call(kWrite, "x"));
  EXPECT_EQ(leader.calls(), before + 1) << "one call is what it costs to notice";
}

// So long that only a sign of life, or none, decides.
Options Patient() {
  Options options = Quick();
  options.timeout = milliseconds(60'000);
  options.attempt_timeout = milliseconds(30'000);
  return options;
}

// Until the client knows that `leader`, which is node 2, leads.
void FindLeader(Client& client, FakeNode& near, FakeNode& leader) {
  near.SetLeader(2, 5);
  leader.SetLeader(2, 5);
  ASSERT_TRUE(client.Call(kRead, "x"));
  while (leader.calls() == 0) ASSERT_TRUE(client.Call(kWrite, "x"));
}

// Every call to it cost attempt_timeout, five times as long as the others take to elect a leader.
TEST_F(AsyncTest, ALeaderThatGivesNoSignOfLifeLosesItsCallsLongBeforeTheirTime) {
  FakeNode near(Echo, 1);
  FakeNode leader(Echo, 2);
  Client client({near.address(), leader.address()}, Patient());
  FindLeader(client, near, leader);
  leader.Freeze();
  const size_t before = leader.calls();
  const auto begin = std::chrono::steady_clock::now();
  std::deque<Asked> calls;
  for (int i = 0; i < 100; ++i) calls.emplace_back(client, kWrite, "x");
  for (Asked& call : calls) EXPECT_TRUE(call.result());
  EXPECT_TRUE(client.Call(kWrite, "x"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
  EXPECT_EQ(leader.calls(), before + 100) << "the one after them is not sent there";
}

TEST_F(AsyncTest, ANodeWhoseCallsWaitKeepsThemWhileItGivesSignsOfLife) {
  FakeNode near(Echo, 1);
  FakeNode leader([](const PipeRequest& r) { return r.body() == "wait" ? Never() : Echo(r); }, 2);
  Client client({near.address(), leader.address()}, Patient());
  FindLeader(client, near, leader);
  const size_t before = near.calls();
  Asked waits(client, kWrite, "wait");
  EXPECT_TRUE(leader.WaitForPings(3));
  EXPECT_FALSE(waits.ended());
  EXPECT_EQ(near.calls(), before);
  waits.pending().Cancel();
}

TEST_F(AsyncTest, AfterABrokenPipeTheClientConnectsAgain) {
  const int port = holdfast::testing::FreePorts(1).front();
  auto node = std::make_unique<FakeNode>(Echo, 0, port);
  Client client({node->address()}, Quick());
  ASSERT_TRUE(client.Call(kWrite, "x"));
  node.reset();
  Asked during(client, kWrite, "x");
  node = std::make_unique<FakeNode>(Echo, 0, port);
  EXPECT_TRUE(during.result()) << during.result().error().message;
  EXPECT_TRUE(client.Call(kWrite, "x"));
}

TEST_F(AsyncTest, APipeThatBreaksWithManyCallsRepeatsThoseThatMayBe) {
  FakeNode node([](const PipeRequest&) { return Never(); });
  FakeNode other(Echo);
  Options options = WithoutKeys();
  options.attempt_timeout = milliseconds(4'000);
  Client client({node.address(), other.address()}, options);
  constexpr size_t kEach = 50;
  std::deque<Asked> keyed, bare, reads;
  for (size_t i = 0; i < kEach; ++i) {
    CallOptions with_key;
    with_key.idempotency_key = "key-" + std::to_string(i);
    keyed.emplace_back(client, kWrite, "x", with_key);
    bare.emplace_back(client, kWrite, "y");
    reads.emplace_back(client, kRead, "z");
  }
  node.WaitForCalls(3 * kEach);
  node.Stop();
  for (Asked& call : keyed) EXPECT_TRUE(call.result());
  for (Asked& call : reads) EXPECT_TRUE(call.result());
  for (Asked& call : bare) EXPECT_EQ(call.code(), ErrorCode::kOutcomeUnknown);
  for (const PipeRequest& request : other.seen()) EXPECT_NE(request.body(), "y");
}

TEST_F(AsyncTest, ANodeThatNeverSaysHelloIsGivenUp) {
  FakeNode mute(Echo);
  mute.KeepSilent();
  FakeNode node(Echo);
  Options options = WithoutKeys();
  options.connect_timeout = milliseconds(50);
  Client client({mute.address(), node.address()}, options);
  EXPECT_TRUE(client.Call(kWrite, "x"));
  EXPECT_EQ(mute.calls(), 0u);
}

}  // namespace
}  // namespace holdfast::client
