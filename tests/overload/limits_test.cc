// Callers that are idle, slow, gone, or never listen, and requests of the greatest size, many at
// once: each is bounded and let go, payments go on meanwhile, and memory stays where it is.
#include <chrono>
#include <iostream>
#include <memory>

#include "src/base/bounds.h"
#include "src/server/preflight.h"
#include "tests/overload/overload_fixture.h"
#include "tests/support/grpc_client.h"
#include "tests/support/raw_connection.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using namespace testing;

constexpr seconds kPatience{30};
constexpr double kSlowestMs = 5'000;  // A payment, on a machine that has other things to do.
using Connections = std::vector<std::unique_ptr<RawConnection>>;

class LimitsTest : public OverloadTest {
 protected:
  static constexpr int kNode = 1;

  void SetUp() override {
    RaiseFiles();
    term_ = cluster().Term();
    files_ = FilesOf(kNode);
    memory_ = MemoryOf(kNode);
  }
  static Connections Connect(size_t count) {
    Connections connections;
    for (size_t i = 0; i < count; ++i) {
      connections.push_back(std::make_unique<RawConnection>(cluster().http(kNode)));
    }
    return connections;
  }
  // Since SetUp.
  uint64_t MemoryGrown() const {
    const uint64_t now = MemoryOf(kNode);
    return now > memory_ ? now - memory_ : 0;
  }
  void ExpectPaid(SteadyPayer& payer) const {
    payer.Stop();
    EXPECT_EQ(payer.failure(), "");
    EXPECT_GT(payer.paid(), 10u);
    ExpectInterruptedByAnElection(payer.interrupted(), term_);
    EXPECT_LT(Quantile(payer.ms(), 0.99), kSlowestMs);
    std::cout << payer.ms().size() << " payments meanwhile, p50 " << Quantile(payer.ms(), 0.5)
              << " ms, p99 " << Quantile(payer.ms(), 0.99) << " ms\n";
  }

  uint64_t term_ = 0;
  size_t files_ = 0;
  uint64_t memory_ = 0;
};

TEST_F(LimitsTest, TenThousandIdleConnectionsHarmNobody) {
  // Fewer where a process may open fewer files; all but those of the payer and of this test.
  const size_t files = RaiseFiles();
  const size_t count =
      std::min({size_t{10'000}, files - 500, ShareFiles(files).http_connections - 50});
  SteadyPayer payer(cluster());
  {
    const Connections idle = Connect(count);
    ASSERT_TRUE(idle.back()->Send(HttpRequestText("GET", "/health", "")));
    EXPECT_EQ(idle.back()->ReadReply(kPatience).status, 200);
    EXPECT_GE(FilesOf(kNode), count);
    std::cout << count << " idle connections: " << (MemoryGrown() >> 10) / count
              << " KiB each, with all else that grew\n";
    EXPECT_LT(MemoryGrown(), count * (16 << 10) + (32 << 20));
    EXPECT_TRUE(payer.WaitPaid(payer.paid() + 11)) << "while they are there";
    ExpectPaid(payer);
  }
  EXPECT_TRUE(WaitForFiles(kNode, files_ + 50, kPatience)) << "closed ones are let go";
}

// One byte a second in the header or in the body; half a request and then nothing; a vast body
// that is announced and never comes; and answers that nobody reads.
TEST_F(LimitsTest, SlowSilentAndDeafCallersAreDropped) {
  constexpr size_t kEach = 100;
  SteadyPayer payer(cluster());
  const auto began = std::chrono::steady_clock::now();
  const Connections header = Connect(kEach), body = Connect(kEach), half = Connect(kEach),
                    vast = Connect(kEach), deaf = Connect(kEach);
  const std::string request = HttpRequestText("POST", "/v1/ledger/transfers", std::string(64, ' '));
  const size_t head = request.find("\r\n\r\n") + 4;
  for (const auto& one : body) one->Send(request.substr(0, head));
  for (const auto& one : half) one->Send(request.substr(0, head + 30));
  for (const auto& one : vast) {
    one->Send("POST /v1/ledger/transfers HTTP/1.1\r\nContent-Length: " +
              std::to_string(bounds::kHttpBodyBytesMax) + "\r\n\r\n" + std::string(1'000, ' '));
  }
  std::string pages;
  for (int i = 0; i < 400; ++i) pages += HttpRequestText("GET", "/openapi.json", "");
  for (const auto& one : deaf) one->Send(pages);

  uint64_t memory = 0;
  for (size_t i = 0;
       std::chrono::steady_clock::now() - began < milliseconds(bounds::kHttpReadMsMax) + seconds(4);
       ++i) {
    for (const auto& one : header) one->Send(request.substr(i % head, 1));
    for (const auto& one : body) one->Send(" ");
    memory = std::max(memory, MemoryGrown());
    RunFor(seconds(1));
  }
  for (const Connections* slow : {&header, &body, &half, &vast}) {
    for (const auto& one : *slow) {
      bool closed = false;
      const std::string said = one->ReadToEnd(milliseconds(5'000), &closed);
      EXPECT_TRUE(closed);
      // Told so; or, where more came afterwards, reset.
      EXPECT_TRUE(said.empty() || said.starts_with("HTTP/1.1 408 ")) << said;
    }
  }
  EXPECT_TRUE(WaitForFiles(kNode, files_ + 50, kPatience)) << "the deaf are dropped as well";
  std::cout << "memory grew by at most " << (memory >> 20) << " MiB\n";
  EXPECT_LT(memory, 128u << 20);
  ExpectPaid(payer);
}

TEST_F(LimitsTest, CallersThatVanishAreLetGo) {
  SteadyPayer payer(cluster());
  const std::string payment = HttpRequestText(
      "POST", "/v1/ledger/transfers", R"({"id":"gone","from":"payer","to":"payee","amount":1})");
  // Until there were payments meanwhile, however little the payer gets of the machine.
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (int i = 0; i < 10 || (payer.paid() < 11 && std::chrono::steady_clock::now() < until); ++i) {
    Connections silent = Connect(100), half = Connect(100), asked = Connect(100);
    for (const auto& one : half) one->Send(payment.substr(0, payment.size() / 2));
    for (const auto& one : asked) one->Send(payment);
    for (Connections* gone : {&silent, &half, &asked}) {
      for (const auto& one : *gone) one->Reset();
    }
  }
  EXPECT_TRUE(WaitForFiles(kNode, files_ + 50, kPatience));
  EXPECT_LT(MemoryGrown(), 64u << 20);
  ExpectPaid(payer);
}

TEST_F(LimitsTest, ManyRequestsOfTheGreatestSizeAtOnce) {
  OpenAccount("bulk");
  OpenAccount("sink-of-bulk");
  constexpr int kTransfers = 5'000;
  LoadOptions options;
  options.port = cluster().http(kNode);
  options.connections = 100;  // More than the bodies that a node receives at once.
  options.duration = milliseconds(3'000);
  options.patience = milliseconds(60'000);
  options.request = [](uint64_t number) {
    std::string body = R"({"transfers":[)";
    for (int i = 0; i < kTransfers; ++i) {
      body += std::string(i == 0 ? "" : ",") + R"({"id":")" + std::to_string(number) + "-of-bulk-" +
              std::to_string(i) + R"(","from":"bulk","to":"sink-of-bulk","amount":1})";
    }
    body += "]}";
    body.resize(bounds::kHttpBodyBytesMax, ' ');
    return HttpRequestText("POST", "/v1/ledger/transfers:batch", body);
  };
  const LoadResult load = RunLoad(options);
  std::cout << load.accepted << " requests of " << bounds::kHttpBodyBytesMax << " bytes accepted, "
            << load.refused << " refused, " << load.lost << " lost; memory at most "
            << (PeakMemoryOf(kNode) >> 20) << " MB\n";
  EXPECT_GT(load.accepted, 0u);
  EXPECT_EQ(load.others, 0u) << load.first_other.substr(0, 500);
  EXPECT_LT(PeakMemoryOf(kNode), 900u << 20);
  ExpectEqualAndServing();
  ExpectInterruptedByAnElection(load.interrupted, term_);
  EXPECT_EQ(BalanceOf("bulk") % kTransfers, 0);
  EXPECT_GE(-BalanceOf("bulk"), static_cast<int64_t>(load.accepted) * kTransfers);

  Connections over = Connect(100);
  memory_ = MemoryOf(kNode);
  for (const auto& one : over) {
    one->Send("POST /v1/ledger/transfers HTTP/1.1\r\nContent-Length: " +
              std::to_string(bounds::kHttpBodyBytesMax + 1) + "\r\n\r\n");
  }
  for (const auto& one : over) EXPECT_EQ(one->ReadReply(kPatience).status, 413);
  over = Connect(100);
  for (const auto& one : over) {
    one->Send("GET / HTTP/1.1\r\nX: " + std::string(bounds::kHttpHeaderBytesMax, 'x'));
  }
  for (const auto& one : over) EXPECT_EQ(one->ReadReply(kPatience).status, 431);
  EXPECT_LT(MemoryGrown(), 32u << 20);
}

// Where a process may open few files, idle connections of one kind leave room for the other.
TEST(FewFilesTest, NeitherProtocolKeepsTheOtherOut) {
  constexpr size_t kFiles = 1'500;
  if (RaiseFiles() < kFiles + 500) GTEST_SKIP() << "raise ulimit -Hn to run this test";
  const FileShares shares = ShareFiles(kFiles);
  ProcessCluster one(1);
  one.SetOpenFilesMax(kFiles);
  one.StartAll();
  ASSERT_TRUE(one.WaitHealthy()) << one.LogOf(1);
  const auto served_by_http = [&one] {
    const HttpReply health = HttpClient(one.http(1)).Get("/health");
    EXPECT_EQ(health.status, 200) << health.body;
    const HttpReply added =
        HttpClient(one.http(1)).Post("/v1/ledger/accounts", R"({"id":"a","currency":"EUR"})");
    EXPECT_TRUE(added.status == 200 || added.status == 201) << added.body;
  };
  served_by_http();
  const size_t quiet = FilesOfProcess(one.pid(1));
  // So many that the last ones are turned away: then those before them hold all that they get.
  const auto connect = [](uint16_t port) {
    Connections idle;
    for (size_t i = 0; i < kFiles; ++i) idle.push_back(std::make_unique<RawConnection>(port));
    bool closed = false;
    idle.back()->ReadToEnd(kPatience, &closed);
    EXPECT_TRUE(closed);
    return idle;
  };
  {
    const Connections idle = connect(one.http(1));
    EXPECT_GE(FilesOfProcess(one.pid(1)), shares.http_connections);
    const GrpcReply checked = GrpcClient(one.grpc(1)).Call("/grpc.health.v1.Health/Check", "");
    EXPECT_TRUE(checked.ok) << checked.message;
  }
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (FilesOfProcess(one.pid(1)) > quiet + 20) {
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "closed ones are let go";
    std::this_thread::yield();
  }
  const Connections idle = connect(one.grpc(1));
  EXPECT_GE(FilesOfProcess(one.pid(1)), shares.grpc_files_max);
  served_by_http();
}

}  // namespace
}  // namespace holdfast
