// Payments by many clients through all nodes while the leader dies again and again: what was
// acknowledged is there once and only once, on every node.
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

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

// What the clients saw.
struct Ledger {
  std::mutex mutex;
  std::map<std::string, int64_t> acknowledged;  // Transfer id -> amount.
  std::set<std::string> attempted;
  Clock::time_point last_success;
  Clock::duration longest_gap{};

  void Acknowledge(const std::string& id, int64_t amount) {
    const auto now = Clock::now();
    std::lock_guard lock(mutex);
    acknowledged[id] = amount;
    longest_gap = std::max(longest_gap, now - last_success);
    last_success = now;
  }
};

// Pays until told to stop. Every payment is repeated under its id, through one node after another,
// until its outcome is known.
void Pay(const ProcessCluster& cluster, int client, const std::atomic<bool>& stop, Ledger& ledger) {
  std::vector<HttpClient> nodes;
  for (int node = 1; node <= cluster.size(); ++node) {
    nodes.emplace_back(cluster.http(node), std::chrono::seconds(5));
  }
  size_t node = static_cast<size_t>(client) % nodes.size();
  for (int number = 0; !stop.load(); ++number) {
    const std::string id = "c" + std::to_string(client) + "-" + std::to_string(number);
    const int from = (client * 7 + number) % kAccounts;
    const int to = (from + 1 + number % (kAccounts - 1)) % kAccounts;
    const int64_t amount = 1 + number % 100;
    const std::string body = R"({"id":")" + id + R"(","from":")" + AccountName(from) +
                             R"(","to":")" + AccountName(to) + R"(","amount":)" +
                             std::to_string(amount) + "}";
    {
      std::lock_guard lock(ledger.mutex);
      ledger.attempted.insert(id);
    }
    while (!stop.load()) {
      const HttpReply reply = nodes[node].Post("/v1/ledger/transfers", body);
      if (reply.status == 200 || reply.status == 201) {
        ledger.Acknowledge(id, amount);
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
  const HttpReply reply = HttpClient(cluster.http(1)).Post("/v1/ledger/accounts:batch", body + "]}");
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
    const HttpReply page = client.Get("/v1/ledger/transfers?limit=1000" +
                                      (cursor.empty() ? "" : "&cursor=" + cursor));
    ASSERT_EQ(page.status, 200) << page.body;
    for (const std::string& row : Rows(page.body)) {
      const std::string id = JsonField(row, "id");
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
  // 30 s of load: three times 4 s of quiet, a kill, 4 s without the node, and its return.
  for (int round = 0; round < 3; ++round) {
    RunFor(std::chrono::seconds(4));
    const int leader = cluster.WaitLeader();
    ASSERT_NE(leader, 0);
    cluster.Kill(leader);
    RunFor(std::chrono::seconds(4));
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

}  // namespace
}  // namespace holdfast
