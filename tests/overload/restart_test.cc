// How long a node with a million transfers is away, however it ended.
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <iostream>
#include <thread>
#include <vector>

#include "tests/support/http_client.h"
#include "tests/support/process_cluster.h"

namespace holdfast {
namespace {

using testing::HttpClient;
using testing::HttpReply;
using testing::ProcessCluster;

constexpr int kPerRequest = 5'000;
constexpr int kRequests = 240;
constexpr int kRequestsBefore = 200;  // A million transfers.
constexpr int kPayers = 2;
constexpr std::chrono::milliseconds kAwayMax{5'000};

// A part of the requests that is this payer's, each until it is known to be done.
void Pay(uint16_t port, int payer, std::atomic<int>& paid) {
  HttpClient client(port, std::chrono::seconds(60));
  for (int number = payer; number < kRequests; number += kPayers) {
    std::string body = R"({"transfers":[)";
    for (int i = 0; i < kPerRequest; ++i) {
      body += std::string(i == 0 ? "" : ",") + R"({"id":")" + std::to_string(number) + "-" +
              std::to_string(i) + R"(","from":"payer","to":"payee","amount":1})";
    }
    const HttpReply reply = client.PostUntilKnown("/v1/ledger/transfers:batch", body + "]}");
    EXPECT_EQ(reply.status, 200) << reply.body;
    ++paid;
    paid.notify_all();
  }
}

void ExpectSoonBack(ProcessCluster& one, int signal) {
  one.Signal(1, signal);
  one.Wait(1);
  const auto began = std::chrono::steady_clock::now();
  one.Start(1);
  ASSERT_TRUE(one.WaitHealthy()) << one.LogOf(1);
  const auto away = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - began);
  std::cout << "healthy " << away.count() << " ms after its start, ended by signal " << signal
            << "\n";
  EXPECT_LT(away, kAwayMax);
}

TEST(RestartTest, AMillionTransfersAreNoWait) {
#ifdef HOLDFAST_CHECK_EVERY_ENTRY
  GTEST_SKIP() << "a build that checks all invariants after each entry takes minutes";
#endif
  ProcessCluster one(1);
  one.StartAll();
  ASSERT_TRUE(one.WaitHealthy()) << one.LogOf(1);
  for (const char* id : {"payer", "payee"}) {
    const HttpReply opened =
        HttpClient(one.http(1))
            .PostUntilKnown("/v1/ledger/accounts", std::string(R"({"id":")") + id +
                                                       R"(","currency":"EUR","overdraft":true})");
    ASSERT_EQ(opened.status, 201) << opened.body;
  }
  std::atomic<int> paid{0};
  std::vector<std::thread> payers;
  for (int payer = 0; payer < kPayers; ++payer) {
    payers.emplace_back([&, payer] { Pay(one.http(1), payer, paid); });
  }
  for (int seen = paid; seen < kRequestsBefore; seen = paid) paid.wait(seen);
  ExpectSoonBack(one, SIGKILL);
  for (std::thread& payer : payers) payer.join();
  ExpectSoonBack(one, SIGTERM);
  const HttpReply payee = HttpClient(one.http(1)).Get("/v1/ledger/accounts/payee");
  EXPECT_EQ(testing::JsonField(payee.body, "balance"), std::to_string(kRequests * kPerRequest));
}

}  // namespace
}  // namespace holdfast
