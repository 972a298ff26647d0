// Near caches against a whole node, over real sockets. What orders of events there are,
// coherence_test.cc has tried; here it is seen that the threads and calls do as it says.
#include "src/client/near_cache.h"

#include <absl/cleanup/cleanup.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "services/cache/cache.pb.h"
#include "services/sessions/sessions.pb.h"
#include "src/client/testing/fake_node.h"
#include "src/server/server.h"
#include "tests/support/free_ports.h"
#include "tests/support/temp_folder.h"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

class NearCacheTest : public ::testing::Test {
 protected:
  NearCacheTest() { Start(); }

  void Start() {
    ServerConfig config;
    config.data = folder_.path();
    config.grpc.port = grpc_port_;
    config.fatal = [](const std::string& why) { FAIL() << why; };
    auto server = Server::Start(std::move(config));
    ASSERT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
  }
  void Stop() { server_.reset(); }

  std::vector<std::string> Endpoints() const { return {"127.0.0.1:" + std::to_string(grpc_port_)}; }
  static NearCacheOptions Back(milliseconds write_back_after = milliseconds(60'000)) {
    NearCacheOptions options;
    options.writes = Writes::kBack;
    options.write_back_after = write_back_after;
    return options;
  }

  // What the cluster has, or "absent".
  std::string InCluster(const std::string& key) {
    cache::GetRequest request;
    request.set_key(key);
    CallOptions linearizable;
    linearizable.consistency = Consistency::kLinearizable;
    const auto reply =
        client_->Call<cache::Entry>("/holdfast.cache.Cache/Get", request, linearizable);
    return reply ? reply->message.value() + reply->message.data() : "absent";
  }
  void SetInCluster(const std::string& key, const std::string& value) {
    cache::SetRequest request;
    request.set_key(key);
    request.set_value(value);
    request.set_wait_ms(10'000);
    CallOptions patient;
    patient.timeout = milliseconds(20'000);
    const auto reply =
        client_->Call<cache::WriteReply>("/holdfast.cache.Cache/Set", request, patient);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->message.outcome(), cache::WriteOutcome::stored);
  }
  cache::StatsReply StatsOfCluster() {
    CallOptions linearizable;
    linearizable.consistency = Consistency::kLinearizable;
    return client_
        ->Call<cache::StatsReply>("/holdfast.cache.Cache/Stats", cache::StatsRequest(),
                                  linearizable)
        ->message;
  }
  // As an operator does, or the end of its lease.
  void EndOnlySession() {
    const auto open = client_->Call<sessions::ListReply>("/holdfast.sessions.Sessions/List",
                                                         sessions::ListRequest());
    ASSERT_EQ(open->message.sessions_size(), 1);
    EXPECT_EQ(open->message.sessions(0).name(), "near cache");
    sessions::CloseRequest close;
    close.set_id(open->message.sessions(0).id());
    ASSERT_TRUE(client_->Call<sessions::SessionReply>("/holdfast.sessions.Sessions/Close", close));
  }
  template <class Condition>
  static bool Eventually(Condition condition) {
    const auto deadline = Clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (Clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  static std::string Read(NearCache& cache, const std::string& key) {
    const auto value = cache.Get(key);
    EXPECT_TRUE(value) << (value ? "" : value.error().message);
    return !value ? "error" : value->found ? value->bytes : "absent";
  }

  holdfast::testing::TempFolder folder_;
  const uint16_t grpc_port_ = holdfast::testing::FreePorts(1).front();  // Of every start.
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;

  void SetUp() override { client_ = std::make_unique<Client>(Endpoints()); }
};

TEST_F(NearCacheTest, WhatWasReadOnceIsReadFromHere) {
  SetInCluster("k", "x");
  NearCache near(*client_);
  EXPECT_EQ(Read(near, "k"), "x");
  EXPECT_EQ(Read(near, "none"), "absent");
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Read(near, "k"), "x");
    EXPECT_EQ(Read(near, "none"), "absent");
  }
  EXPECT_EQ(near.stats().misses, 2u);
  EXPECT_EQ(near.stats().hits, 200u);
  EXPECT_EQ(near.stats().lines, 2u);
}

TEST_F(NearCacheTest, AWriteIsDoneWhenNobodyReadsTheOldValueAnyMore) {
  NearCache a(*client_), b(*client_);
  for (int i = 0; i < 20; ++i) {
    const std::string value = std::to_string(i);
    ASSERT_TRUE(a.Set("k", value));
    EXPECT_EQ(Read(b, "k"), value);
    EXPECT_EQ(Read(a, "k"), value);
    ASSERT_TRUE(b.Set("k", value + "b"));
    EXPECT_EQ(Read(a, "k"), value + "b");
    EXPECT_EQ(InCluster("k"), value + "b");
  }
  SetInCluster("k", "by nobody");
  EXPECT_EQ(Read(a, "k"), "by nobody");
  EXPECT_EQ(Read(b, "k"), "by nobody");
  ASSERT_TRUE(a.Erase("k"));
  EXPECT_EQ(Read(b, "k"), "absent");
}

TEST_F(NearCacheTest, BytesAndTimeToLiveComeThrough) {
  constexpr milliseconds kTimeToLive(300);
  NearCache a(*client_), b(*client_);
  const std::string bytes("\0\xff\x80", 3);
  std::string key, read;
  Clock::duration took = kTimeToLive;
  // Again where the machine had so much else to do that the value may be gone by right.
  for (int i = 0; i < 20 && took >= kTimeToLive; ++i) {
    key = "k" + std::to_string(i);
    const auto began = Clock::now();
    ASSERT_TRUE(a.Set(key, bytes, kTimeToLive));
    read = Read(b, key);
    took = Clock::now() - began;
  }
  EXPECT_LT(took, kTimeToLive);
  EXPECT_EQ(read, bytes);
  EXPECT_TRUE(Eventually([&] { return Read(a, key) == "absent" && Read(b, key) == "absent"; }));
}

TEST_F(NearCacheTest, WhatIsWrittenBackIsSeenByAllWhoAsk) {
  NearCache a(*client_, Back()), b(*client_, Back());
  ASSERT_TRUE(a.Set("k", "1"));
  ASSERT_TRUE(a.Set("k", "2"));
  EXPECT_EQ(InCluster("k"), "absent") << "still here only";
  EXPECT_EQ(Read(b, "k"), "2");
  EXPECT_EQ(InCluster("k"), "2");
  EXPECT_EQ(Read(a, "k"), "2");
  ASSERT_TRUE(b.Set("k", "3"));
  EXPECT_EQ(Read(a, "k"), "3");
  ASSERT_TRUE(b.Erase("k"));
  EXPECT_EQ(Read(a, "k"), "absent");
}

TEST_F(NearCacheTest, WhatIsModifiedIsWrittenBackInTimeAndByClose) {
  NearCache a(*client_, Back(milliseconds(1)));
  ASSERT_TRUE(a.Set("k", "soon"));
  EXPECT_TRUE(Eventually([&] { return InCluster("k") == "soon"; }));
  NearCache b(*client_, Back());
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(b.Set("b" + std::to_string(i), "closed"));
  EXPECT_EQ(InCluster("b7"), "absent");
  EXPECT_TRUE(b.Close());
  for (int i = 0; i < 50; ++i) EXPECT_EQ(InCluster("b" + std::to_string(i)), "closed");
  EXPECT_EQ(b.Set("b0", "late").error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(b.Get("b0").error().code, ErrorCode::kUnavailable);
}

TEST_F(NearCacheTest, LinesAreBoundedAndWhatIsEvictedIsReleased) {
  NearCacheOptions options = Back();
  options.lines_max = 10;
  NearCache near(*client_, options);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(near.Set(std::to_string(i), "v"));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Read(near, std::to_string(i)), "v");
  EXPECT_TRUE(Eventually([&] { return near.stats().lines <= 10; }));
  EXPECT_GE(near.stats().evictions, 90u);
  EXPECT_TRUE(Eventually([&] { return StatsOfCluster().lines() <= 10; }));
  EXPECT_EQ(near.stats().lost, 0u);
}

TEST_F(NearCacheTest, BytesAreBounded) {
  NearCacheOptions options;
  options.bytes_max = 1 << 20;
  NearCache near(*client_, options);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(near.Set(std::to_string(i), std::string(100'000, 'v')));
  EXPECT_LE(near.stats().bytes, size_t{1} << 20);
  EXPECT_GE(near.stats().lines, 5u);
}

TEST_F(NearCacheTest, WhatIsTooLargeIsRefusedHere) {
  NearCache near(*client_);
  EXPECT_EQ(near.Set("", "v").error().field, "key");
  EXPECT_EQ(near.Set(std::string(257, 'k'), "v").error().field, "key");
  EXPECT_EQ(near.Set("k", std::string((1 << 20) + 1, 'v')).error().code, ErrorCode::kTooLarge);
  EXPECT_TRUE(near.Set("k", std::string(1 << 20, 'v')));
}

TEST_F(NearCacheTest, NothingIsServedPastTheLease) {
  NearCacheOptions options;
  options.session_ttl = milliseconds(1'000);
  options.timeout = milliseconds(1'000);
  NearCache near(*client_, options);
  ASSERT_TRUE(Eventually([&] { return near.Set("k", "x").has_value(); }));
  Stop();
  const auto stopped = Clock::now();
  auto last_served = stopped;
  for (;;) {
    const auto asked = Clock::now();
    const auto value = near.Get("k");
    if (!value) {
      EXPECT_EQ(value.error().code, ErrorCode::kUnavailable);
      break;
    }
    EXPECT_EQ(value->bytes, "x");
    last_served = asked;
  }
  // The last sign of life that was answered was sent before the node had stopped.
  EXPECT_LT(last_served, stopped + options.session_ttl);
  Start();
  EXPECT_TRUE(Eventually([&] {
    const auto value = near.Get("k");
    return value && value->bytes == "x";
  }));
}

TEST_F(NearCacheTest, WhatCannotBeWrittenBackIsTold) {
  std::atomic<int> lost{0};
  NearCacheOptions options = Back();
  options.session_ttl = milliseconds(1'000);
  options.timeout = milliseconds(500);
  options.lost = [&](const std::string& key) { lost += key == "k" ? 1 : 100; };
  NearCache near(*client_, options);
  ASSERT_TRUE(Eventually([&] { return near.Set("k", "x").has_value(); }));
  Stop();
  EXPECT_TRUE(Eventually([&] { return lost == 1; }));
  EXPECT_EQ(near.stats().lost, 1u);
  Start();
}

TEST_F(NearCacheTest, ASessionThatWasEndedLosesNothingThatNobodyHasReplaced) {
  SetInCluster("k", "old");
  SetInCluster("other", "old");
  NearCache near(*client_, Back());
  ASSERT_TRUE(near.Set("k", "x"));
  ASSERT_TRUE(near.Set("other", "y"));
  EXPECT_EQ(InCluster("k"), "old");
  EndOnlySession();
  EXPECT_TRUE(Eventually([&] { return InCluster("k") == "x" && InCluster("other") == "y"; }));
  EXPECT_EQ(Read(near, "k"), "x");
  EXPECT_EQ(near.stats().lost, 0u);
}

// The cluster cannot tell a key that was deleted from one that never was.
TEST_F(NearCacheTest, ADeletedKeyIsNotBroughtBackByASessionThatWasEnded) {
  std::atomic<int> lost{0};
  NearCacheOptions options = Back();
  options.lost = [&](const std::string& key) { lost += key == "k" ? 1 : 100; };
  NearCache near(*client_, options);
  ASSERT_TRUE(near.Set("k", "x"));
  EndOnlySession();
  cache::DeleteRequest request;
  request.set_key("k");
  request.set_wait_ms(10'000);
  const auto gone = client_->Call<cache::WriteReply>("/holdfast.cache.Cache/Delete", request);
  ASSERT_TRUE(gone) << gone.error().message;
  EXPECT_TRUE(Eventually([&] { return lost == 1; }));
  EXPECT_EQ(InCluster("k"), "absent");
  EXPECT_EQ(Read(near, "k"), "absent");
}

// The first to hear of a session's end may be a fetch.
TEST(NearCacheOverAFakeNodeTest, AFetchThatFindsTheSessionEndedAsksAgainUnderTheNextOne) {
  enum : uint32_t {
    kSessionsService = 3,
    kOpen = 1,
    kCacheService = 6,
    kFetch = 12,
    kWriteBack = 16
  };
  std::atomic<uint64_t> sessions{0};
  testing::FakeNode node([&](const PipeRequest& request) -> testing::Answer {
    if (request.service() == kSessionsService) {
      sessions::SessionReply reply;
      reply.set_outcome(request.method() == kOpen ? sessions::SessionOutcome::opened
                                                  : sessions::SessionOutcome::kept);
      reply.set_id(request.method() == kOpen ? ++sessions : 0);
      return {.body = reply.SerializeAsString()};
    }
    if (request.service() == kCacheService && request.method() == kWriteBack) {
      cache::WriteBackReply reply;
      reply.set_outcome(cache::WriteBackOutcome::written);
      return {.body = reply.SerializeAsString()};
    }
    if (request.service() != kCacheService || request.method() != kFetch) return testing::Never();
    cache::FetchRequest fetch;
    EXPECT_TRUE(fetch.ParseFromString(request.body()));
    cache::FetchReply reply;
    if (fetch.session() % 2 == 1) {
      reply.set_outcome(cache::FetchOutcome::session_not_found);
    } else {
      reply.set_outcome(cache::FetchOutcome::fetched);
      reply.set_mode(cache::exclusive);
      reply.set_found(true);
      reply.mutable_entry()->set_value("x");
    }
    return {.body = reply.SerializeAsString()};
  });
  Client client({node.address()});
  for (const bool write : {false, true}) {
    NearCacheOptions options;
    options.writes = Writes::kBack;
    options.write_back_after = milliseconds(60'000);
    NearCache near(client, options);
    if (write) {
      const auto set = near.Set("k", "y");
      EXPECT_TRUE(set) << set.error().message;
    }
    const auto got = near.Get("k");
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->bytes, write ? "y" : "x");
  }
  EXPECT_EQ(sessions, 4u);
}

// One writer for each key counts up; nobody may ever read less than what was acknowledged before it
// asked. Half of the near caches write back.
TEST_F(NearCacheTest, NobodyReadsWhatIsOlderThanAnAcknowledgedWrite) {
  constexpr int kKeys = 4;
  constexpr int kWrites = 60;
  std::array<std::atomic<int>, kKeys> acknowledged{};
  NearCache through(*client_), through2(*client_), back(*client_, Back(milliseconds(5))),
      back2(*client_, Back(milliseconds(5)));
  const std::array<NearCache*, 4> caches{&through, &through2, &back, &back2};
  std::array<std::atomic<int>, kKeys> reads{};
  std::atomic<int> writing{kKeys};
  std::atomic<int> old{0};
  const auto read = [&](NearCache& cache, size_t key) {
    const int before = acknowledged[key];
    const auto value = cache.Get("key" + std::to_string(key));
    ++reads[key];
    reads[key].notify_one();
    ASSERT_TRUE(value) << value.error().message;
    if ((value->found ? std::stoi(value->bytes) : 0) < before) ++old;
  };
  std::vector<std::thread> threads;
  for (size_t key = 0; key < kKeys; ++key) {
    threads.emplace_back([&, key] {
      const absl::Cleanup ended = [&writing] { --writing; };  // Also where it fails.
      for (int i = 1; i <= kWrites; ++i) {
        NearCache& cache = *caches[(key + static_cast<size_t>(i) / 8) % caches.size()];
        const auto done = cache.Set("key" + std::to_string(key), std::to_string(i));
        ASSERT_TRUE(done) << done.error().message;
        acknowledged[key] = i;
        // One read at least begins between two writes, however few of the threads run at once: of
        // two that end, the first may have begun before.
        const int over = reads[key] + 2;
        for (int seen = reads[key]; seen < over; seen = reads[key]) reads[key].wait(seen);
      }
    });
  }
  for (size_t reader = 0; reader < caches.size(); ++reader) {
    threads.emplace_back([&, reader] {
      for (size_t i = 0; writing > 0; ++i) read(*caches[reader], i % kKeys);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(old, 0);
  for (NearCache* cache : caches) EXPECT_TRUE(cache->Close());
  for (size_t key = 0; key < kKeys; ++key) {
    EXPECT_EQ(InCluster("key" + std::to_string(key)), std::to_string(kWrites));
  }
}

// What went wrong: a write that had to ask again did so as another write, and a node that still
// waited with the first one carried that out as well, later, over what others had written since.
TEST(NearCacheCallsTest, AWriteThatHasToAskAgainIsTheSameWrite) {
  constexpr uint32_t kCache = 6;
  constexpr uint32_t kSet = 1;
  std::atomic<int> sets{0};
  testing::FakeNode node([&](const PipeRequest& request) -> testing::Answer {
    if (request.service() != kCache) {
      sessions::SessionReply opened;
      opened.set_outcome(sessions::SessionOutcome::opened);
      opened.set_id(7);
      return {.body = opened.SerializeAsString()};
    }
    if (request.method() != kSet) return testing::Never();
    cache::WriteReply reply;
    reply.set_outcome(++sets < 3 ? cache::WriteOutcome::free : cache::WriteOutcome::stored);
    return {.body = reply.SerializeAsString()};
  });
  Client client({node.address()});
  NearCache near(client);
  EXPECT_TRUE(near.Set("k", "x"));
  std::vector<PipeRequest> seen;
  for (const PipeRequest& request : node.seen()) {
    if (request.service() == kCache && request.method() == kSet) seen.push_back(request);
  }
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_NE(seen[0].idempotency_key(), "");
  for (const PipeRequest& request : seen) {
    EXPECT_EQ(request.idempotency_key(), seen[0].idempotency_key());
    EXPECT_EQ(request.body(), seen[0].body());
  }
}

}  // namespace
}  // namespace holdfast::client
