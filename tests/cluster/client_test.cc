// The client library against a cluster whose nodes die.
#include "src/client/client.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/cluster/transfer_caller.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using testing::ProcessCluster;

constexpr char kCreateAccount[] = "/holdfast.ledger.Ledger/CreateAccount";
constexpr char kCreateTransfer[] = "/holdfast.ledger.Ledger/CreateTransfer";
constexpr char kGetAccount[] = "/holdfast.ledger.Ledger/GetAccount";

class ClientClusterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_ = std::make_unique<ProcessCluster>(3);
    cluster_->StartAll();
    ASSERT_TRUE(cluster_->WaitHealthy()) << cluster_->LogOf(1);
    auto client = MakeClient({});
    for (const char* id : {"a", "b"}) {
      ledger::CreateAccountRequest request;
      request.set_id(id);
      request.set_currency("EUR");
      request.set_overdraft(INT64_MAX);
      ASSERT_TRUE(client->Call<ledger::AccountReply>(kCreateAccount, request));
    }
  }

  std::unique_ptr<client::Client> MakeClient(client::Options options) const {
    std::vector<std::string> endpoints;
    for (int node = 1; node <= cluster_->size(); ++node) {
      endpoints.push_back("127.0.0.1:" + std::to_string(cluster_->grpc(node)));
    }
    return std::make_unique<client::Client>(std::move(endpoints), options);
  }

  // Kills the leader and starts it again, so often.
  void KillLeaders(int times) {
    for (int i = 0; i < times; ++i) {
      const int leader = cluster_->WaitLeader();
      ASSERT_NE(leader, 0);
      cluster_->Kill(leader);
      const int next = cluster_->WaitLeader();
      EXPECT_NE(next, 0);
      cluster_->Start(leader);
      ASSERT_TRUE(cluster_->WaitHealthy()) << cluster_->LogOf(leader);
    }
  }

  int64_t BalanceOfB() const { return testing::BalanceAt(*cluster_, 1, "b"); }

  std::unique_ptr<ProcessCluster> cluster_;
};

// Callers that pay 1 from a to b, one payment after the other, until told to stop.
class Payers {
 public:
  Payers(client::Client& client, int count) : client_(client), open_(count) {
    for (int i = 0; i < count; ++i) Next();
  }
  void Stop() {
    stop_ = true;
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return open_ == 0; });
  }

  std::atomic<int> created{0};
  std::atomic<int> unknown{0};
  std::atomic<int> not_done{0};
  std::atomic<int> wrong{0};

 private:
  void Next() {
    if (stop_) {
      std::lock_guard lock(mutex_);
      --open_;
      ended_.notify_all();
      return;
    }
    // Ids that no other payment has: only the idempotency key keeps a repeat from paying twice.
    const auto request = testing::MakeTransfer("t" + std::to_string(++number_), "a", "b", 1);
    client_.CallAsync<ledger::TransferReply>(
        kCreateTransfer, request, {},
        [this](Result<client::TypedReply<ledger::TransferReply>> reply) {
          if (reply) {
            ++(reply->message.outcome() == ledger::TransferOutcome::created ? created : wrong);
          } else if (reply.error().code == ErrorCode::kOutcomeUnknown) {
            ++unknown;
          } else {
            ++not_done;
          }
          Next();
        });
  }

  client::Client& client_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> number_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
  int open_;
};

TEST_F(ClientClusterTest, PaymentsUnderKeysAreMadeOnceWhileLeadersDie) {
  client::Options options;
  options.attempt_timeout = milliseconds(1'000);
  options.timeout = milliseconds(30'000);
  const auto client = MakeClient(options);
  Payers payers(*client, 32);
  KillLeaders(3);
  payers.Stop();
  EXPECT_GT(payers.created, 0);
  EXPECT_EQ(payers.wrong, 0) << "a repeat was taken for a new payment, or the other way round";
  EXPECT_EQ(payers.unknown, 0);
  EXPECT_EQ(payers.not_done, 0);
  EXPECT_EQ(BalanceOfB(), payers.created);
  std::string report;
  EXPECT_TRUE(cluster_->WaitEqualState(std::chrono::seconds(20), &report)) << report;
}

TEST_F(ClientClusterTest, PaymentsWithoutKeysAreNeverMadeTwice) {
  client::Options options;
  options.auto_key = false;
  options.timeout = milliseconds(5'000);
  const auto client = MakeClient(options);
  Payers payers(*client, 32);
  KillLeaders(2);
  payers.Stop();
  EXPECT_GT(payers.created, 0);
  EXPECT_EQ(payers.wrong, 0);
  const int64_t balance = BalanceOfB();
  EXPECT_GE(balance, payers.created);
  EXPECT_LE(balance, payers.created + payers.unknown);
}

TEST_F(ClientClusterTest, AClientReadsItsOwnWritesAtAnyNodeWhileNodesDie) {
  const auto client = MakeClient({});
  std::atomic<bool> stop{false};
  std::thread chaos([&] {
    KillLeaders(2);
    stop = true;
  });
  ledger::GetAccountRequest get;
  get.set_id("b");
  int64_t paid = 0;
  while (!stop) {
    const auto request = testing::MakeTransfer("t" + std::to_string(paid + 1), "a", "b", 1);
    const auto made = client->Call<ledger::TransferReply>(kCreateTransfer, request);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    ++paid;
    const auto read = client->Call<ledger::Account>(kGetAccount, get);
    EXPECT_TRUE(read) << (read ? "" : read.error().message);
    EXPECT_EQ(read ? read->message.balance() : -1, paid);
  }
  chaos.join();
}

TEST_F(ClientClusterTest, EveryNodeTellsWhatBecameOfARequest) {
  const auto client = MakeClient({});
  client::CallOptions options;
  options.idempotency_key = "a/b c?";  // Nothing that a path or a query could not carry.
  ASSERT_TRUE(client->Call<ledger::TransferReply>(
      kCreateTransfer, testing::MakeTransfer("t", "a", "b", 1), options));
  cluster_->Kill(cluster_->WaitLeader());
  ASSERT_NE(cluster_->WaitLeader(), 0);
  for (int node = 1; node <= 3; ++node) {
    if (!cluster_->Running(node)) continue;
    testing::HttpClient http(cluster_->http(node));
    const auto seen = http.Get("/v1/outcome?key=a%2Fb%20c%3F");
    EXPECT_EQ(seen.status, 200) << seen.body;
    EXPECT_EQ(testing::JsonField(seen.body, "state"), "committed");
    EXPECT_EQ(testing::JsonField(seen.body, "outcome"), "created");
    EXPECT_EQ(testing::JsonField(seen.body, "method"), kCreateTransfer);
    const auto never = http.Get("/v1/outcome?key=other");
    EXPECT_EQ(never.status, 404) << never.body;
    EXPECT_EQ(testing::JsonField(never.body, "state"), "never_seen");
  }
}

TEST_F(ClientClusterTest, ANodeThatIsToldToStopEndsItsPipesInPeace) {
  client::Options options;
  options.auto_key = false;  // What is cut off would be of unknown outcome.
  const auto client = MakeClient(options);
  Payers payers(*client, 32);
  for (int node = 1; node <= 3; ++node) {
    cluster_->Terminate(node);
    cluster_->Start(node);
    ASSERT_TRUE(cluster_->WaitHealthy()) << cluster_->LogOf(node);
  }
  payers.Stop();
  EXPECT_EQ(payers.wrong, 0);
  EXPECT_EQ(payers.not_done, 0);
  const int64_t balance = BalanceOfB();
  EXPECT_GE(balance, payers.created);
  EXPECT_LE(balance, payers.created + payers.unknown);
}

}  // namespace
}  // namespace holdfast
