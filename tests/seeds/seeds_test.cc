// What the seed documents show, as they write it: the payment system of seed 1, the bank transfer
// service, the chat, the converter and the to-do list of seed 0, the locks, the queue and the cache
// of seed 3, on the HTTP port of each of three nodes. Nothing here knows more of Holdfast than
// those pages and JSON. Seed 2 is in tests/cluster/branches_test.cc, seed 4 in
// tests/install/laptops.py.
#include <gtest/gtest.h>
#include <rapidjson/document.h>
#include <sys/resource.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/support/http_client.h"
#include "tests/support/process_cluster.h"
#include "tests/support/raw_connection.h"
#include "tests/support/run_program.h"

namespace holdfast {
namespace {

using rapidjson::Document;
using testing::HttpClient;
using testing::HttpReply;
using testing::HttpRequestText;
using testing::ProcessCluster;
using testing::RawConnection;

Document Parsed(const HttpReply& reply) {
  Document json;
  json.Parse(reply.body.data(), reply.body.size());
  EXPECT_FALSE(json.HasParseError() || !json.IsObject()) << reply.body;
  if (!json.IsObject()) json.SetObject();
  return json;
}

std::string Text(const rapidjson::Value& json, const char* name) {
  return json.HasMember(name) && json[name].IsString() ? json[name].GetString() : "";
}

// 64-bit numbers may come as JSON numbers or as decimal strings.
int64_t Number(const rapidjson::Value& json, const char* name) {
  if (!json.HasMember(name)) return INT64_MIN;
  const auto& value = json[name];
  if (value.IsString()) return std::stoll(value.GetString());
  return value.IsInt64() ? value.GetInt64() : INT64_MIN;
}

struct Payment {
  std::string id;
  std::string from;
  std::string to;
  int64_t amount = 0;

  std::string Json() const {
    return R"({"transaction_id": ")" + id + R"(", "from_account": ")" + from +
           R"(", "to_account": ")" + to + R"(", "amount": )" + std::to_string(amount) + "}";
  }
};

class SeedsTest : public ::testing::Test {
 protected:
  SeedsTest() : cluster_(3) {}

  void SetUp() override {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.WaitHealthy()) << cluster_.LogOf(1);
  }

  HttpReply Pay(int node, const Payment& payment, const std::string& path = "/payment") {
    return HttpClient(cluster_.http(node)).Post(path, payment.Json());
  }

  // The whole ledger as a node tells it: transaction id -> payment. Every id is there once, in the
  // order of time.
  std::map<std::string, Payment> Ledger(int node, const std::string& path) {
    std::map<std::string, Payment> all;
    HttpClient client(cluster_.http(node));
    std::string cursor, last_time;
    do {
      const HttpReply page =
          client.Get(path + "?limit=1000" + (cursor.empty() ? "" : "&cursor=" + cursor));
      EXPECT_EQ(page.status, 200) << page.body;
      const Document json = Parsed(page);
      if (!json.HasMember("transfers")) break;
      for (const auto& row : json["transfers"].GetArray()) {
        Payment payment{Text(row, "id"), Text(row, "from"), Text(row, "to"), Number(row, "amount")};
        std::string time = Text(row, "time");
        EXPECT_TRUE(time.ends_with('Z')) << time;
        if (!time.empty())
          time.pop_back();  // A fraction has as many digits as it needs; none, and it has no point.
        if (time.find('.') == std::string::npos) time += '.';
        time.resize(sizeof("2026-01-01T00:00:00.000000") - 1, '0');
        EXPECT_GE(time, last_time) << "the history is in order";
        last_time = time;
        EXPECT_TRUE(all.emplace(payment.id, payment).second) << payment.id << " is there twice";
      }
      cursor = Text(json, "next_cursor");
    } while (!cursor.empty());
    return all;
  }

  int64_t BalanceOf(int node, const std::string& account) {
    const HttpReply reply = HttpClient(cluster_.http(node)).Get("/v1/ledger/accounts/" + account);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Number(Parsed(reply), "balance");
  }

  ProcessCluster cluster_;
};

TEST_F(SeedsTest, APaymentIsMadeOnceHoweverOftenAndWhereverItIsSent) {
  int64_t paid = 0;
  for (int node = 1; node <= 3; ++node) {
    for (const std::string path : {"/payment", "/pay"}) {
      const Payment payment{"tx-" + std::to_string(node) + path.substr(1), "alice", "bob", 100};
      const HttpReply first = Pay(node, payment, path);
      ASSERT_EQ(first.status, 201) << first.body;
      const Document original = Parsed(first);
      EXPECT_FALSE(original["duplicate"].GetBool());
      paid += 100;
      // An accidental replay, at every node and both paths.
      for (int other = 1; other <= 3; ++other) {
        for (const std::string again : {"/payment", "/pay"}) {
          const HttpReply repeated = Pay(other, payment, again);
          EXPECT_EQ(repeated.status, 200) << repeated.body;
          const Document duplicate = Parsed(repeated);
          EXPECT_TRUE(duplicate["duplicate"].GetBool()) << repeated.body;
          EXPECT_TRUE(duplicate["transfer"] == original["transfer"]) << repeated.body;
        }
        // The same id for something else.
        Payment changed = payment;
        changed.amount = 200;
        EXPECT_EQ(Pay(other, changed).status, 409);
        changed = payment;
        changed.to = "carol";
        EXPECT_EQ(Pay(other, changed).status, 409);
        changed = payment;
        changed.from = "carol";
        const HttpReply conflict = Pay(other, changed);
        EXPECT_EQ(conflict.status, 409);
        EXPECT_NE(conflict.body.find("exists_with_different_from"), std::string::npos)
            << conflict.body;
      }
      for (int other = 1; other <= 3; ++other) {
        EXPECT_EQ(BalanceOf(other, "bob"), paid);
        EXPECT_EQ(BalanceOf(other, "alice"), -paid);
      }
    }
  }
  EXPECT_EQ(HttpClient(cluster_.http(1)).Get("/v1/ledger/accounts/carol").status, 404)
      << "a payment that is refused opens no account";
}

TEST_F(SeedsTest, TheHistoryIsTheSameAtEveryServer) {
  for (int i = 0; i < 9; ++i) {
    const Payment payment{"tx-" + std::to_string(i), "alice", "bob", 10 + i};
    ASSERT_EQ(Pay(1 + i % 3, payment).status, 201);
    for (int node = 1; node <= 3; ++node) {
      for (const std::string path : {"/transactions", "/get_ledger"}) {
        const auto ledger = Ledger(node, path);
        ASSERT_EQ(ledger.size(), static_cast<size_t>(i + 1)) << path << " at node " << node;
        const auto found = ledger.find(payment.id);
        ASSERT_NE(found, ledger.end());
        EXPECT_EQ(found->second.from, "alice");
        EXPECT_EQ(found->second.to, "bob");
        EXPECT_EQ(found->second.amount, payment.amount);
      }
    }
  }
  const HttpReply first = HttpClient(cluster_.http(1)).Get("/transactions");
  for (int node = 2; node <= 3; ++node) {
    EXPECT_EQ(HttpClient(cluster_.http(node)).Get("/transactions").body, first.body);
  }
}

TEST_F(SeedsTest, HealthStatusAndLeaderAgree) {
  const auto ask_all = [&](const std::string& path) {
    std::vector<HttpReply> replies;
    for (int node = 1; node <= 3; ++node) {
      replies.push_back(HttpClient(cluster_.http(node)).Get(path));
    }
    return replies;
  };
  const auto terms = [](const std::vector<HttpReply>& statuses) {
    std::set<int64_t> all;
    for (const HttpReply& status : statuses) all.insert(Number(Parsed(status), "term"));
    return all;
  };
  // All in one term, which one leader has: on a busy machine another may be elected at any time.
  int leader = 0;
  std::vector<HttpReply> healths, statuses, asked;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  do {
    ASSERT_TRUE(cluster_.WaitHealthy());
    statuses = ask_all("/status");
    leader = cluster_.WaitLeader();
    healths = ask_all("/health");
    asked = ask_all("/leader");
  } while ((terms(statuses).size() > 1 || terms(ask_all("/status")) != terms(statuses)) &&
           std::chrono::steady_clock::now() < until);
  std::set<int64_t> leaders;
  int leading = 0;
  for (int node = 1; node <= 3; ++node) {
    const size_t i = static_cast<size_t>(node - 1);
    EXPECT_EQ(healths[i].status, 200);
    EXPECT_EQ(Text(Parsed(healths[i]), "status"), "ready");

    EXPECT_EQ(statuses[i].status, 200);
    const Document state = Parsed(statuses[i]);
    EXPECT_EQ(Number(state, "node"), node);
    EXPECT_EQ(Text(state, "role"), node == leader ? "leader" : "follower");
    EXPECT_GT(Number(state, "term"), 0);

    EXPECT_EQ(asked[i].status, 200);
    const Document who = Parsed(asked[i]);
    leaders.insert(Number(who, "leader"));
    if (who["is_me"].GetBool()) ++leading;
  }
  EXPECT_EQ(leaders, std::set<int64_t>{leader});
  EXPECT_EQ(leading, 1);
}

// Seed 3: the lock lines, on whichever node.
TEST_F(SeedsTest, ALockIsTakenAndGivenUpAsWritten) {
  HttpClient node1(cluster_.http(1)), node3(cluster_.http(3));
  const std::string lock = R"({"name":"resA","mode":"exclusive","owner":"client1"})";
  const std::string other = R"({"name":"resA","mode":"exclusive","owner":"client2"})";
  const HttpReply taken = node1.Post("/lock/acquire", lock);
  EXPECT_EQ(taken.status, 200) << taken.body;
  EXPECT_EQ(Text(Parsed(taken), "outcome"), "granted");
  const HttpReply refused = node3.Post("/lock/acquire", other);
  EXPECT_EQ(refused.status, 409) << refused.body;
  EXPECT_EQ(Text(Parsed(refused), "blocked_by"), "client1");
  const HttpReply released = node1.Post("/lock/release", R"({"name":"resA","owner":"client1"})");
  EXPECT_EQ(released.status, 200) << released.body;
  EXPECT_EQ(Text(Parsed(released), "outcome"), "released");
  const HttpReply next = node3.Post("/lock/acquire", other);
  EXPECT_EQ(next.status, 200) << next.body;
  EXPECT_GT(Number(Parsed(next), "token"), Number(Parsed(taken), "token"));
}

TEST_F(SeedsTest, WhoWaitsAtOneNodeIsServedByAReleaseAtAnother) {
  HttpClient node1(cluster_.http(1));
  node1.Post("/lock/acquire", R"({"name":"resB","owner":"client1"})");
  std::thread holder([&] {
    // Until the other stands in line.
    HttpClient node3(cluster_.http(3));
    while (node3.Get("/v1/locks/resB").body.find("client2") == std::string::npos) {
    }
    node3.Post("/lock/release", R"({"name":"resB","owner":"client1"})");
  });
  const HttpReply got =
      HttpClient(cluster_.http(2))
          .Post("/lock/acquire", R"({"name":"resB","owner":"client2","wait_ms":20000})");
  holder.join();
  EXPECT_EQ(got.status, 200) << got.body;
  EXPECT_EQ(Text(Parsed(got), "outcome"), "granted");
}

TEST_F(SeedsTest, MoreThanAThousandConcurrentPaymentsAreAllAccountedFor) {
  constexpr size_t kPayments = 1'000;
  constexpr size_t kRepeated = 200;  // Of these, a second time at once, through another node.
  constexpr int kAccounts = 17;
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = std::max<rlim_t>(files.rlim_cur, std::min<rlim_t>(files.rlim_max, 4'096));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);

  std::vector<Payment> payments;
  std::map<std::string, int64_t> balances;
  for (size_t i = 0; i < kPayments; ++i) {
    const auto account = [](size_t number) { return "acc" + std::to_string(number % kAccounts); };
    payments.push_back({"tx-" + std::to_string(i), account(i), account(i * 3 + 1),
                        static_cast<int64_t>(1 + i % 50)});
    if (payments.back().from == payments.back().to) payments.back().to = account(i + 1);
    balances[payments.back().from] -= payments.back().amount;
    balances[payments.back().to] += payments.back().amount;
  }
  // All are under way before the first answer is read.
  std::vector<std::unique_ptr<RawConnection>> connections;
  for (size_t i = 0; i < kPayments + kRepeated; ++i) {
    const int node = 1 + static_cast<int>(i < kPayments ? i % 3 : (i - kPayments + 1) % 3);
    connections.push_back(std::make_unique<RawConnection>(cluster_.http(node)));
  }
  for (size_t i = 0; i < connections.size(); ++i) {
    const Payment& payment = payments[i % kPayments];
    ASSERT_TRUE(connections[i]->Send(HttpRequestText("POST", "/payment", payment.Json())));
  }
  size_t created = 0, duplicates = 0;
  for (auto& connection : connections) {
    const HttpReply reply = connection->ReadReply(std::chrono::seconds(20));
    ASSERT_TRUE(reply.status == 200 || reply.status == 201) << reply.status << reply.body;
    const bool duplicate = Parsed(reply)["duplicate"].GetBool();
    EXPECT_EQ(duplicate, reply.status == 200);
    ++(duplicate ? duplicates : created);
  }
  EXPECT_EQ(created, kPayments);
  EXPECT_EQ(duplicates, kRepeated);
  for (int node = 1; node <= 3; ++node) {
    const auto ledger = Ledger(node, "/transactions");
    EXPECT_EQ(ledger.size(), kPayments);
    for (const Payment& payment : payments) {
      const auto found = ledger.find(payment.id);
      ASSERT_NE(found, ledger.end()) << payment.id << " is missing on node " << node;
      EXPECT_EQ(found->second.Json(), payment.Json());
    }
    for (const auto& [account, balance] : balances) {
      EXPECT_EQ(BalanceOf(node, account), balance) << account << " at node " << node;
    }
  }
}

TEST_F(SeedsTest, WhatIsPushedAtOneServerIsPoppedAtAnotherOnceAndInOrder) {
  const auto pop = [&](int node) {
    const HttpReply reply = HttpClient(cluster_.http(node)).Get("/queue/pop");
    EXPECT_EQ(reply.status, 200) << reply.body;
    const Document json = Parsed(reply);
    if (!json.HasMember("messages") || json["messages"].Empty()) return Text(json, "outcome");
    return Text(json["messages"][0], "key") + " " + Text(json["messages"][0], "payload");
  };
  EXPECT_EQ(pop(2), "empty");
  const HttpReply pushed =
      HttpClient(cluster_.http(1)).Post("/queue/push", R"({"key":"user:123","payload":"hello"})");
  EXPECT_EQ(pushed.status, 201) << pushed.body;
  EXPECT_EQ(pop(2), "user:123 hello");
  EXPECT_EQ(pop(2), "empty");
  for (int i = 0; i < 6; ++i) {
    const HttpReply reply =
        HttpClient(cluster_.http(1 + i % 3))
            .Post("/queue/push", R"({"key":"user:123","payload":")" + std::to_string(i) + R"("})");
    EXPECT_EQ(reply.status, 201) << reply.body;
  }
  for (int i = 0; i < 6; ++i) EXPECT_EQ(pop(3 - i % 3), "user:123 " + std::to_string(i));
  EXPECT_EQ(pop(1), "empty");
}

// Seed 3: what is set at one server is got at another, by the very lines of its page.
TEST_F(SeedsTest, WhatIsSetAtOneServerIsGotAtAnother) {
  const HttpReply none = HttpClient(cluster_.http(2)).Get("/cache/get?k=k1");
  EXPECT_EQ(none.status, 404) << none.body;
  const HttpReply set =
      HttpClient(cluster_.http(3)).Post("/cache/set", R"({"key":"k1","value":"v1"})");
  EXPECT_EQ(set.status, 200) << set.body;
  EXPECT_EQ(Text(Parsed(set), "outcome"), "stored");
  for (int node = 1; node <= 3; ++node) {
    const HttpReply got = HttpClient(cluster_.http(node)).Get("/cache/get?k=k1");
    EXPECT_EQ(got.status, 200) << got.body;
    EXPECT_EQ(Text(Parsed(got), "value"), "v1");
    EXPECT_EQ(Number(Parsed(got), "version"), Number(Parsed(set), "version"));
  }
  // A value that is replaced is never got again, wherever one asks.
  for (int i = 0; i < 9; ++i) {
    const std::string value = "v" + std::to_string(i);
    HttpClient(cluster_.http(1 + i % 3))
        .Post("/cache/set", R"({"key":"k1","value":")" + value + R"("})");
    const HttpReply got = HttpClient(cluster_.http(1 + (i + 1) % 3)).Get("/cache/get?k=k1");
    EXPECT_EQ(Text(Parsed(got), "value"), value);
  }
}

// Seed 0, part 6: "The server retains the list in tasks across requests - client state depends on
// prior interactions." GET and POST /todos, PUT and DELETE /todos/{id}, on whichever node.
TEST_F(SeedsTest, AToDoListIsRememberedAcrossRequestsRestartsAndFailovers) {
  const auto titles = [&](int node) {
    const HttpReply reply = HttpClient(cluster_.http(node)).Get("/todos");
    EXPECT_EQ(reply.status, 200) << reply.body;
    const Document json = Parsed(reply);
    std::string all;
    if (!json.HasMember("tasks")) return all;
    for (const auto& task : json["tasks"].GetArray()) {
      all += std::to_string(Number(task, "id")) + ":" + Text(task, "title");
      all += task["done"].GetBool() ? "+ " : " ";
    }
    return all;
  };
  EXPECT_EQ(titles(1), "");
  const HttpReply added = HttpClient(cluster_.http(1)).Post("/todos", R"({"title":"Buy milk"})");
  EXPECT_EQ(added.status, 201) << added.body;
  EXPECT_EQ(Text(Parsed(added), "outcome"), "added");
  HttpClient(cluster_.http(2)).Post("/todos", R"({"title":"Buy bread"})");
  HttpClient(cluster_.http(3)).Post("/todos", R"({"title":"Call Bob"})");
  for (int node = 1; node <= 3; ++node) {
    EXPECT_EQ(titles(node), "1:Buy milk 2:Buy bread 3:Call Bob ") << "node " << node;
  }
  const HttpReply edited =
      HttpClient(cluster_.http(3)).Put("/todos/1", R"({"title":"Buy oat milk","done":true})");
  EXPECT_EQ(edited.status, 200) << edited.body;
  const HttpReply gone = HttpClient(cluster_.http(2)).Delete("/todos/2");
  EXPECT_EQ(gone.status, 200) << gone.body;
  EXPECT_EQ(HttpClient(cluster_.http(1)).Delete("/todos/2").status, 404);
  EXPECT_EQ(HttpClient(cluster_.http(1)).Put("/todos/2", R"({"done":true})").status, 404);
  const std::string now = "1:Buy oat milk+ 3:Call Bob ";
  for (int node = 1; node <= 3; ++node) EXPECT_EQ(titles(node), now) << "node " << node;
  // The list of each user is its own.
  HttpClient(cluster_.http(1)).Post("/todos", R"({"user":"ann","title":"Water the plants"})");
  EXPECT_EQ(titles(2), now);
  const HttpReply of_ann = HttpClient(cluster_.http(2)).Get("/todos?user=ann");
  EXPECT_NE(of_ann.body.find("Water the plants"), std::string::npos) << of_ann.body;
  EXPECT_EQ(of_ann.body.find("Call Bob"), std::string::npos) << of_ann.body;

  const int leader = cluster_.WaitLeader();
  ASSERT_NE(leader, 0);
  cluster_.Kill(leader);
  const int other = 1 + leader % 3;
  // While a leader is chosen a node waits, or says what to do: the same again.
  HttpReply during;
  for (int attempt = 0; attempt < 5 && during.status != 201; ++attempt) {
    during = HttpClient(cluster_.http(other))
                 .Post("/todos", R"({"title":"During"})", {{"Idempotency-Key", "during"}});
  }
  EXPECT_EQ(during.status, 201) << during.body;
  EXPECT_EQ(titles(other), now + "4:During ");
  cluster_.Start(leader);
  ASSERT_TRUE(cluster_.WaitHealthy());
  for (int node = 1; node <= 3; ++node) cluster_.Kill(node);
  cluster_.StartAll();
  ASSERT_TRUE(cluster_.WaitHealthy());
  for (int node = 1; node <= 3; ++node) EXPECT_EQ(titles(node), now + "4:During ");
}

// Seed 0, part 5: "No session, no stored history - each call computes based on parameters only."
TEST_F(SeedsTest, ACurrencyIsConvertedFromTheParametersAloneAtAnyNode) {
  const std::string call = "?from=USD&to=INR&amount=100.00&rate=83.1250";
  const HttpReply first = HttpClient(cluster_.http(1)).Get("/v1/convert" + call);
  EXPECT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(Text(Parsed(first), "converted"), "8312.50");
  for (int node = 1; node <= 3; ++node) {
    for (const std::string path : {"/v1/convert", "/convert"}) {
      EXPECT_EQ(HttpClient(cluster_.http(node)).Get(path + call).body, first.body) << node << path;
    }
  }
  // Nothing is stored: a call in between changes nothing, and the position of the log stays.
  EXPECT_EQ(
      HttpClient(cluster_.http(1)).Get("/v1/convert?from=USD&to=JPY&amount=1&rate=150").status,
      200);
  EXPECT_EQ(HttpClient(cluster_.http(1)).Get("/v1/convert" + call).body, first.body);
  EXPECT_EQ(first.headers.count("holdfast-position"), 0u);
  const HttpReply crossed = HttpClient(cluster_.http(2)).Post("/v1/convert", R"({
      "from": "INR", "to": "JPY", "amount": "100.00", "base": "USD",
      "rates": {"INR": "83.1250", "JPY": "151.20"}})");
  EXPECT_EQ(crossed.status, 200) << crossed.body;
  EXPECT_EQ(Text(Parsed(crossed), "converted"), "182");
  // Alone, without anybody to agree with.
  cluster_.Kill(1);
  cluster_.Kill(3);
  EXPECT_EQ(HttpClient(cluster_.http(2)).Get("/v1/convert" + call).body, first.body);
}

// Seed 0, part 4: "A chat simulator where messages from users may arrive in random order with
// random delays." What the users say reaches the servers in some order, and readers through a
// network that is played; the order in which each shows it is the one that it has.
TEST_F(SeedsTest, AChatIsReadInOneOrderHoweverItsMessagesArrive) {
  HttpClient node1(cluster_.http(1));
  ASSERT_EQ(node1.Post("/v1/chat/rooms", R"({"room":"seed"})").status, 201);
  for (const std::string user : {"ann", "bob", "eve"}) {
    const HttpReply joined =
        node1.Post("/v1/chat/rooms/seed:join", R"({"member":")" + user + R"("})");
    ASSERT_EQ(joined.status, 201) << joined.body;
  }
  // A conversation of which each message answers an earlier one, sent in random order through all
  // nodes, some of it twice.
  constexpr size_t kMessages = 40;
  std::mt19937_64 random(4);
  std::map<std::string, std::string> answers;              // Which one each answers.
  std::vector<std::pair<std::string, std::string>> posts;  // Id and JSON.
  for (size_t i = 0; i < kMessages; ++i) {
    const std::string id = "m" + std::to_string(i);
    const std::string user = std::vector{"ann", "bob", "eve"}[random() % 3];
    std::string follows;
    if (i > 0) {
      answers[id] = "m" + std::to_string(i - 1 - random() % std::min<size_t>(i, 3));
      follows = R"(,"follows":[")" + answers[id] + R"("])";
    }
    posts.emplace_back(id, R"({"id":")" + id + R"(","author":")" + user + R"(","text":"says )" +
                               id + R"(")" + follows + "}");
  }
  std::vector<std::pair<std::string, std::string>> sent = posts;
  for (size_t i = 0; i < kMessages / 4; ++i) sent.push_back(posts[random() % kMessages]);
  std::shuffle(sent.begin(), sent.end(), random);
  size_t held = 0;
  for (size_t i = 0; i < sent.size(); ++i) {
    const HttpReply reply = HttpClient(cluster_.http(1 + static_cast<int>(i % 3)))
                                .Post("/v1/chat/rooms/seed/messages", sent[i].second);
    EXPECT_TRUE(reply.status >= 200 && reply.status <= 202) << reply.body;
    if (reply.status == 202) ++held;
  }
  EXPECT_GT(held, kMessages / 4) << "most came before what they answer";

  // Every node has all of it, once, nothing before what it answers, in one order.
  const auto order_of = [&](int node, const std::string& query) {
    const HttpReply reply =
        HttpClient(cluster_.http(node)).Get("/v1/chat/rooms/seed/history?limit=1000" + query);
    EXPECT_EQ(reply.status, 200) << reply.body;
    std::vector<std::string> order;
    const Document json = Parsed(reply);
    if (!json.HasMember("messages")) return order;
    for (const auto& message : json["messages"].GetArray()) order.push_back(Text(message, "id"));
    return order;
  };
  const std::vector<std::string> order = order_of(1, "");
  ASSERT_EQ(order.size(), kMessages);
  std::set<std::string> seen;
  for (const std::string& id : order) {
    EXPECT_TRUE(id == "m0" || seen.contains(answers[id])) << id << " before " << answers[id];
    EXPECT_TRUE(seen.insert(id).second) << id << " twice";
  }
  // Without guarantees, for who asks for that: the same chaos at every node.
  const std::string chaos = "&shuffle=true&delay_ms_max=400&duplicate_percent=25&seed=7";
  const std::vector<std::string> arrivals = order_of(1, chaos);
  EXPECT_GT(arrivals.size(), kMessages);
  EXPECT_NE(std::vector(arrivals.begin(), arrivals.begin() + kMessages), order);
  for (int node = 2; node <= 3; ++node) {
    EXPECT_EQ(order_of(node, ""), order);
    EXPECT_EQ(order_of(node, chaos), arrivals);
  }
  // Two who see other networks, at other nodes, show the same.
  const auto shown_of = [&](int node, int seed) {
    const testing::Ended ended = testing::RunHoldfast(
        "--endpoints 127.0.0.1:" + std::to_string(cluster_.grpc(node)) + " chat seed --as reader" +
        std::to_string(node) + " --since 0 --once --shuffle" +
        " --delay-ms 400 --duplicate-percent 25 --seed " + std::to_string(seed));
    EXPECT_EQ(ended.code, 0) << ended.output;
    std::vector<std::string> arrived, shown;
    std::istringstream lines(ended.output);
    for (std::string line; std::getline(lines, line);) {
      const std::string word = line.substr(0, line.find(' '));
      const std::string id = line.substr(line.find("says ") + 5);
      if (word == "arrived") arrived.push_back(id.substr(0, id.find(' ')));
      if (word == "shown") shown.push_back(id);
      EXPECT_TRUE(word == "arrived" || word == "again" || word == "shown") << line;
    }
    EXPECT_EQ(arrived.size(), kMessages);
    EXPECT_NE(arrived, order) << "they do arrive in another order";
    return shown;
  };
  EXPECT_EQ(shown_of(2, 1), order);
  EXPECT_EQ(shown_of(3, 2), order);
}

TEST_F(SeedsTest, PaymentsGoOnWithoutTheLeaderAndANodeThatComesBackHasThemAll) {
  ASSERT_EQ(Pay(1, {"before", "alice", "bob", 1}).status, 201);
  const int leader = cluster_.WaitLeader();
  ASSERT_NE(leader, 0);
  cluster_.Kill(leader);
  for (int i = 0; i < 10; ++i) {
    const Payment payment{"during-" + std::to_string(i), "alice", "bob", 1};
    const int node = 1 + (leader + i % 2) % 3;  // One of the two others.
    HttpReply reply = Pay(node, payment);
    // While a leader is chosen a node waits, or says what to do: the same again.
    for (int retry = 0; reply.status >= 500 && retry < 5; ++retry) reply = Pay(node, payment);
    EXPECT_TRUE(reply.status == 201 || reply.status == 200) << reply.body;
  }
  cluster_.Start(leader);
  ASSERT_TRUE(cluster_.WaitHealthy());
  for (int node = 1; node <= 3; ++node) {
    EXPECT_EQ(Ledger(node, "/get_ledger").size(), 11u) << "node " << node;
    EXPECT_EQ(BalanceOf(node, "bob"), 11) << "node " << node;
  }
}

}  // namespace
}  // namespace holdfast
