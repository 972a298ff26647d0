// How long a node with a million transfers is away, however it ended.
#include <gtest/gtest.h>

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

constexpr int kTransfers = 1'000'000;
constexpr int kPerRequest = 5'000;
constexpr int kPayers = 2;
constexpr std::chrono::milliseconds kAwayMax{5'000};

// A part of kTransfers that is this payer's, in requests of kPerRequest.
void Pay(uint16_t port, int payer) {
  HttpClient client(port, std::chrono::seconds(60));
  for (int number = payer; number < kTransfers / kPerRequest; number += kPayers) {
    std::string body = R"({"transfers":[)";
    for (int i = 0; i < kPerRequest; ++i) {
      body += std::string(i == 0 ? "" : ",") + R"({"id":")" + std::to_string(number) + "-" +
              std::to_string(i) + R"(","from":"payer","to":"payee","amount":1})";
    }
    const HttpReply reply = client.Post("/v1/ledger/transfers:batch", body + "]}");
    ASSERT_EQ(reply.status, 200) << reply.body;
  }
}

TEST(RestartTest, AMillionTransfersAreNoWait) {
  ProcessCluster one(1);
  one.StartAll();
  ASSERT_TRUE(one.WaitHealthy()) << one.LogOf(1);
  for (const char* id : {"payer", "payee"}) {
    const HttpReply opened =
        HttpClient(one.http(1))
            .Post("/v1/ledger/accounts",
                  std::string(R"({"id":")") + id + R"(","currency":"EUR","overdraft":true})");
    ASSERT_EQ(opened.status, 201) << opened.body;
  }
  std::vector<std::thread> payers;
  for (int payer = 0; payer < kPayers; ++payer) {
    payers.emplace_back([&, payer] { Pay(one.http(1), payer); });
  }
  for (std::thread& payer : payers) payer.join();

  for (const int signal : {SIGKILL, SIGTERM}) {
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
    const HttpReply payee = HttpClient(one.http(1)).Get("/v1/ledger/accounts/payee");
    EXPECT_EQ(testing::JsonField(payee.body, "balance"), std::to_string(kTransfers));
  }
}

}  // namespace
}  // namespace holdfast
