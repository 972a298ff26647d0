// What an operator does to running nodes: stops under load, signals, and looks.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <regex>
#include <thread>

#include "tests/cluster/transfer_caller.h"
#include "tests/support/http_client.h"
#include "tests/support/process_cluster.h"
#include "tests/support/temp_folder.h"

namespace holdfast {
namespace {

using testing::HttpClient;
using testing::HttpReply;
using testing::JsonField;
using testing::ProcessCluster;
using testing::TransferCaller;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kWriters = 4;

// Writers that go on through all nodes; they know what was acknowledged and the longest time
// between two acknowledgements, of all of them together.
class Load {
 public:
  explicit Load(const ProcessCluster& cluster) {
    for (int writer = 0; writer < kWriters; ++writer) {
      threads_.emplace_back([this, &cluster, writer] { Write(cluster, writer); });
    }
  }
  ~Load() { Stop(); }
  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  // Blocks until so many more transfers are acknowledged.
  void Await(uint64_t more) const {
    const uint64_t goal = acknowledged_ + more;
    while (acknowledged_ < goal) std::this_thread::yield();
  }
  uint64_t acknowledged() const { return acknowledged_; }
  // Since the last call.
  milliseconds TakeLongestGap() {
    std::lock_guard lock(mutex_);
    return std::chrono::duration_cast<milliseconds>(std::exchange(gap_, {}));
  }

 private:
  void Write(const ProcessCluster& cluster, int writer) {
    TransferCaller caller(cluster, 1 + writer % cluster.size(), testing::Door::kHttp);
    for (int number = 0; !stop_; ++number) {
      const std::string id = "w" + std::to_string(writer) + "-" + std::to_string(number);
      const auto answer = caller.Transfer(testing::MakeTransfer(id, "alice", "bob", 1), id);
      if (answer.outcome != "created" && answer.outcome != "already_exists") {
        ADD_FAILURE() << id << ": " << answer.outcome;
        continue;
      }
      ++acknowledged_;
      std::lock_guard lock(mutex_);
      const auto now = Clock::now();
      if (last_ != Clock::time_point()) gap_ = std::max(gap_, now - last_);
      last_ = now;
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> acknowledged_{0};
  std::mutex mutex_;
  Clock::time_point last_;
  Clock::duration gap_{};
  std::vector<std::thread> threads_;
};

constexpr milliseconds kGapMax(8'000);

TEST(OperateTest, StoppingTheLeaderUnderLoadLosesNothing) {
  ProcessCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  testing::OpenAccount(cluster, "alice");
  testing::OpenAccount(cluster, "bob");
  Load load(cluster);
  load.Await(200);
  load.TakeLongestGap();
  int handed_over = 0;
  milliseconds least_gap = kGapMax;
  for (int round = 0; round < 3; ++round) {
    const int leader = cluster.WaitLeader();
    ASSERT_NE(leader, 0);
    const auto began = Clock::now();
    EXPECT_EQ(cluster.Terminate(leader), 0) << cluster.LogOf(leader);
    const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - began);
    load.Await(200);
    const milliseconds gap = load.TakeLongestGap();
    std::printf("stop of the leader: %lld ms, longest time without an acknowledgement %lld ms\n",
                static_cast<long long>(took.count()), static_cast<long long>(gap.count()));
    EXPECT_LT(took, milliseconds(5'000)) << "it waited for somebody";
    EXPECT_LT(gap, kGapMax);
    least_gap = std::min(least_gap, gap);
    handed_over += cluster.HandedOver(leader) ? 1 : 0;
    cluster.Start(leader);
    ASSERT_TRUE(cluster.WaitHealthy());
  }
  EXPECT_LT(least_gap, milliseconds(600)) << "of three stops, on a machine busy or not";
  EXPECT_GT(handed_over, 0) << "a leader that is stopped hands over first";
  load.Stop();
  EXPECT_EQ(testing::BalanceAt(cluster, 1, "bob"), static_cast<int64_t>(load.acknowledged()));
  std::string report;
  EXPECT_TRUE(cluster.WaitEqualState(std::chrono::seconds(20), &report)) << report;
}

// Another program fills the disk, and an operator makes room: nothing is restarted.
TEST(OperateTest, AFullDiskStopsWritesUntilThereIsRoom) {
  constexpr uint64_t kMargin = 512 << 20;
  ProcessCluster cluster(1);
  testing::TempFolder other;
  const uint64_t free = std::filesystem::space(other.path()).available;
  if (free <= 3 * kMargin) GTEST_SKIP() << "this test needs 1.5 GiB of disk, not " << free;
  cluster.SetFlags({"--disk-reserve-bytes", std::to_string(free - kMargin)});
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  testing::OpenAccount(cluster, "alice");
  HttpClient client(cluster.http(1));
  int number = 0;
  const auto open = [&] {
    return client.Post("/v1/ledger/accounts",
                       R"({"id":"a)" + std::to_string(++number) + R"(","currency":"EUR"})");
  };
  const auto until = [&](int status) {
    const auto patience = Clock::now() + std::chrono::seconds(20);
    HttpReply reply;
    do {
      reply = open();
    } while (reply.status != status && Clock::now() < patience);
    return reply;
  };
  EXPECT_EQ(until(201).status, 201);

  const std::string filler = other.path() + "/filler";
  const int file = ::open(filler.c_str(), O_CREAT | O_RDWR, 0600);
  ASSERT_EQ(posix_fallocate(file, 0, 2 * kMargin), 0);
  const HttpReply refused = until(429);
  EXPECT_EQ(refused.status, 429) << refused.body;
  EXPECT_NE(refused.body.find("the disk of node 1 is full"), std::string::npos) << refused.body;
  EXPECT_TRUE(refused.headers.contains("retry-after"));
  EXPECT_EQ(client.Get("/v1/ledger/accounts/alice").status, 200) << "reads go on";
  EXPECT_EQ(JsonField(client.Get("/status").body, "disk_full"), "true");
  EXPECT_EQ(client.Get("/health").status, 200);

  close(file);
  std::filesystem::remove(filler);
  EXPECT_EQ(until(201).status, 201);
  EXPECT_EQ(cluster.Terminate(1), 0) << cluster.LogOf(1);
}

// What it acknowledged from then on would be gone with its process.
TEST(OperateTest, ANodeWhoseFolderIsGoneStopsAndComesBackWithANewOne) {
  ProcessCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  testing::OpenAccount(cluster, "alice");
  const int leader = cluster.WaitLeader();
  ASSERT_NE(leader, 0);
  std::filesystem::remove_all(cluster.data(leader));
  cluster.WaitEnd(leader, std::chrono::seconds(20));
  ASSERT_FALSE(cluster.Running(leader));
  EXPECT_NE(cluster.LogOf(leader).find("is gone"), std::string::npos) << cluster.LogOf(leader);
  cluster.Start(leader);
  EXPECT_TRUE(cluster.WaitHealthy()) << cluster.LogOf(leader);
  EXPECT_EQ(testing::BalanceAt(cluster, leader, "alice"), 0);
}

TEST(OperateTest, AHangUpReadsTheLevelsAgain) {
  testing::TempFolder folder;
  const std::string file = folder.path() + "/holdfast.toml";
  std::ofstream(file) << "[log]\nlevel = \"info\"\n";
  ProcessCluster cluster(1);
  cluster.SetFlags({"--config", file});
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  const auto raft = [&] {
    return JsonField(HttpClient(cluster.http(1)).Post("/v1/cluster/log", "{}").body, "raft");
  };
  EXPECT_EQ(raft(), "info");
  std::ofstream(file) << "[log]\nlevel = \"raft=debug\"\n";
  cluster.Signal(1, SIGHUP);
  const auto patience = Clock::now() + std::chrono::seconds(20);
  while (raft() != "debug" && Clock::now() < patience) std::this_thread::yield();
  EXPECT_EQ(raft(), "debug");
  std::ofstream(file) << "[log]\nlevel = \"loud\"\n";
  cluster.Signal(1, SIGHUP);
  while (cluster.LogOf(1).find("stay as they are") == std::string::npos &&
         Clock::now() < patience) {
    std::this_thread::yield();
  }
  EXPECT_NE(cluster.LogOf(1).find("there are trace"), std::string::npos) << cluster.LogOf(1);
  EXPECT_EQ(raft(), "debug") << "a file that is wrong changes nothing";
  EXPECT_EQ(cluster.Terminate(1), 0);
}

TEST(OperateTest, ASecondSignalEndsANodeThatWaits) {
  ProcessCluster cluster(2);
  cluster.SetFlags({"--stop-grace-ms", "60000"});
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  testing::OpenAccount(cluster, "alice");
  cluster.Kill(2);
  // A write that cannot be decided holds the stop up.
  std::thread writer([port = cluster.http(1)] {
    HttpClient(port).Post("/v1/counters/x:add", R"({"amount": 1})",
                          {{"Holdfast-Timeout-Ms", "40000"}});
  });
  HttpClient looker(cluster.http(1));
  const auto waits = [&] {
    const std::string text = looker.Get("/metrics").body;
    return text.find("method=\"Add\"") == std::string::npos;  // It has not been answered.
  };
  EXPECT_TRUE(waits());
  cluster.Signal(1, SIGTERM);
  const auto patience = Clock::now() + std::chrono::seconds(20);
  while (cluster.LogOf(1).find("stopping") == std::string::npos && Clock::now() < patience) {
    std::this_thread::yield();
  }
  const auto began = Clock::now();
  cluster.Signal(1, SIGTERM);
  EXPECT_EQ(cluster.Wait(1), -SIGTERM);
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(5));
  writer.join();
}

std::string ReadFile(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(std::string(HOLDFAST_SOURCE_FOLDER) + "/" + path).rdbuf();
  return text.str();
}

// What the files in deploy/ and the operator's page name is there to be seen.
TEST(OperateTest, EveryMetricThatIsNamedExists) {
  ProcessCluster cluster(3);
  cluster.SetFlags({"--checkpoint-rows", "10"});
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  testing::OpenAccount(cluster, "alice");
  testing::OpenAccount(cluster, "bob");
  TransferCaller http(cluster, 1, testing::Door::kHttp);
  TransferCaller grpc(cluster, 2, testing::Door::kGrpc);
  for (int i = 0; i < 10; ++i) {
    const std::string id = std::to_string(i);
    http.Transfer(testing::MakeTransfer("h" + id, "alice", "bob", 1), "");
    grpc.Transfer(testing::MakeTransfer("g" + id, "alice", "bob", 1), "");
  }
  std::string all;
  for (int node = 1; node <= cluster.size(); ++node) {
    HttpClient client(cluster.http(node));
    client.Get("/v1/ledger/accounts/alice");
    client.Post("/v1/ledger/transfers", "nonsense");
    const HttpReply page = client.Get("/metrics");
    EXPECT_EQ(page.status, 200);
    all += page.body;
  }
  const std::regex name("(?:holdfast|process)_[a-z_]*[a-z]");
  for (const char* path : {"deploy/grafana/holdfast.json", "deploy/prometheus.yml",
                           "deploy/alerts.yml", "docs/operations.md"}) {
    const std::string text = ReadFile(path);
    EXPECT_FALSE(text.empty()) << path;
    for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it) {
      EXPECT_NE(all.find("\n" + it->str()), std::string::npos) << it->str() << " in " << path;
    }
  }
}

TEST(OperateTest, TheExampleConfigurationIsFine) {
  ProcessCluster cluster(1);
  const std::string command = ProcessCluster::Program() + " config --check " +
                              std::string(HOLDFAST_SOURCE_FOLDER) + "/deploy/holdfast.toml";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace holdfast
