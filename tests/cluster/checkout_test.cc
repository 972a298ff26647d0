// Checkouts over HTTP against a cluster of real processes: the last pieces of a product are sold
// once, whoever asks at once, at whichever node, and while the leader dies.
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "tests/support/http_client.h"
#include "tests/support/process_cluster.h"

namespace holdfast {
namespace {

using testing::HttpClient;
using testing::HttpReply;
using testing::JsonField;
using testing::ProcessCluster;

constexpr int kCallers = 12;
constexpr int kCheckoutsEach = 25;
constexpr int kStock = 100;  // Of 300 that are asked for, each two pieces.
constexpr int kPrice = 500;

class CheckoutTest : public ::testing::Test {
 protected:
  CheckoutTest() : cluster_(3) {}

  void SetUp() override {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.WaitHealthy()) << cluster_.LogOf(1);
    Post("/v1/products", R"({"sku":"cup","price":500,"currency":"EUR"})", 201);
    Post("/v1/products/cup:receive", R"({"quantity":100})", 200);
    Post("/v1/customers", R"({"id":"ann","currency":"EUR"})", 201);
    Post("/v1/ledger/accounts", R"({"id":"ann","currency":"EUR","overdraft":true})", 201);
    Post("/v1/ledger/accounts", R"({"id":"shop","currency":"EUR"})", 201);
    Post("/v1/queues", R"({"name":"parcels"})", 201);
  }

  HttpReply Post(const std::string& path, const std::string& body, int status, int node = 1) {
    HttpReply reply = HttpClient(cluster_.http(node)).Post(path, body);
    EXPECT_EQ(reply.status, status) << path << " " << reply.body;
    return reply;
  }
  std::string Get(int node, const std::string& path) {
    const HttpReply reply =
        HttpClient(cluster_.http(node)).Get(path, {{"Holdfast-Consistency", "linearizable"}});
    EXPECT_EQ(reply.status, 200) << path << " " << reply.body;
    return reply.body;
  }

  static std::string CheckoutOf(const std::string& id, const std::string& more = "") {
    return R"({"id":")" + id +
           R"(","customer":"ann","lines":[{"sku":"cup","quantity":2}],"total":1000,)" +
           R"("payment":{"from":"ann","to":"shop"},"message":{"queue":"parcels"})" + more + "}";
  }

  // The very same request through one node after the other, until somebody knows how it ended.
  HttpReply Checkout(const std::string& id, int node) {
    for (int attempt = 0; attempt < 40; ++attempt) {
      HttpClient http("127.0.0.1", cluster_.http(1 + (node + attempt) % 3),
                      std::chrono::milliseconds(4'000));
      HttpReply reply = http.Post("/v1/checkout", CheckoutOf(id), {{"Idempotency-Key", id}});
      if (reply.status == 201 || reply.status == 409) return reply;
    }
    return {};
  }

  ProcessCluster cluster_;
};

TEST_F(CheckoutTest, TheLastPiecesAreSoldOnceWhileTheLeaderDies) {
  std::atomic<int> done = 0;
  std::atomic<int> sold_out = 0;
  std::atomic<int> lost = 0;
  std::atomic<int> answered = 0;
  std::latch some(kCallers * 3);
  std::vector<std::thread> threads;
  for (int caller = 0; caller < kCallers; ++caller) {
    threads.emplace_back([&, caller] {
      for (int i = 0; i < kCheckoutsEach; ++i) {
        const HttpReply reply =
            Checkout("o" + std::to_string(caller) + "-" + std::to_string(i), caller);
        if (i < 3) some.count_down();
        if (reply.status == 201) {
          ++done;
        } else if (JsonField(reply.body, "reason") == "insufficient_stock") {
          ++sold_out;
        } else {
          ++lost;
        }
      }
    });
  }
  some.wait();
  const int leader = cluster_.WaitLeader();
  cluster_.Kill(leader);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(done, kStock / 2);
  EXPECT_EQ(done + sold_out, kCallers * kCheckoutsEach);

  cluster_.Start(leader);
  ASSERT_TRUE(cluster_.WaitHealthy());
  std::string report;
  EXPECT_TRUE(cluster_.WaitEqualState(std::chrono::seconds(20), &report)) << report;
  const int money = kStock * kPrice;
  for (int node = 1; node <= 3; ++node) {
    const std::string cup = Get(node, "/v1/products/cup");
    EXPECT_EQ(JsonField(cup, "on_hand"), std::to_string(kStock)) << cup;
    EXPECT_EQ(JsonField(cup, "reserved"), std::to_string(kStock)) << cup;
    EXPECT_EQ(JsonField(cup, "available"), "0") << cup;
    const std::string ann = Get(node, "/v1/customers/ann");
    EXPECT_EQ(JsonField(ann, "orders"), std::to_string(kStock / 2)) << ann;
    EXPECT_EQ(JsonField(ann, "spend"), std::to_string(money)) << ann;
    EXPECT_EQ(JsonField(Get(node, "/v1/ledger/accounts/ann"), "balance"), std::to_string(-money));
    EXPECT_EQ(JsonField(Get(node, "/v1/ledger/accounts/shop"), "balance"), std::to_string(money));
    EXPECT_EQ(JsonField(Get(node, "/v1/queues/parcels/stats"), "messages"),
              std::to_string(kStock / 2));
  }
}

TEST_F(CheckoutTest, WhatIsRefusedIsNamedInJson) {
  HttpReply reply = Post("/v1/checkout", CheckoutOf("o1"), 201, 2);
  EXPECT_EQ(JsonField(reply.body, "outcome"), "done");
  EXPECT_NE(reply.body.find(R"("method":"orders.PlaceOrder","outcome":"placed","reply":{)"),
            std::string::npos)
      << reply.body;
  reply = Post("/v1/checkout", CheckoutOf("o1"), 200, 3);
  EXPECT_EQ(JsonField(reply.body, "outcome"), "already_done");
  reply = Post("/v1/checkout", CheckoutOf("o2", R"(,"lock":{"name":"cart","token":7})"), 409);
  EXPECT_EQ(JsonField(reply.body, "outcome"), "rejected");
  EXPECT_EQ(JsonField(reply.body, "failed"), "lock");
  EXPECT_EQ(JsonField(reply.body, "reason"), "fenced_off");
  reply = Post("/v1/checkout",
               R"({"id":"o3","customer":"ann","lines":[{"sku":"cup","quantity":2}],)"
               R"("total":1000,"payment":{"from":"an\nn","to":"shop"},)"
               R"("message":{"queue":"parcels"}})",
               400);
  EXPECT_EQ(JsonField(reply.body, "field"), "payment.from") << reply.body;
  reply = Post("/v1/execute",
               R"({"writes":[{"method":"orders.CheckStock","request":{"sku":"cup","at_least":99}},)"
               R"({"method":"orders.Checkout","request":)" +
                   CheckoutOf("o4") + "}]}",
               409);
  EXPECT_EQ(JsonField(reply.body, "outcome"), "rejected");
  const std::string order = Get(3, "/v1/orders/o1");
  EXPECT_EQ(JsonField(order, "state"), "paid") << order;
  EXPECT_EQ(HttpClient(cluster_.http(1)).Get("/v1/orders/o4").status, 404);
  EXPECT_EQ(HttpClient(cluster_.http(1)).Get("/v1/orders").status, 400) << "no state is named";
  EXPECT_NE(Get(1, "/v1/orders?state=paid").find(R"("id":"o1")"), std::string::npos);
  EXPECT_NE(Get(2, "/v1/customers/ann/orders").find(R"("id":"o1")"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
