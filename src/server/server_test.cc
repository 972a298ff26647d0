// Whole nodes in one process, over real sockets and files.
#include "src/server/server.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "tests/support/http_client.h"
#include "tests/support/temp_folder.h"

namespace holdfast {
namespace {

using testing::HttpClient;
using testing::HttpReply;
using testing::JsonField;

ServerConfig AloneIn(const std::string& folder) {
  ServerConfig config;
  config.data = folder;
  config.fatal = [](const std::string& why) { FAIL() << why; };
  return config;
}

TEST(ServerTest, OneNodeServesAndRemembers) {
  testing::TempFolder folder;
  {
    auto server = Server::Start(AloneIn(folder.path()));
    ASSERT_TRUE(server) << server.error().message;
    HttpClient client((*server)->http_port());
    HttpReply added = client.Post("/v1/counters/visits:add", R"({"amount": 3})");
    EXPECT_EQ(added.status, 200) << added.body;
    EXPECT_EQ(client.Get("/health").status, 200);
    (*server)->Stop(std::chrono::seconds(5));
  }
  auto server = Server::Start(AloneIn(folder.path()));
  ASSERT_TRUE(server) << server.error().message;
  HttpClient client((*server)->http_port());
  HttpReply read = client.Get("/v1/counters/visits");
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(JsonField(read.body, "value"), "3") << read.body;
}

// A call that waits for a message would otherwise hold the stop until its connection is cut off.
TEST(ServerTest, AStopAnswersWhoWaits) {
  testing::TempFolder folder;
  auto server = Server::Start(AloneIn(folder.path()));
  ASSERT_TRUE(server) << server.error().message;
  HttpClient client((*server)->http_port());
  ASSERT_EQ(client.Post("/v1/queues", R"({"name": "q"})").status, 201);
  const auto applied = [&] { return JsonField(client.Get("/status").body, "applied"); };
  const std::string before = applied();
  HttpReply pulled;
  std::thread caller([&, port = (*server)->http_port()] {
    HttpClient other(port, std::chrono::seconds(40));
    pulled = other.Post("/v1/queues/q:pull", R"({"wait_ms": 30000})");
  });
  while (applied() == before) std::this_thread::yield();  // It has looked once.
  const auto began = std::chrono::steady_clock::now();
  (*server)->Stop(std::chrono::seconds(20));
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(15));
  caller.join();
  EXPECT_EQ(pulled.status, 200) << pulled.body;
  EXPECT_EQ(JsonField(pulled.body, "outcome"), "empty") << pulled.body;
}

// The value of one line of the exposition format; -1 when it is not there.
double MetricOf(const std::string& text, const std::string& series) {
  const size_t at = text.find("\n" + series + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
}

TEST(ServerTest, MetricsTellWhatHappened) {
  testing::TempFolder folder;
  ServerConfig config = AloneIn(folder.path());
  config.checkpoint_rows = 20;
  auto server = Server::Start(std::move(config));
  ASSERT_TRUE(server) << server.error().message;
  HttpClient client((*server)->http_port());
  for (int i = 0; i < 30; ++i) {
    client.Post("/v1/counters/c" + std::to_string(i) + ":add", R"({"amount": 3})");
  }
  client.Post("/v1/counters/c1:add", "nonsense");
  EXPECT_EQ(client.Get("/v1/counters/c1").status, 200);
  const HttpReply page = client.Get("/metrics");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const auto value = [&page](const std::string& series) { return MetricOf(page.body, series); };
  const std::string add = "door=\"http\",service=\"counter\",method=\"Add\"";
  EXPECT_EQ(value("holdfast_requests_total{" + add + ",outcome=\"added\",status=\"200\"}"), 30);
  EXPECT_EQ(value("holdfast_request_seconds_count{" + add + "}"), 30);
  EXPECT_EQ(value("holdfast_requests_refused_total{door=\"http\",code=\"invalid_argument\"}"), 1);
  EXPECT_EQ(value("holdfast_is_leader"), 1);
  EXPECT_EQ(value("holdfast_ready"), 1);
  EXPECT_EQ(value("holdfast_leader_changes_total"), 1);
  EXPECT_GE(value("holdfast_log_committed_index"), 31);
  EXPECT_GE(value("holdfast_log_sync_seconds_count"), 1);
  EXPECT_GT(value("holdfast_log_written_bytes_total"), 1'000);
  EXPECT_GT(value("holdfast_log_disk_bytes"), 1'000);
  EXPECT_GT(value("holdfast_disk_free_bytes"), 0);
  EXPECT_GT(value("process_resident_memory_bytes"), 1'000'000);
  EXPECT_EQ(value("holdfast_entry_requests_sum"), 30);
}

TEST(ServerTest, HealthSaysWhy) {
  testing::TempFolder folder;
  auto server = Server::Start(AloneIn(folder.path()));
  ASSERT_TRUE(server) << server.error().message;
  HttpClient client((*server)->http_port());
  client.Post("/v1/counters/visits:add", R"({"amount": 1})");  // Answered once it leads for sure.
  for (const char* path : {"/health", "/health/ready", "/health/live"}) {
    EXPECT_EQ(client.Get(path).status, 200) << path;
  }
  const HttpReply health = client.Get("/health");
  EXPECT_EQ(JsonField(health.body, "is_live"), "true") << health.body;
  EXPECT_EQ(JsonField(health.body, "is_ready"), "true");
  EXPECT_EQ(JsonField(health.body, "reason"), "");
  const HttpReply status = client.Get("/status");
  for (const char* field : {"memory_bytes", "log_bytes", "disk_free_bytes", "first"}) {
    EXPECT_GT(std::stoull("0" + JsonField(status.body, field)), 0U) << field << status.body;
  }
}

TEST(ServerTest, LevelsOfTheLogChangeByACall) {
  testing::TempFolder folder;
  auto server = Server::Start(AloneIn(folder.path()));
  ASSERT_TRUE(server) << server.error().message;
  HttpClient client((*server)->http_port());
  HttpReply reply = client.Post("/v1/cluster/log", R"({"level": "raft=debug"})");
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(JsonField(reply.body, "raft"), "debug") << reply.body;
  EXPECT_EQ(JsonField(reply.body, "wal"), "info");
  reply = client.Post("/v1/cluster/log", R"({"level": "raft=loud"})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(JsonField(reply.body, "field"), "level");
  EXPECT_EQ(JsonField(client.Post("/v1/cluster/log", R"({"level": "info"})").body, "raft"), "info");
}

}  // namespace
}  // namespace holdfast
