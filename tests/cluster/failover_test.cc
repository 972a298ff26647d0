// Payments by many clients through all nodes while the leader dies again and again: what was
// acknowledged is there once and only once, on every node.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>
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
using Clock = std::chrono::steady_clock;

constexpr int kAccounts = 20;

std::string AccountName(int number) { return "account-" + std::to_string(number); }

// What the clients saw. A payment of two legs counts as two parts, "id/0" and "id/1".
struct Ledger {
  std::mutex mutex;
  std::map<std::string, int64_t> acknowledged;  // Part -> amount.
  std::set<std::string> attempted;              // Parts.
  Clock::time_point last_success;
  Clock::duration longest_gap{};

  void Acknowledge(const std::string& id, int legs, int64_t amount) {
    const auto now = Clock::now();
    std::lock_guard lock(mutex);
    for (int leg = 0; leg < legs; ++leg) acknowledged[id + "/" + std::to_string(leg)] = amount;
    longest_gap = std::max(longest_gap, now - last_success);
    last_success = now;
  }
};

// One payment, as a request: of one leg or, every third, of two.
struct Payment {
  std::string id;
  int legs = 1;
  int64_t amount = 0;
  std::string path;
  std::string body;
};

Payment MakePayment(int client, int number) {
  Payment payment;
  payment.id = "c" + std::to_string(client) + "-" + std::to_string(number);
  payment.legs = number % 3 == 0 ? 2 : 1;
  payment.amount = 1 + number % 100;
  const int from = (client * 7 + number) % kAccounts;
  const int to = (from + 1 + number % (kAccounts - 1)) % kAccounts;
  const std::string leg = R"("from":")" + AccountName(from) + R"(","to":")" + AccountName(to) +
                          R"(","amount":)" + std::to_string(payment.amount);
  payment.path = payment.legs == 2 ? "/v1/ledger/transactions" : "/v1/ledger/transfers";
  payment.body = R"({"id":")" + payment.id + "\"," +
                 (payment.legs == 2 ? R"("legs":[{)" + leg + "},{" + leg + "}]" : leg) + "}";
  return payment;
}

// Pays until told to stop. Every payment is repeated under its id, every other client's also under
// an idempotency key, through one node after another, until its outcome is known.
void Pay(const ProcessCluster& cluster, int client, const std::atomic<bool>& stop, Ledger& ledger) {
  std::vector<HttpClient> nodes;
  for (int node = 1; node <= cluster.size(); ++node) {
    nodes.emplace_back(cluster.http(node), std::chrono::seconds(5));
  }
  size_t node = static_cast<size_t>(client) % nodes.size();
  for (int number = 0; !stop.load(); ++number) {
    const Payment payment = MakePayment(client, number);
    {
      std::lock_guard lock(ledger.mutex);
      for (int leg = 0; leg < payment.legs; ++leg) {
        ledger.attempted.insert(payment.id + "/" + std::to_string(leg));
      }
    }
    HttpClient::Headers headers;
    if (client % 2 == 0) headers["Idempotency-Key"] = payment.id;
    while (!stop.load()) {
      const HttpReply reply = nodes[node].Post(payment.path, payment.body, headers);
      if (reply.status == 200 || reply.status == 201) {
        // An answer to another payment would acknowledge what may never have been done.
        ASSERT_EQ(JsonField(reply.body, "id"), payment.id) << reply.body;
        ledger.Acknowledge(payment.id, payment.legs, payment.amount);
        break;
      }
      // Refused by state would be a wrong answer here: all accounts may overdraw.
      ASSERT_TRUE(reply.status == 0 || reply.status == 429 || reply.status >= 500)
          << reply.status << " " << reply.body;
      node = (node + 1) % nodes.size();
    }
  }
}

// How long a load runs.
void RunFor(std::chrono::seconds duration) {
  std::this_thread::sleep_for(duration);  // tidy: allow sleep, it is the length of the load
}

void OpenAccounts(const ProcessCluster& cluster) {
  std::string body = R"({"accounts":[)";
  for (int i = 0; i < kAccounts; ++i) {
    body += std::string(i == 0 ? "" : ",") + R"({"id":")" + AccountName(i) +
            R"(","currency":"EUR","overdraft":true})";
  }
  const HttpReply reply =
      HttpClient(cluster.http(1)).Post("/v1/ledger/accounts:batch", body + "]}");
  ASSERT_EQ(reply.status, 200) << reply.body;
}

// The objects of the array that is the first member of a listing, as text.
std::vector<std::string> Rows(const std::string& json) {
  std::vector<std::string> rows;
  int depth = 0;
  size_t begin = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '"' && (i == 0 || json[i - 1] != '\\')) quoted = !quoted;
    if (quoted) continue;
    if (json[i] == '{' && ++depth == 2) begin = i;
    if (json[i] == '}' && depth-- == 2) rows.push_back(json.substr(begin, i - begin + 1));
  }
  return rows;
}

// Reads all of the journal at one node and checks it against what the clients saw.
void CheckJournal(const ProcessCluster& cluster, int node, const Ledger& ledger) {
  HttpClient client(cluster.http(node));
  std::map<std::string, int64_t> seen;
  std::map<std::string, int64_t> balances;
  std::string cursor;
  do {
    const HttpReply page =
        client.Get("/v1/ledger/transfers?limit=1000" + (cursor.empty() ? "" : "&cursor=" + cursor));
    ASSERT_EQ(page.status, 200) << page.body;
    for (const std::string& row : Rows(page.body)) {
      const std::string id = JsonField(row, "id") + "/" + JsonField(row, "leg");
      const int64_t amount = std::stoll(JsonField(row, "amount"));
      EXPECT_TRUE(seen.emplace(id, amount).second) << id << " is there twice on node " << node;
      EXPECT_TRUE(ledger.attempted.contains(id)) << id << " was never sent";
      balances[JsonField(row, "from")] -= amount;
      balances[JsonField(row, "to")] += amount;
    }
    cursor = JsonField(page.body, "next_cursor");
  } while (!cursor.empty());
  for (const auto& [id, amount] : ledger.acknowledged) {
    auto found = seen.find(id);
    ASSERT_NE(found, seen.end()) << id << " was acknowledged and is missing on node " << node;
    EXPECT_EQ(found->second, amount) << id;
  }
  int64_t sum = 0;
  for (int i = 0; i < kAccounts; ++i) {
    const HttpReply account = client.Get("/v1/ledger/accounts/" + AccountName(i));
    const int64_t balance = std::stoll(JsonField(account.body, "balance"));
    EXPECT_EQ(balance, balances[AccountName(i)]) << AccountName(i) << " on node " << node;
    sum += balance;
  }
  EXPECT_EQ(sum, 0) << "money was made or lost on node " << node;
}

void CheckAll(ProcessCluster& cluster, const Ledger& ledger) {
  std::string report;
  EXPECT_TRUE(cluster.WaitEqualState(std::chrono::seconds(20), &report)) << report;
  for (int node = 1; node <= cluster.size(); ++node) CheckJournal(cluster, node, ledger);
  const std::string verify = ProcessCluster::Program() +
                             " --endpoints 127.0.0.1:" + std::to_string(cluster.grpc(1)) +
                             " ledger verify > /dev/null";
  EXPECT_EQ(std::system(verify.c_str()), 0);
}

double Milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

TEST(FailoverTest, EveryAcknowledgedPaymentIsThereOnceWhileTheLeaderDiesThreeTimes) {
  ProcessCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  OpenAccounts(cluster);
  Ledger ledger;
  std::atomic<bool> stop{false};
  ledger.last_success = Clock::now();
  std::vector<std::thread> clients;
  for (int client = 0; client < 64; ++client) {
    clients.emplace_back([&, client] { Pay(cluster, client, stop, ledger); });
  }
  // 30 s of load: three times a kill of the leader, its return, and a follower that restarts at
  // once: what the leader still answers to its former life must not reach a client of the new one.
  for (int round = 0; round < 3; ++round) {
    RunFor(std::chrono::seconds(3));
    const int leader = cluster.WaitLeader();
    ASSERT_NE(leader, 0);
    cluster.Kill(leader);
    RunFor(std::chrono::seconds(4));
    cluster.Start(leader);
    RunFor(std::chrono::seconds(1));
    cluster.Kill(leader);
    cluster.Start(leader);
  }
  RunFor(std::chrono::seconds(6));
  stop.store(true);
  for (std::thread& client : clients) client.join();
  ASSERT_TRUE(cluster.WaitHealthy());
  std::printf("    %zu payments acknowledged, %zu sent; longest gap without a success %.0f ms\n",
              ledger.acknowledged.size(), ledger.attempted.size(),
              Milliseconds(ledger.longest_gap));
  RecordProperty("longest_gap_ms", static_cast<int>(Milliseconds(ledger.longest_gap)));
  EXPECT_GT(ledger.acknowledged.size(), 1000u);
  // The aim is one second; a machine that also builds may be slower, a lost quorum would be ten.
  EXPECT_LT(ledger.longest_gap, std::chrono::seconds(4));
  CheckAll(cluster, ledger);
}

TEST(FailoverTest, KillingAllNodesAtOnceLosesNothingAcknowledged) {
  ProcessCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  OpenAccounts(cluster);
  Ledger ledger;
  for (int round = 0; round < 2; ++round) {
    std::atomic<bool> stop{false};
    ledger.last_success = Clock::now();
    std::vector<std::thread> clients;
    for (int client = 0; client < 32; ++client) {
      clients.emplace_back([&, client] { Pay(cluster, client + 100 * round, stop, ledger); });
    }
    RunFor(std::chrono::seconds(2));
    for (int node = 1; node <= 3; ++node) cluster.Signal(node, SIGKILL);
    stop.store(true);
    for (std::thread& client : clients) client.join();
    for (int node = 1; node <= 3; ++node) cluster.Kill(node);
    cluster.StartAll();
    ASSERT_TRUE(cluster.WaitHealthy());
  }
  EXPECT_GT(ledger.acknowledged.size(), 100u);
  CheckAll(cluster, ledger);
}

TEST(FailoverTest, SevenNodesServeWithoutThree) {
  ProcessCluster cluster(7);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  OpenAccounts(cluster);
  cluster.Kill(cluster.WaitLeader());
  for (int node = 1, killed = 1; node <= 7 && killed < 3; ++node) {
    if (!cluster.Running(node)) continue;
    cluster.Kill(node);
    ++killed;
  }
  const int leader = cluster.WaitLeader();
  ASSERT_NE(leader, 0);
  const Payment payment = MakePayment(1, 1);
  EXPECT_EQ(HttpClient(cluster.http(leader)).Post(payment.path, payment.body).status, 201);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  std::string report;
  EXPECT_TRUE(cluster.WaitEqualState(std::chrono::seconds(20), &report)) << report;
}

}  // namespace
}  // namespace holdfast
