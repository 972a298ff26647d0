// One request, however often it is sent, through whichever node and door, over the death of the
// leader or of all nodes: one effect, and one answer.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <latch>
#include <thread>
#include <vector>

#include "tests/cluster/transfer_caller.h"

namespace holdfast {
namespace {

using ledger::CreateTransferRequest;
using testing::Answer;
using testing::BalanceAt;
using testing::Door;
using testing::MakeTransfer;
using testing::OpenAccount;
using testing::ProcessCluster;
using testing::TransferCaller;

constexpr int kCallers = 100;

// A request under its idempotency key; the key may be empty.
struct Keyed {
  CreateTransferRequest request;
  std::string key;
};

// Every request sent by 100 callers at once, half by HTTP and half by gRPC, evenly over the nodes:
// the answers by request, then by caller. `answered` is called after each.
std::vector<std::vector<Answer>> Volley(
    const ProcessCluster& cluster, const std::vector<Keyed>& requests,
    const std::function<void()>& answered = [] {}) {
  std::vector<std::vector<Answer>> answers(requests.size(), std::vector<Answer>(kCallers));
  std::latch ready(kCallers);
  std::vector<std::thread> threads;
  for (int caller = 0; caller < kCallers; ++caller) {
    threads.emplace_back([&, caller] {
      TransferCaller ledger(cluster, 1 + caller % cluster.size(),
                            caller % 2 == 0 ? Door::kHttp : Door::kGrpc);
      ready.arrive_and_wait();
      for (size_t i = 0; i < requests.size(); ++i) {
        answers[i][static_cast<size_t>(caller)] =
            ledger.Transfer(requests[i].request, requests[i].key);
        answered();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return answers;
}

// All answers are the same bytes at their door and the same message at both. How many were not
// replayed.
int ExpectOneAnswer(const std::vector<Answer>& answers, const std::string& outcome) {
  const Answer* first[2] = {nullptr, nullptr};
  int originals = 0;
  for (const Answer& answer : answers) {
    EXPECT_EQ(answer.outcome, outcome) << answer.bytes;
    const Answer*& same_door = first[static_cast<size_t>(answer.door)];
    if (same_door == nullptr) same_door = &answer;
    EXPECT_EQ(answer.bytes, same_door->bytes);
    EXPECT_EQ(answer.reply.SerializeAsString(), answers[0].reply.SerializeAsString());
    if (!answer.replayed) ++originals;
  }
  return originals;
}

// The one that was no replay, or the one that was no duplicate, came to somebody: unless leadership
// changed meanwhile or a call was repeated, since it may then be what was lost on its way.
void ExpectOneOriginal(int originals, const std::vector<Answer>& answers, bool same_term) {
  EXPECT_LE(originals, 1);
  const bool repeated = std::ranges::any_of(answers, [](const Answer& a) { return a.repeated; });
  EXPECT_TRUE(originals == 1 || !same_term || repeated);
}

class ExactlyOnceTest : public ::testing::Test {
 protected:
  ExactlyOnceTest() : cluster_(3) {}

  void SetUp() override {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.WaitHealthy()) << cluster_.LogOf(1);
    OpenAccount(cluster_, "bank");
    OpenAccount(cluster_, "shop", "0");
  }

  void KillAndRestartAll() {
    for (int node = 1; node <= 3; ++node) cluster_.Signal(node, SIGKILL);
    for (int node = 1; node <= 3; ++node) cluster_.Kill(node);
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.WaitHealthy());
  }

  void ExpectBalances(const std::string& account, int64_t balance) {
    for (int node = 1; node <= 3; ++node) {
      EXPECT_EQ(BalanceAt(cluster_, node, account), balance) << account << " at node " << node;
    }
  }

  Answer Ask(int node, Door door, const CreateTransferRequest& request,
             const std::string& key = "") {
    return TransferCaller(cluster_, node, door).Transfer(request, key);
  }

  ProcessCluster cluster_;
};

TEST_F(ExactlyOnceTest, OneKeySentByManyAtOnceHasOneEffectAndEqualAnswers) {
  const Keyed paid{MakeTransfer("t1", "bank", "shop", 700), "key-1"};
  const uint64_t term = cluster_.Term();
  const std::vector<Answer> answers = Volley(cluster_, {paid})[0];
  ExpectOneOriginal(ExpectOneAnswer(answers, "created"), answers, cluster_.Term() == term);
  EXPECT_EQ(answers[0].reply.to().balance(), 700);
  ExpectBalances("shop", 700);

  KillAndRestartAll();
  std::vector<Answer> later = Volley(cluster_, {paid})[0];
  EXPECT_EQ(ExpectOneAnswer(later, "created"), 0) << "all are replays";
  EXPECT_EQ(later[0].bytes, answers[0].bytes);
  EXPECT_EQ(later[1].bytes, answers[1].bytes);
  ExpectBalances("shop", 700);
}

TEST_F(ExactlyOnceTest, KeysHoldWhileTheLeaderDiesInTheMiddleOfTheVolley) {
  constexpr int kRequests = 8;
  std::vector<Keyed> requests;
  for (int i = 0; i < kRequests; ++i) {
    const std::string number = std::to_string(i);
    OpenAccount(cluster_, "till-" + number, "0");
    requests.push_back(
        {MakeTransfer("t" + number, "bank", "till-" + number, 100 + i), "key-" + number});
  }
  const int leader = cluster_.WaitLeader();
  ASSERT_NE(leader, 0);
  constexpr int kBeforeTheKill = 2 * kCallers + kCallers / 2;
  std::latch kill(kBeforeTheKill);
  std::atomic<int> answered{0};
  std::thread killer([&] {
    kill.wait();
    cluster_.Kill(leader);
  });
  const auto answers = Volley(cluster_, requests, [&] {
    if (answered.fetch_add(1) < kBeforeTheKill) kill.count_down();
  });
  killer.join();
  for (int i = 0; i < kRequests; ++i) {
    // The one original may have been lost with its node.
    EXPECT_LE(ExpectOneAnswer(answers[static_cast<size_t>(i)], "created"), 1) << "request " << i;
  }
  cluster_.Start(leader);
  ASSERT_TRUE(cluster_.WaitHealthy());
  for (int i = 0; i < kRequests; ++i) ExpectBalances("till-" + std::to_string(i), 100 + i);

  KillAndRestartAll();
  const auto later = Volley(cluster_, requests);
  for (size_t i = 0; i < kRequests; ++i) {
    EXPECT_EQ(ExpectOneAnswer(later[i], "created"), 0) << "request " << i;
    EXPECT_EQ(later[i][0].bytes, answers[i][0].bytes);
    EXPECT_EQ(later[i][1].bytes, answers[i][1].bytes);
  }
  for (int i = 0; i < kRequests; ++i) ExpectBalances("till-" + std::to_string(i), 100 + i);
  std::string report;
  EXPECT_TRUE(cluster_.WaitEqualState(std::chrono::seconds(20), &report)) << report;
}

TEST_F(ExactlyOnceTest, AKeyWithAnotherRequestIsRefused) {
  ASSERT_EQ(Ask(1, Door::kHttp, MakeTransfer("t1", "bank", "shop", 5), "key-1").outcome, "created");
  const CreateTransferRequest others[] = {MakeTransfer("t2", "bank", "shop", 5),
                                          MakeTransfer("t1", "bank", "shop", 6),
                                          MakeTransfer("t1", "bank", "elsewhere", 5)};
  int node = 1;
  for (const CreateTransferRequest& other : others) {
    for (const Door door : {Door::kHttp, Door::kGrpc}) {
      const Answer refused = Ask(1 + node++ % 3, door, other, "key-1");
      EXPECT_EQ(refused.outcome, "idempotency_key_reused");
      EXPECT_EQ(refused.field, "idempotency-key");
      EXPECT_FALSE(refused.replayed);
    }
  }
  const testing::HttpReply raw =
      testing::HttpClient(cluster_.http(2))
          .Post("/v1/ledger/transfers", R"({"id":"t9","from":"bank","to":"shop","amount":5})",
                {{"Idempotency-Key", "key-1"}});
  EXPECT_EQ(raw.status, 422) << raw.body;
  ExpectBalances("shop", 5);
  EXPECT_EQ(Ask(3, Door::kGrpc, MakeTransfer("t2", "bank", "shop", 5), "key-2").outcome, "created")
      << "what was refused for its key has burnt no id";
}

TEST_F(ExactlyOnceTest, WhatFailedForItsStateNeverSucceedsLater) {
  const CreateTransferRequest refused = MakeTransfer("f1", "shop", "bank", 100);
  const Answer first = Ask(1, Door::kHttp, refused, "key-f");
  ASSERT_EQ(first.outcome, "insufficient_funds");
  ASSERT_TRUE(!first.replayed || first.repeated);
  ASSERT_EQ(Ask(2, Door::kGrpc, MakeTransfer("f0", "bank", "shop", 1'000), "key-f0").outcome,
            "created");

  const auto expect_burnt = [&] {
    for (int node = 1; node <= 3; ++node) {
      for (const Door door : {Door::kHttp, Door::kGrpc}) {
        const Answer late = Ask(node, door, refused);
        EXPECT_EQ(late.outcome, "id_already_failed") << "node " << node;
        EXPECT_EQ(late.reply.failed_as(), ledger::TransferOutcome::insufficient_funds);
        EXPECT_FALSE(late.replayed);
      }
      const Answer replayed = Ask(node, Door::kHttp, refused, "key-f");
      EXPECT_TRUE(replayed.replayed);
      EXPECT_EQ(replayed.bytes, first.bytes) << "node " << node;
      EXPECT_EQ(Ask(node, Door::kGrpc, refused, "key-f").reply.SerializeAsString(),
                first.reply.SerializeAsString());
    }
    ExpectBalances("shop", 1'000);
  };
  expect_burnt();
  KillAndRestartAll();
  expect_burnt();
  EXPECT_EQ(Ask(3, Door::kHttp, refused, "key-new").outcome, "id_already_failed");
  EXPECT_EQ(Ask(3, Door::kHttp, MakeTransfer("f2", "shop", "bank", 100), "key-f2").outcome,
            "created")
      << "a new id has a new chance";
  ExpectBalances("shop", 900);
}

TEST_F(ExactlyOnceTest, OneIdSentByManyAtOnceWithoutAKeyIsCreatedOnce) {
  const uint64_t term = cluster_.Term();
  const std::vector<Answer> answers =
      Volley(cluster_, {{MakeTransfer("t1", "bank", "shop", 30), ""}})[0];
  int created = 0;
  for (const Answer& answer : answers) {
    if (answer.outcome == "created") {
      ++created;
      EXPECT_FALSE(answer.reply.duplicate());
    } else {
      EXPECT_EQ(answer.outcome, "already_exists") << answer.bytes;
      EXPECT_TRUE(answer.reply.duplicate());
    }
    EXPECT_FALSE(answer.replayed);
    EXPECT_EQ(answer.reply.transfer().SerializeAsString(),
              answers[0].reply.transfer().SerializeAsString());
    EXPECT_EQ(answer.reply.to().balance(), 30) << "as it was right after the original";
  }
  ExpectOneOriginal(created, answers, cluster_.Term() == term);
  ExpectBalances("shop", 30);
}

}  // namespace
}  // namespace holdfast
