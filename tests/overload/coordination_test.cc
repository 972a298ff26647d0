// What coordination leaves behind with clients that never give anything back: locks that nobody
// releases, a queue that is full, a consumer that never acks, and watchers that never read. On one
// node, whose memory is looked at from outside: it is bounded by the store's delta and caches, not
// by how much is held or queued. What is left behind ends by itself, and all else goes on.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <memory>
#include <mutex>
#include <utility>

#include "services/locks/locks.pb.h"
#include "services/queues/queues.pb.h"
#include "src/base/bounds.h"
#include "src/client/client.h"
#include "tests/overload/overload_fixture.h"
#include "tests/support/raw_connection.h"

namespace holdfast {
namespace {

using namespace testing;  // NOLINT: the fixture of these tests.
using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

constexpr char kLocks[] = "/holdfast.locks.Locks/";
constexpr char kQueues[] = "/holdfast.queues.Queues/";

// What all of it together may take: delta, caches of rows, RocksDB's block cache, and an idle
// node's 60 MiB. A million messages are 400 MB of log and rows.
constexpr uint64_t kMemoryBytesMax = 600 << 20;

class CoordinationTest : public ::testing::Test {
 protected:
  CoordinationTest() : cluster_(1) {}

  void SetUp() override {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.WaitHealthy()) << cluster_.LogOf(1);
    client::Options options;
    options.timeout = seconds(60);
    options.attempt_timeout = seconds(60);  // There is no other node to ask.
    client_ = std::make_unique<client::Client>(
        std::vector<std::string>{"127.0.0.1:" + std::to_string(cluster_.grpc(1))}, options);
    before_ = Memory();
  }

  template <class Reply>
  Reply Call(const std::string& method, const google::protobuf::Message& request) {
    auto reply = client_->Call<Reply>(method, request);
    EXPECT_TRUE(reply) << method << ": " << reply.error().message;
    return reply ? std::move(reply->message) : Reply();
  }

  // Makes requests 0 to `count`, so many of them under way at once. How many of the replies are
  // good.
  template <class Reply>
  int CallAll(const std::string& method, int count, int at_once,
              const std::function<std::unique_ptr<google::protobuf::Message>(int)>& make,
              const std::function<bool(const Reply&)>& good) {
    std::mutex mutex;
    std::condition_variable changed;
    int under_way = 0, found = 0;
    for (int i = 0; i < count; ++i) {
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return under_way < at_once; });
        ++under_way;
      }
      client_->CallAsync<Reply>(method, *make(i), {}, [&](Result<client::TypedReply<Reply>> reply) {
        std::lock_guard lock(mutex);
        --under_way;
        found += reply && good(reply->message) ? 1 : 0;
        changed.notify_all();
      });
    }
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return under_way == 0; });
    return found;
  }

  uint64_t Memory() const { return MemoryOfProcess(cluster_.pid(1), "VmRSS:"); }
  uint64_t PeakMemory() const { return MemoryOfProcess(cluster_.pid(1), "VmHWM:"); }
  uint64_t Grown() const { return Memory() > before_ ? Memory() - before_ : 0; }

  void CreateQueue(queues::CreateRequest request) {
    request.set_name("orders");
    EXPECT_EQ(Call<queues::QueueReply>(std::string(kQueues) + "Create", request).outcome(),
              queues::QueueOutcome::created);
  }
  queues::PublishReply Publish(const std::string& id) {
    queues::PublishRequest request;
    request.set_queue("orders");
    request.set_message_id(id);
    request.set_payload(std::string(100, 'x'));
    return Call<queues::PublishReply>(std::string(kQueues) + "Publish", request);
  }
  void PublishMany(int count) {
    const int published = CallAll<queues::PublishBatchReply>(
        std::string(kQueues) + "PublishBatch", count / 1'000, 8,
        [](int batch) {
          auto request = std::make_unique<queues::PublishBatchRequest>();
          request->set_queue("orders");
          for (int i = 0; i < 1'000; ++i) {
            auto* message = request->add_messages();
            const int number = batch * 1'000 + i;
            message->set_message_id("m" + std::to_string(number));
            message->set_payload(std::string(100, 'x'));
            if (number % 2 == 0) message->set_key("k" + std::to_string(number % 20'000));
          }
          return request;
        },
        [](const queues::PublishBatchReply& reply) {
          for (const auto& result : reply.results()) {
            if (result.outcome() != queues::PublishOutcome::published) return false;
          }
          return reply.results_size() == 1'000;
        });
    EXPECT_EQ(published, count / 1'000);
  }
  queues::PullReply Pull(uint32_t max, uint32_t wait_ms = 0, uint32_t visibility_seconds = 0) {
    queues::PullRequest request;
    request.set_queue("orders");
    request.set_max(max);
    request.set_wait_ms(wait_ms);
    request.set_visibility_seconds(visibility_seconds);
    return Call<queues::PullReply>(std::string(kQueues) + "Pull", request);
  }
  int Ack(const queues::PullReply& pulled) {
    queues::AckRequest request;
    request.set_queue("orders");
    for (const auto& message : pulled.messages()) request.add_deliveries(message.delivery());
    const auto reply = Call<queues::AckReply>(std::string(kQueues) + "Ack", request);
    int acked = 0;
    for (const auto& result : reply.results()) {
      acked += result.outcome() == queues::AckOutcome::acked ? 1 : 0;
    }
    return acked;
  }

  ProcessCluster cluster_;
  std::unique_ptr<client::Client> client_;
  uint64_t before_ = 0;
};

TEST_F(CoordinationTest, AHundredThousandLocksThatNobodyReleases) {
  constexpr int kHeld = 100'000;
  constexpr uint64_t kBytesEach = 2'048;  // With the reply that is kept under its idempotency key.
  const auto name = [](int number) { return "resource-" + std::to_string(number); };
  const auto owner = [](int number) { return "client-" + std::to_string(number); };
  const auto acquire = [&](int number, const std::string& who, uint32_t wait_ms) {
    auto request = std::make_unique<locks::AcquireRequest>();
    request->set_name(name(number));
    request->set_owner(who);
    request->set_ttl_ms(3'600'000);
    request->set_wait_ms(wait_ms);
    return request;
  };
  const int held = CallAll<locks::AcquireReply>(
      std::string(kLocks) + "Acquire", kHeld, 4'096,
      [&](int number) { return acquire(number, owner(number), 0); },
      [](const locks::AcquireReply& reply) {
        return reply.outcome() == locks::AcquireOutcome::granted;
      });
  ASSERT_EQ(held, kHeld);
  std::cout << kHeld << " locks held: " << Grown() / kHeld << " bytes each, with all else\n";
  EXPECT_LT(Grown(), kHeld * kBytesEach);

  // Everything works as with none.
  EXPECT_EQ(
      Call<locks::AcquireReply>(std::string(kLocks) + "Acquire", *acquire(7, "other", 0)).outcome(),
      locks::AcquireOutcome::lock_held);
  EXPECT_EQ(Call<locks::AcquireReply>(std::string(kLocks) + "Acquire", *acquire(kHeld, "other", 0))
                .outcome(),
            locks::AcquireOutcome::granted);

  // Their holders are gone, and the leases end: all of them, whatever else there is.
  const int shortened = CallAll<locks::ExtendReply>(
      std::string(kLocks) + "Extend", kHeld, 4'096,
      [&](int number) {
        auto request = std::make_unique<locks::ExtendRequest>();
        request->set_name(name(number));
        request->set_owner(owner(number));
        request->set_ttl_ms(1'000);
        return request;
      },
      [](const locks::ExtendReply& reply) {
        return reply.outcome() == locks::ExtendOutcome::extended;
      });
  EXPECT_EQ(shortened, kHeld);
  const auto began = Clock::now();
  EXPECT_EQ(Call<locks::AcquireReply>(std::string(kLocks) + "Acquire",
                                      *acquire(kHeld - 1, "other", 30'000))
                .outcome(),
            locks::AcquireOutcome::granted);
  // The others may be some entries later: 1,024 timers fire with each. As long as some end, the
  // first of those that are listed changes now and then.
  locks::ListReply left;
  std::string first;
  for (auto until = Clock::now() + seconds(30); Clock::now() < until;) {
    locks::ListRequest list;
    list.set_limit(1'000);
    left = Call<locks::ListReply>(std::string(kLocks) + "List", list);
    if (left.holders_size() <= 2) break;
    if (std::exchange(first, left.holders(0).name()) != left.holders(0).name()) {
      until = Clock::now() + seconds(30);
    }
  }
  EXPECT_EQ(left.holders_size(), 2) << "those of the other owner";
  std::cout << "they ended " << std::chrono::duration<double>(Clock::now() - began).count()
            << " s after the last one was shortened to 1 s\n";
}

TEST_F(CoordinationTest, ALineOfAThousandForOneLock) {
  constexpr int kInLine = static_cast<int>(bounds::kLockWaitersMax);
  constexpr uint32_t kWaitMs = 50'000;
  const auto acquire = [](const std::string& owner) {
    locks::AcquireRequest request;
    request.set_name("one");
    request.set_owner(owner);
    request.set_ttl_ms(3'600'000);
    request.set_wait_ms(kWaitMs);
    return request;
  };
  const auto release = [](const std::string& owner) {
    locks::ReleaseRequest request;
    request.set_name("one");
    request.set_owner(owner);
    return request;
  };
  const std::string kAcquire = std::string(kLocks) + "Acquire";
  const std::string kRelease = std::string(kLocks) + "Release";
  ASSERT_EQ(Call<locks::AcquireReply>(kAcquire, acquire("first")).outcome(),
            locks::AcquireOutcome::granted);
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<int> served;
  int ended = 0;
  const auto began = Clock::now();
  for (int i = 0; i < kInLine; ++i) {
    const std::string owner = "client-" + std::to_string(i);
    client_->CallAsync<locks::AcquireReply>(
        kAcquire, acquire(owner), {},
        [&, i, owner](Result<client::TypedReply<locks::AcquireReply>> reply) {
          const bool granted = reply && reply->message.outcome() == locks::AcquireOutcome::granted;
          if (granted) {
            std::lock_guard lock(mutex);
            served.push_back(i);
          }
          client_->CallAsync<locks::ReleaseReply>(
              kRelease, release(owner), {},
              [&](const Result<client::TypedReply<locks::ReleaseReply>>&) {
                std::lock_guard ending(mutex);
                ++ended;
                changed.notify_all();
              });
        });
  }
  // It comes after all of them, and the line is full.
  EXPECT_EQ(Call<locks::AcquireReply>(kAcquire, acquire("late")).outcome(),
            locks::AcquireOutcome::too_many_waiters);
  const double lined_up = std::chrono::duration<double>(Clock::now() - began).count();
  EXPECT_EQ(Call<locks::ReleaseReply>(kRelease, release("first")).outcome(),
            locks::ReleaseOutcome::released);
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return ended == kInLine; });
  EXPECT_TRUE(std::is_sorted(served.begin(), served.end())) << "first come, first served";
  EXPECT_GT(served.size(), 100u);
  // Who has waited for too long leaves the line, on a machine that is too slow for all of them.
  if (Clock::now() - began < std::chrono::milliseconds(kWaitMs)) {
    EXPECT_EQ(served.size(), static_cast<size_t>(kInLine));
  }
  std::cout << kInLine << " stood in line after " << lined_up << " s, and were served after "
            << std::chrono::duration<double>(Clock::now() - began).count() << " s\n";
}

TEST_F(CoordinationTest, AMillionMessagesInAQueue) {
  constexpr int kMessages = 1'000'000;  // As many as a queue keeps by default.
  CreateQueue({});
  PublishMany(kMessages);
  std::cout << kMessages << " messages: " << (Grown() >> 20) << " MiB more, "
            << (PeakMemory() >> 20) << " MiB at most\n";
  EXPECT_LT(PeakMemory(), kMemoryBytesMax);

  EXPECT_EQ(Publish("one more").outcome(), queues::PublishOutcome::queue_full);
  EXPECT_EQ(Publish("m1").outcome(), queues::PublishOutcome::already_published);
  const auto pulled = Pull(1'000);
  ASSERT_EQ(pulled.messages_size(), 1'000);
  EXPECT_EQ(pulled.messages(0).sequence(), 1u) << "first come, first served";
  EXPECT_EQ(Ack(pulled), 1'000);
  EXPECT_EQ(Publish("one more").outcome(), queues::PublishOutcome::published);
  queues::StatsRequest stats;
  stats.set_queue("orders");
  EXPECT_EQ(Call<queues::StatsReply>(std::string(kQueues) + "Stats", stats).messages(),
            kMessages - 1'000 + 1u);

  // It starts again with all of them, and takes no more.
  cluster_.Kill(1);
  cluster_.StartAll();
  ASSERT_TRUE(cluster_.WaitHealthy());
  EXPECT_EQ(Call<queues::StatsReply>(std::string(kQueues) + "Stats", stats).messages(),
            kMessages - 1'000 + 1u);
  EXPECT_EQ(Ack(Pull(100)), 100);
  std::cout << "started again: " << (PeakMemory() >> 20) << " MiB at most\n";
  EXPECT_LT(PeakMemory(), kMemoryBytesMax);
}

TEST_F(CoordinationTest, AConsumerThatNeverAcks) {
  constexpr int kOut = static_cast<int>(bounds::kQueueInFlightMax);
  queues::CreateRequest create;
  create.set_visibility_seconds(3'600);
  CreateQueue(create);
  PublishMany(2 * kOut);
  int out = 0;
  while (true) {
    const auto pulled = Pull(1'000);
    if (pulled.outcome() == queues::PullOutcome::too_many_in_flight) break;
    ASSERT_EQ(pulled.outcome(), queues::PullOutcome::pulled);
    out += pulled.messages_size();
  }
  EXPECT_EQ(out, kOut);
  EXPECT_EQ(Publish("goes on").outcome(), queues::PublishOutcome::published);
  EXPECT_LT(Grown(), 200u << 20);

  // Another queue does not notice; and what runs out of time comes again.
  queues::CreateRequest other;
  other.set_name("other");
  EXPECT_EQ(Call<queues::QueueReply>(std::string(kQueues) + "Create", other).outcome(),
            queues::QueueOutcome::created);
  queues::PurgeRequest purge;
  purge.set_name("orders");
  EXPECT_EQ(Call<queues::QueueReply>(std::string(kQueues) + "Purge", purge).outcome(),
            queues::QueueOutcome::purged);
  ASSERT_EQ(Publish("left").outcome(), queues::PublishOutcome::published);
  const auto first = Pull(1, 0, 1);
  ASSERT_EQ(first.messages_size(), 1);
  const auto again = Pull(1, 20'000);
  ASSERT_EQ(again.messages_size(), 1);
  EXPECT_EQ(again.messages(0).message_id(), "left");
  EXPECT_EQ(again.messages(0).attempt(), 2u);
  EXPECT_EQ(Ack(first), 0) << "it belongs to somebody else now";
  EXPECT_EQ(Ack(again), 1);
}

// Each asks to be told, many times over, and never reads what it is told.
TEST_F(CoordinationTest, WatchersThatNeverRead) {
  constexpr size_t kWatchers = 500;
  constexpr size_t kAsked = 20;
  RaiseFiles();
  CreateQueue({});
  std::string questions;
  for (size_t i = 0; i < kAsked; ++i) {
    questions += HttpRequestText("GET", "/v1/queues/orders:await?wait_ms=60000", "");
  }
  std::vector<std::unique_ptr<RawConnection>> watchers;
  for (size_t i = 0; i < kWatchers; ++i) {
    watchers.push_back(std::make_unique<RawConnection>(cluster_.http(1)));
    ASSERT_TRUE(watchers.back()->Send(questions));
  }
  // Each message wakes all that wait, and is taken at once, so that they wait for the next.
  for (size_t i = 0; i < kAsked; ++i) {
    ASSERT_EQ(Publish(std::to_string(i)).outcome(), queues::PublishOutcome::published);
    EXPECT_EQ(Ack(Pull(1)), 1);
  }
  std::cout << kWatchers << " watchers: " << (Grown() >> 10) / kWatchers
            << " KiB each, with all else\n";
  EXPECT_LT(Grown(), kWatchers * (128 << 10));
  EXPECT_EQ(HttpClient(cluster_.http(1)).Get("/health").status, 200);
}

}  // namespace
}  // namespace holdfast
