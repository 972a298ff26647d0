// What reads promise, on processes that stand still: a frozen process keeps its connections, its
// memory and its belief to be the leader, and so is the hardest kind of partition.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/cluster/transfer_caller.h"
#include "tests/support/raw_connection.h"

namespace holdfast {
namespace {

using testing::Door;
using testing::HttpClient;
using testing::HttpReply;
using testing::HttpRequestText;
using testing::JsonField;
using testing::MakeTransfer;
using testing::OpenAccount;
using testing::ProcessCluster;
using testing::RawConnection;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr char kShop[] = "/v1/ledger/accounts/shop";
// How late an answer may be after its deadline, on a machine that does other things as well.
constexpr milliseconds kLate{8'000};

class ConsistencyTest : public ::testing::Test {
 protected:
  ConsistencyTest() : cluster_(3) {}

  void SetUp() override {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.WaitHealthy()) << cluster_.LogOf(1);
    OpenAccount(cluster_, "bank");
    OpenAccount(cluster_, "shop", "0");
  }

  // Pays 1 to the shop at `node`; one more for every call.
  static std::string Payment(int64_t number) {
    return R"({"id":"p)" + std::to_string(number) + R"(","from":"bank","to":"shop","amount":1})";
  }

  // Pays until somebody but `except` has acknowledged it.
  void PayElsewhere(int except, int64_t number) {
    const auto until = Clock::now() + std::chrono::seconds(20);
    while (Clock::now() < until) {
      for (int node = 1; node <= 3; ++node) {
        if (node == except) continue;
        const int status = HttpClient(cluster_.http(node), std::chrono::seconds(5))
                               .Post("/v1/ledger/transfers", Payment(number))
                               .status;
        if (status == 200 || status == 201) return;
      }
    }
    FAIL() << "payment " << number << " was not taken";
  }

  ProcessCluster cluster_;
};

int64_t Balance(const HttpReply& reply) { return std::stoll(JsonField(reply.body, "balance")); }

TEST_F(ConsistencyTest, ASessionSeesItsOwnWriteAtEveryNodeWithAndWithoutItsToken) {
  constexpr int kRounds = 100;  // Three reads each.
  std::vector<HttpClient> nodes;
  for (int node = 1; node <= 3; ++node) nodes.emplace_back(cluster_.http(node));
  for (int round = 1; round <= kRounds; ++round) {
    HttpClient& writer = nodes[static_cast<size_t>(round) % nodes.size()];
    const HttpReply written = writer.PostUntilKnown("/v1/ledger/transfers", Payment(round));
    ASSERT_EQ(written.status, 201) << written.body;
    const std::string position = written.headers.at("holdfast-position");
    // First the other nodes, which have had the least time.
    for (size_t i = 1; i <= nodes.size(); ++i) {
      HttpClient& reader = nodes[(static_cast<size_t>(round) + i) % nodes.size()];
      HttpClient::Headers headers;
      // By turns with the token and without: without it, a session read is linearizable.
      if ((round / 3 + static_cast<int>(i)) % 2 == 0) headers["Holdfast-After"] = position;
      const HttpReply read = reader.Get(kShop, headers);
      ASSERT_EQ(read.status, 200) << read.body;
      ASSERT_EQ(Balance(read), round) << "round " << round << ", reader " << i;
      ASSERT_GE(std::stoull(read.headers.at("holdfast-position")), std::stoull(position));
    }
  }
}

// A session that goes from node to node: monotonic reads, monotonic writes, writes follow reads.
TEST_F(ConsistencyTest, ASessionNeverGoesBackWhereverItReadsAndWrites) {
  constexpr int kRounds = 60;
  // Two of the nodes are behind by turns, so that there is something to go back to.
  const auto hold_back = [&](int node) {
    const std::string command = ProcessCluster::Program() +
                                " cluster hold-back --delay-ms 40 --for-ms 60000 --endpoints "
                                "127.0.0.1:" +
                                std::to_string(cluster_.grpc(node)) + " > /dev/null";
    ASSERT_EQ(std::system(command.c_str()), 0);
  };
  for (int node = 1; node <= 3; ++node) hold_back(node);  // The leader is not.
  std::vector<HttpClient> nodes;
  for (int node = 1; node <= 3; ++node) nodes.emplace_back(cluster_.http(node));
  uint64_t seen = 0;
  int64_t balance = 0;
  const auto position_of = [](const HttpReply& reply) {
    return std::stoull(reply.headers.at("holdfast-position"));
  };
  for (int round = 1; round <= kRounds; ++round) {
    const auto at = [&](int step) -> HttpClient& {
      return nodes[static_cast<size_t>(round + step) % nodes.size()];
    };
    const HttpReply written = at(0).PostUntilKnown("/v1/ledger/transfers", Payment(round));
    ASSERT_EQ(written.status, 201) << written.body;
    ASSERT_GT(position_of(written), seen) << "a write comes after all that was written and read";
    seen = position_of(written);
    for (int step = 1; step <= 3; ++step) {
      const HttpReply read = at(step).Get(kShop, {{"Holdfast-After", std::to_string(seen)}});
      ASSERT_EQ(read.status, 200) << read.body;
      ASSERT_GE(position_of(read), seen) << "a read is not older than the one before";
      ASSERT_GE(Balance(read), balance);
      seen = position_of(read);
      balance = Balance(read);
    }
    ASSERT_EQ(balance, round);
  }
}

TEST_F(ConsistencyTest, ALeaderThatWasReplacedUnseenNeverAnswersWithTheOldState) {
  constexpr int kRounds = 4;
  int answered = 0;
  for (int round = 1; round <= kRounds; ++round) {
    PayElsewhere(0, 2 * round - 1);
    const int old = cluster_.WaitLeader();
    ASSERT_NE(old, 0);
    // Connected while the node still listens; asked while it stands still, after the new value was
    // acknowledged elsewhere: the first thing it finds when it wakes up, still a leader by itself.
    RawConnection linearizable(cluster_.http(old));
    RawConnection session(cluster_.http(old));
    RawConnection write(cluster_.http(old));
    cluster_.Freeze(old);
    ASSERT_NE(cluster_.WaitLeader(old), 0);
    PayElsewhere(old, 2 * round);
    const HttpClient::Headers hurry = {{"Holdfast-Timeout-Ms", "3000"}};
    HttpClient::Headers strict = hurry;
    strict["Holdfast-Consistency"] = "linearizable";
    ASSERT_TRUE(linearizable.Send(HttpRequestText("GET", kShop, "", strict)));
    ASSERT_TRUE(session.Send(HttpRequestText("GET", kShop, "", hurry)));
    ASSERT_TRUE(
        write.Send(HttpRequestText("POST", "/v1/ledger/transfers", Payment(2 * round), hurry)));
    cluster_.Thaw(old);
    HttpReply replies[] = {HttpClient(cluster_.http(old)).Get(kShop, strict),
                           linearizable.ReadReply(milliseconds(3'000) + kLate),
                           session.ReadReply(milliseconds(3'000) + kLate)};
    for (const HttpReply& reply : replies) {
      if (reply.status == 200) {
        EXPECT_EQ(Balance(reply), 2 * round) << "round " << round << ": a lie";
        ++answered;
      } else {
        EXPECT_TRUE(reply.status == 503 || reply.status == 504) << reply.status << reply.body;
      }
    }
    const HttpReply repeated = write.ReadReply(milliseconds(3'000) + kLate);
    if (repeated.status == 200) {
      EXPECT_EQ(JsonField(repeated.body, "outcome"), "already_exists") << repeated.body;
    } else {
      EXPECT_TRUE(repeated.status == 503 || repeated.status == 504) << repeated.body;
    }
    ASSERT_TRUE(cluster_.WaitHealthy());
  }
  EXPECT_GT(answered, 0) << "failing always would be honest, and useless";
  std::string report;
  EXPECT_TRUE(cluster_.WaitEqualState(std::chrono::seconds(20), &report)) << report;
}

// What `node` can and cannot do while the two others stand still.
void ExpectWithoutQuorum(const ProcessCluster& cluster, int node, int64_t balance,
                         const std::string& payment) {
  constexpr milliseconds kTimeout{1'000};
  const HttpClient::Headers hurry = {{"Holdfast-Timeout-Ms", std::to_string(kTimeout.count())}};
  HttpClient::Headers strict = hurry;
  strict["Holdfast-Consistency"] = "linearizable";
  HttpReply linearizable, session, write;
  milliseconds took[3];
  const auto timed = [&](size_t which, HttpReply* reply, auto ask) {
    return std::thread([&took, &cluster, which, reply, node, ask] {
      HttpClient client(cluster.http(node));
      const auto begin = Clock::now();
      *reply = ask(client);
      took[which] = std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
    });
  };
  std::thread threads[] = {
      timed(0, &linearizable, [&](HttpClient& client) { return client.Get(kShop, strict); }),
      timed(1, &session, [&](HttpClient& client) { return client.Get(kShop, hurry); }),
      timed(2, &write, [&](HttpClient& client) {
        return client.Post("/v1/ledger/transfers", payment, hurry);
      })};
  for (std::thread& thread : threads) thread.join();
  for (const HttpReply& read : {linearizable, session}) {
    EXPECT_EQ(read.status, 503) << read.body;
    EXPECT_EQ(JsonField(read.body, "code"), "unavailable");
    EXPECT_TRUE(read.headers.contains("retry-after"));
  }
  EXPECT_TRUE(write.status == 503 || write.status == 504) << write.status << write.body;
  EXPECT_TRUE(write.headers.contains("retry-after"));
  EXPECT_FALSE(JsonField(write.body, "hint").empty()) << "what to do next: " << write.body;
  for (const milliseconds time : took) {
    EXPECT_GE(time, kTimeout - milliseconds(50)) << "it may have come back in time";
    EXPECT_LT(time, kTimeout + kLate);
  }

  const auto begin = Clock::now();
  HttpReply stale = HttpClient(cluster.http(node)).Get(kShop, {{"Holdfast-Consistency", "stale"}});
  EXPECT_LT(Clock::now() - begin, kLate) << "at once";
  ASSERT_EQ(stale.status, 200) << stale.body;
  EXPECT_EQ(Balance(stale), balance);
  EXPECT_GT(std::stoull(stale.headers["holdfast-position"]), 0u);
  // Nothing has been heard at least while the others waited; before that, all was well.
  const int64_t age_ms = std::stoll(stale.headers["holdfast-age-ms"]);
  EXPECT_GE(age_ms, 900);
  EXPECT_LT(age_ms, 20'000);
  EXPECT_EQ(HttpClient(cluster.http(node)).Get("/health").status, 503);
}

TEST_F(ConsistencyTest, WithoutAQuorumReadsFailInTimeAndStaleOnesAnswer) {
  int64_t paid = 0;
  // The survivor is the leader the first time, a follower the second.
  for (const bool keep_leader : {true, false}) {
    SCOPED_TRACE(keep_leader ? "the leader is left alone" : "a follower is left alone");
    PayElsewhere(0, ++paid);
    std::string report;
    ASSERT_TRUE(cluster_.WaitEqualState(std::chrono::seconds(20), &report)) << report;
    const int leader = cluster_.WaitLeader();
    ASSERT_NE(leader, 0);
    const int left = keep_leader ? leader : leader % 3 + 1;
    for (int node = 1; node <= 3; ++node) {
      if (node != left) cluster_.Freeze(node);
    }
    ++paid;  // Refused for now, or open; the caller repeats it below.
    ExpectWithoutQuorum(cluster_, left, paid - 1, Payment(paid));
    for (int node = 1; node <= 3; ++node) {
      if (node != left) cluster_.Thaw(node);
    }
    ASSERT_TRUE(cluster_.WaitHealthy());
    PayElsewhere(0, paid);
    for (int node = 1; node <= 3; ++node) {
      EXPECT_EQ(testing::BalanceAt(cluster_, node, "shop"), paid) << "node " << node;
    }
  }
}

TEST_F(ConsistencyTest, ATokenFromTheFutureEndsAtTheDeadline) {
  for (const std::string after : {"9000000000000000000", "18446744073709551615"}) {
    for (int node = 1; node <= 3; ++node) {
      const auto begin = Clock::now();
      const HttpReply reply =
          HttpClient(cluster_.http(node))
              .Get(kShop, {{"Holdfast-After", after}, {"Holdfast-Timeout-Ms", "300"}});
      const auto took = Clock::now() - begin;
      EXPECT_EQ(reply.status, 504) << reply.body;
      EXPECT_EQ(JsonField(reply.body, "code"), "deadline_exceeded");
      EXPECT_EQ(JsonField(reply.body, "field"), "holdfast-after");
      EXPECT_NE(reply.body.find(after), std::string::npos) << reply.body;
      EXPECT_GE(took, milliseconds(250));
      EXPECT_LT(took, milliseconds(300) + kLate);
    }
  }
  // One that is only just ahead is waited for.
  HttpClient client(cluster_.http(2));
  const uint64_t now = std::stoull(client.Get(kShop).headers.at("holdfast-position"));
  RawConnection waiting(cluster_.http(3));
  ASSERT_TRUE(waiting.Send(
      HttpRequestText("GET", kShop, "", {{"Holdfast-After", std::to_string(now + 1)}})));
  ASSERT_EQ(client.PostUntilKnown("/v1/ledger/transfers", Payment(1)).status, 201);
  const HttpReply read = waiting.ReadReply(milliseconds(10'000));
  ASSERT_EQ(read.status, 200) << read.body;
  EXPECT_EQ(Balance(read), 1);
}

}  // namespace
}  // namespace holdfast
