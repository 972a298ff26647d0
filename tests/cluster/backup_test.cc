// A backup taken under payments, and new clusters that begin with it.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "tests/cluster/payment_load.h"
#include "tests/support/http_client.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_folder.h"

namespace holdfast {
namespace {

using std::chrono::seconds;
using testing::Ended;
using testing::HttpClient;
using testing::HttpReply;
using testing::JsonField;
using testing::PaymentLoad;
using testing::Payments;
using testing::ProcessCluster;
using testing::RunFor;
using testing::RunHoldfast;
using Clock = std::chrono::steady_clock;

std::string Endpoints(const ProcessCluster& cluster) {
  std::string all;
  for (int node = 1; node <= cluster.size(); ++node) {
    all += (node == 1 ? "" : ",") + std::string("127.0.0.1:") + std::to_string(cluster.grpc(node));
  }
  return " --endpoints " + all;
}

// The journal of one node, from its beginning.
std::vector<std::string> Journal(const ProcessCluster& cluster, int node) {
  HttpClient client(cluster.http(node));
  std::vector<std::string> rows;
  std::string cursor;
  do {
    const HttpReply page =
        client.Get("/v1/ledger/transfers?limit=1000" + (cursor.empty() ? "" : "&cursor=" + cursor));
    EXPECT_EQ(page.status, 200) << page.body;
    for (std::string& row : testing::JsonRows(page.body)) rows.push_back(std::move(row));
    cursor = JsonField(page.body, "next_cursor");
  } while (!cursor.empty());
  return rows;
}

class BackupTest : public ::testing::Test {
 protected:
  std::string Folder() const { return folder_.path() + "/backup"; }
  // Makes the data folder of one member from the backup.
  Ended Restore(const ProcessCluster& to, int node) const {
    std::string members;
    for (int i = 1; i <= to.size(); ++i) {
      members +=
          (i == 1 ? "" : ",") + std::to_string(i) + "=127.0.0.1:" + std::to_string(to.peer(i));
    }
    return RunHoldfast("restore " + Folder() + " --id " + std::to_string(node) + " --data " +
                       to.data(node) + " --members " + members);
  }
  static std::string Status(const ProcessCluster& cluster, int node, const std::string& field) {
    return JsonField(HttpClient(cluster.http(node), seconds(2)).Get("/status").body, field);
  }
  // A cluster of one with a counter, and a backup of it.
  void BackUpACounter() {
    ProcessCluster one(1);
    one.StartAll();
    ASSERT_TRUE(one.WaitHealthy());
    ASSERT_EQ(HttpClient(one.http(1)).Post("/v1/counters/visits:add", R"({"amount":7})").status,
              200);
    const Ended backup = RunHoldfast("backup " + Folder() + Endpoints(one));
    ASSERT_EQ(backup.code, 0) << backup.output;
  }

  testing::TempFolder folder_;
};

TEST_F(BackupTest, ABackupUnderLoadBecomesANewClusterWithItsState) {
  ProcessCluster old_cluster(3);
  old_cluster.StartAll();
  ASSERT_TRUE(old_cluster.WaitHealthy());
  PaymentLoad load(old_cluster);
  load.Start(8);
  RunFor(seconds(2));
  std::set<std::string> before;  // Acknowledged before the backup began.
  {
    std::lock_guard lock(load.payments().mutex);
    for (const auto& [id, amount] : load.payments().acknowledged) before.insert(id);
  }
  const Ended backup = RunHoldfast("backup " + Folder() + Endpoints(old_cluster));
  ASSERT_EQ(backup.code, 0) << backup.output;
  EXPECT_GT(load.RateOver(seconds(1)), 0);
  const Ended verified = RunHoldfast("verify" + Endpoints(old_cluster));
  EXPECT_EQ(verified.code, 0) << "while payments go on\n" << verified.output;
  EXPECT_EQ(RunHoldfast("verify " + Folder()).code, 0);
  load.Stop();
  std::string report;
  ASSERT_TRUE(old_cluster.WaitEqualState(seconds(20), &report)) << report;
  const std::vector<std::string> all = Journal(old_cluster, 1);
  for (int node = 1; node <= 3; ++node) EXPECT_EQ(old_cluster.Terminate(node), 0);

  ProcessCluster cluster(3);
  for (int node = 1; node <= 3; ++node) {
    const Ended restored = Restore(cluster, node);
    ASSERT_EQ(restored.code, 0) << restored.output;
  }
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  ASSERT_TRUE(cluster.WaitEqualState(seconds(20), &report)) << report;
  // It holds what the old cluster held at one position: a beginning of its journal, row for row,
  // and all that was acknowledged when the backup began.
  Payments held;
  std::vector<std::string> kept = Journal(cluster, 1);
  ASSERT_GE(kept.size(), before.size());
  ASSERT_LT(kept.size(), all.size()) << "payments went on after the backup";
  for (size_t i = 0; i < kept.size(); ++i) {
    ASSERT_EQ(kept[i], all[i]);
    const std::string part = JsonField(kept[i], "id") + "/" + JsonField(kept[i], "leg");
    held.attempted.insert(part);
    held.acknowledged[part] = std::stoll(JsonField(kept[i], "amount"));
  }
  for (const std::string& part : before) {
    EXPECT_TRUE(held.attempted.contains(part)) << part << " was acknowledged and is missing";
  }
  // Balances are the sums of that journal, on every node.
  CheckAll(cluster, held);

  // A retry of a payment from before is answered as it was then, whoever lost the answer.
  const std::string id = JsonField(kept.front(), "id");
  const HttpReply outcome = HttpClient(cluster.http(2)).Get("/v1/ledger/transfers/" + id);
  EXPECT_EQ(outcome.status, 200) << outcome.body;
  // And it goes on: payments, and a member that loses its folder.
  PaymentLoad more(cluster);
  more.Start(4);
  EXPECT_GT(more.RateOver(seconds(1)), 0);
  const int lost = cluster.WaitLeader() % 3 + 1;
  cluster.Kill(lost);
  cluster.Wipe(lost);
  cluster.Start(lost);
  for (const auto begun = Clock::now(); Status(cluster, lost, "rejoining") != "false";) {
    ASSERT_LT(Clock::now(), begun + seconds(60)) << cluster.LogOf(lost);
    RunFor(std::chrono::milliseconds(20));
  }
  more.Stop();
  ASSERT_TRUE(cluster.WaitHealthy());
  EXPECT_TRUE(cluster.WaitEqualState(seconds(30), &report)) << report;
}

TEST_F(BackupTest, ARetryAcrossTheRestoreIsDoneOnce) {
  ProcessCluster old_cluster(1);
  old_cluster.StartAll();
  ASSERT_TRUE(old_cluster.WaitHealthy());
  const HttpClient::Headers key = {{"Idempotency-Key", "k1"}};
  const std::string path = "/v1/counters/visits:add";
  const HttpReply first = HttpClient(old_cluster.http(1)).Post(path, R"({"amount":7})", key);
  ASSERT_EQ(first.status, 200);
  ASSERT_EQ(RunHoldfast("backup " + Folder() + Endpoints(old_cluster)).code, 0);
  EXPECT_EQ(RunHoldfast("backup " + Folder() + Endpoints(old_cluster)).code, 2) << "it is there";
  ProcessCluster cluster(1);
  ASSERT_EQ(Restore(cluster, 1).code, 0);
  EXPECT_EQ(Restore(cluster, 1).code, 2) << "nothing is overwritten";
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  HttpClient client(cluster.http(1));
  const HttpReply again = client.Post(path, R"({"amount":7})", key);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(again.headers.at("idempotency-replayed"), "true");
  EXPECT_EQ(JsonField(client.Get("/v1/counters/visits").body, "value"), "7");
  EXPECT_GT(std::stoull(Status(cluster, 1, "term")), std::stoull(Status(old_cluster, 1, "term")));
  EXPECT_GT(std::stoull(Status(cluster, 1, "applied")), 0u);
}

TEST_F(BackupTest, AMemberThatBeginsWithNothingFoundsNothingWithRestoredOnes) {
  BackUpACounter();
  ProcessCluster cluster(3);
  for (int node : {1, 2}) ASSERT_EQ(Restore(cluster, node).code, 0);
  cluster.StartAll();
  std::string health;
  for (const auto begun = Clock::now();
       health.find("begins with") == std::string::npos ||
       cluster.LogOf(3).find("node 3 begins with nothing") == std::string::npos;) {
    ASSERT_LT(Clock::now(), begun + seconds(20)) << health << cluster.LogOf(3);
    health = HttpClient(cluster.http(1), seconds(2)).Get("/health").body;
  }
  EXPECT_NE(health.find("node 3 begins with nothing, node 1 with backup"), std::string::npos)
      << health;
  cluster.Kill(3);
  cluster.Wipe(3);
  ASSERT_EQ(Restore(cluster, 3).code, 0);
  cluster.Start(3);
  ASSERT_TRUE(cluster.WaitHealthy()) << cluster.LogOf(3);
  EXPECT_EQ(JsonField(HttpClient(cluster.http(3)).Get("/v1/counters/visits").body, "value"), "7");
}

TEST_F(BackupTest, ANodeThatDiesDuringABackupLeavesNothingBehind) {
  ProcessCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  PaymentLoad load(cluster);
  load.Start(8);
  // So much that a backup at 1 MiB a second takes its time.
  for (const auto begun = Clock::now(); load.payments().count() < 10'000;) {
    ASSERT_LT(Clock::now(), begun + seconds(120));
    RunFor(std::chrono::milliseconds(20));
  }
  load.Stop();
  const int node = cluster.WaitLeader() % 3 + 1;
  const std::string from = " --endpoints 127.0.0.1:" + std::to_string(cluster.grpc(node));
  Ended backup;
  std::thread reader(
      [&] { backup = RunHoldfast("backup " + Folder() + from + " --rate 1 --timeout 3s"); });
  const std::string partial = Folder() + ".partial/db";
  for (const auto begun = Clock::now();
       !std::filesystem::exists(partial) || std::filesystem::is_empty(partial);) {
    if (Clock::now() > begun + seconds(30)) break;
    RunFor(std::chrono::milliseconds(5));
  }
  cluster.Kill(node);
  reader.join();
  EXPECT_NE(backup.code, 0) << backup.output;
  EXPECT_FALSE(std::filesystem::exists(Folder()));
  EXPECT_FALSE(std::filesystem::exists(Folder() + ".partial"));
  // Another node has it all.
  backup = RunHoldfast("backup " + Folder() + Endpoints(cluster));
  EXPECT_EQ(backup.code, 0) << backup.output;
  EXPECT_EQ(RunHoldfast("verify " + Folder()).code, 0);
  cluster.Start(node);
  ASSERT_TRUE(cluster.WaitHealthy());
  EXPECT_EQ(RunHoldfast("verify" + Endpoints(cluster)).code, 0);
}

TEST_F(BackupTest, ADamagedBackupIsNotRestored) {
  BackUpACounter();
  ProcessCluster cluster(1);
  for (const auto& file : std::filesystem::recursive_directory_iterator(Folder())) {
    if (!file.is_regular_file()) continue;
    const std::string path = file.path().string();
    FILE* open = fopen(path.c_str(), "r+b");
    const long middle = static_cast<long>(file.file_size() / 2);
    const auto flip = [&] {
      fseek(open, middle, SEEK_SET);
      const int byte = fgetc(open);
      fseek(open, middle, SEEK_SET);
      fputc(byte ^ 4, open);
      fflush(open);
    };
    flip();
    EXPECT_NE(RunHoldfast("verify " + Folder()).code, 0) << path;
    const Ended refused = Restore(cluster, 1);
    EXPECT_EQ(refused.code, 2) << path << ": " << refused.output;
    EXPECT_NE(refused.output.find(path), std::string::npos) << refused.output;
    EXPECT_FALSE(std::filesystem::exists(cluster.data(1) + "/identity"));
    flip();
    fclose(open);
  }
  EXPECT_EQ(Restore(cluster, 1).code, 0) << "what the refused ones left is in nobody's way";
}

}  // namespace
}  // namespace holdfast
