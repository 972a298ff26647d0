// Two near caches while the leader dies: neither ever serves a value older than an acknowledged
// write.
#include "src/client/near_cache.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "tests/cluster/payment_load.h"

namespace holdfast {
namespace {

using testing::ProcessCluster;
using testing::RunFor;

// What was written to a key by one writer, in ascending numbers.
class Slot {
 public:
  explicit Slot(int number) : name_("k" + std::to_string(number)) {}

  struct View {
    std::string key;
    uint64_t acknowledged = 0;
  };
  View Look() {
    std::lock_guard lock(mutex_);
    return {name_ + "-" + std::to_string(generation_), acknowledged_};
  }
  void Acknowledge(uint64_t number) {
    std::lock_guard lock(mutex_);
    acknowledged_ = number;
  }
  // Nobody knows whether a write was done, and it may yet be, later: on with another key.
  void Abandon() {
    std::lock_guard lock(mutex_);
    ++generation_;
    acknowledged_ = 0;
  }

 private:
  std::mutex mutex_;
  const std::string name_;
  uint64_t generation_ = 0;
  uint64_t acknowledged_ = 0;
};

class NearCacheClusterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_ = std::make_unique<ProcessCluster>(3);
    cluster_->StartAll();
    ASSERT_TRUE(cluster_->WaitHealthy()) << cluster_->LogOf(1);
    for (int i = 0; i < 4; ++i) slots_.push_back(std::make_unique<Slot>(i));
  }

  std::unique_ptr<client::Client> MakeClient() const {
    std::vector<std::string> endpoints;
    for (int node = 1; node <= cluster_->size(); ++node) {
      endpoints.push_back("127.0.0.1:" + std::to_string(cluster_->grpc(node)));
    }
    return std::make_unique<client::Client>(std::move(endpoints));
  }

  void Write(client::NearCache& near, size_t first) {
    for (uint64_t number = 1; !stop_; ++number) {
      Slot& slot = *slots_[first + number % 2 * 2];
      if (near.Set(slot.Look().key, std::to_string(number))) {
        slot.Acknowledge(number);
        ++writes_;
      } else {
        slot.Abandon();
      }
    }
  }
  void Read(client::NearCache& near) {
    for (size_t i = 0; !stop_; ++i) {
      const Slot::View before = slots_[i % slots_.size()]->Look();
      const auto value = near.Get(before.key);
      if (!value) continue;  // Without contact it says so, rather than to answer from memory.
      const uint64_t number = value->found ? std::stoull(value->bytes) : 0;
      if (number >= before.acknowledged) continue;
      ADD_FAILURE() << before.key << " was " << before.acknowledged << ", and is read as "
                    << number;
      stop_ = true;
    }
  }

  // Within a minute, unless the test has failed before.
  template <class Condition>
  bool Eventually(Condition condition) const {
    const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition() && !stop_ && std::chrono::steady_clock::now() < until) {
      RunFor(std::chrono::milliseconds(20));
    }
    return condition();
  }

  std::unique_ptr<ProcessCluster> cluster_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> writes_{0};
};

TEST_F(NearCacheClusterTest, NeverServesAValueOlderThanAnAcknowledgedWriteWhileTheLeaderDies) {
  const auto client_a = MakeClient();
  const auto client_b = MakeClient();
  client::NearCacheOptions options;
  options.session_ttl = std::chrono::milliseconds(3'000);  // Some of the leases end meanwhile.
  client::NearCache a(*client_a, options), b(*client_b, options);
  std::vector<std::thread> threads;
  threads.emplace_back([&] { Write(a, 0); });
  threads.emplace_back([&] { Write(b, 1); });
  for (client::NearCache* near : {&a, &b}) threads.emplace_back([this, near] { Read(*near); });
  for (int round = 0; round < 3; ++round) {
    RunFor(std::chrono::seconds(2));
    const int leader = cluster_->WaitLeader();
    EXPECT_NE(leader, 0);
    if (leader == 0) break;
    cluster_->Kill(leader);
    const uint64_t before = writes_;
    RunFor(std::chrono::seconds(4));
    EXPECT_TRUE(Eventually([&] { return writes_ > before + 10; })) << "without it";
    cluster_->Start(leader);
  }
  for (const client::NearCache* near : {&a, &b}) {
    EXPECT_TRUE(Eventually([&] { return near->stats().hits > 100 && near->stats().recalls > 10; }));
  }
  stop_ = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace holdfast
