#include "tests/cluster/payment_load.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/http_client.h"

namespace holdfast::testing {
namespace {

constexpr int kAccounts = 20;

std::string AccountName(int number) { return "account-" + std::to_string(number); }

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

// Reads all of the journal at one node and checks it against what the clients saw.
void CheckJournal(const ProcessCluster& cluster, int node, const Payments& payments) {
  HttpClient client(cluster.http(node));
  std::map<std::string, int64_t> seen;
  std::map<std::string, int64_t> balances;
  std::string cursor;
  do {
    const HttpReply page =
        client.Get("/v1/ledger/transfers?limit=1000" + (cursor.empty() ? "" : "&cursor=" + cursor));
    ASSERT_EQ(page.status, 200) << page.body;
    for (const std::string& row : JsonRows(page.body)) {
      const std::string id = JsonField(row, "id") + "/" + JsonField(row, "leg");
      const int64_t amount = std::stoll(JsonField(row, "amount"));
      EXPECT_TRUE(seen.emplace(id, amount).second) << id << " is there twice on node " << node;
      EXPECT_TRUE(payments.attempted.contains(id)) << id << " was never sent";
      balances[JsonField(row, "from")] -= amount;
      balances[JsonField(row, "to")] += amount;
    }
    cursor = JsonField(page.body, "next_cursor");
  } while (!cursor.empty());
  for (const auto& [id, amount] : payments.acknowledged) {
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

}  // namespace

PaymentLoad::PaymentLoad(const ProcessCluster& cluster) : cluster_(cluster) {
  OpenAccounts(cluster);
}

void PaymentLoad::Start(int clients) {
  stop_ = false;
  payments_.last_success = Payments::Clock::now();
  for (int i = 0; i < clients; ++i) {
    clients_.emplace_back([this, client = clients_begun_++] { Pay(client); });
  }
}

void PaymentLoad::Stop() {
  stop_ = true;
  for (std::thread& client : clients_) client.join();
  clients_.clear();
}

double PaymentLoad::RateOver(std::chrono::milliseconds duration) {
  const size_t before = payments_.count();
  RunFor(duration);
  return static_cast<double>(payments_.count() - before) * 1'000 /
         static_cast<double>(duration.count());
}

void PaymentLoad::Pay(int client) {
  std::vector<HttpClient> nodes;
  for (int node = 1; node <= cluster_.size(); ++node) {
    nodes.emplace_back(cluster_.http(node), std::chrono::seconds(5));
  }
  size_t node = static_cast<size_t>(client) % nodes.size();
  for (int number = 0; !stop_.load(); ++number) {
    const Payment payment = MakePayment(client, number);
    {
      std::lock_guard lock(payments_.mutex);
      for (int leg = 0; leg < payment.legs; ++leg) {
        payments_.attempted.insert(payment.id + "/" + std::to_string(leg));
      }
    }
    HttpClient::Headers headers;
    if (client % 2 == 0) headers["Idempotency-Key"] = payment.id;
    while (!stop_.load()) {
      const HttpReply reply = nodes[node].Post(payment.path, payment.body, headers);
      if (reply.status == 200 || reply.status == 201) {
        // An answer to another payment would acknowledge what may never have been done.
        ASSERT_EQ(JsonField(reply.body, "id"), payment.id) << reply.body;
        payments_.Acknowledge(payment.id, payment.legs, payment.amount);
        break;
      }
      // Refused by state would be a wrong answer here: all accounts may overdraw.
      ASSERT_TRUE(reply.status == 0 || reply.status == 429 || reply.status >= 500)
          << reply.status << " " << reply.body;
      node = (node + 1) % nodes.size();
    }
  }
}

std::vector<std::string> JsonRows(const std::string& json) {
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

void RunFor(std::chrono::milliseconds duration) {
  std::this_thread::sleep_for(duration);  // tidy: allow sleep, it is the length of the load
}

void CheckAll(ProcessCluster& cluster, Payments& payments) {
  std::string report;
  EXPECT_TRUE(cluster.WaitEqualState(std::chrono::seconds(20), &report)) << report;
  for (int node = 1; node <= cluster.size(); ++node) {
    if (!cluster.Running(node)) continue;
    CheckJournal(cluster, node, payments);
    const std::string verify = ProcessCluster::Program() +
                               " --endpoints 127.0.0.1:" + std::to_string(cluster.grpc(node)) +
                               " ledger verify > /dev/null";
    EXPECT_EQ(std::system(verify.c_str()), 0);
  }
}

}  // namespace holdfast::testing
