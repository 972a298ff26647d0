#include "tests/overload/overload_fixture.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/support/http_client.h"

namespace holdfast::testing {

uint64_t MemoryOfProcess(pid_t pid, const char* what) {
  const std::string name = what;
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name)) {
      return std::strtoull(line.c_str() + name.size(), nullptr, 10) << 10;
    }
  }
  return 0;
}

size_t FilesOfProcess(pid_t pid) {
  const std::filesystem::directory_iterator files("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}

size_t RaiseFiles() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

void RunFor(std::chrono::milliseconds duration) {
  std::this_thread::sleep_for(duration);  // tidy: allow sleep, it is the length of the load
}

SteadyPayer::SteadyPayer(const ProcessCluster& cluster)
    : thread_([this, port = cluster.http(1)] { Pay(port); }) {}

void SteadyPayer::Stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void SteadyPayer::Pay(uint16_t port) {
  static std::atomic<int> payers{0};
  const std::string prefix = "steady-" + std::to_string(++payers) + "-";
  HttpClient client(port);
  for (int i = 0; !stop_; ++i) {
    const std::string body =
        R"({"id":")" + prefix + std::to_string(i) + R"(","from":"payer","to":"payee","amount":1})";
    const auto began = std::chrono::steady_clock::now();
    HttpReply reply;
    bool refused = false, open = false;
    bool paid_before = false;  // Perhaps, by a request whose answer was left open.
    do {
      reply = client.Post("/v1/ledger/transfers", body);
      open = reply.status == 503 || reply.status == 504;
      refused = open || reply.status == 429;
      interrupted_ += open ? 1 : 0;
      paid_before |= open;
    } while (refused && !stop_);
    const bool paid = reply.status == 201 || (reply.status == 200 && paid_before);
    if (!paid && !refused && failure_.empty()) {
      failure_ = std::to_string(reply.status) + " " + reply.body;
    }
    const auto took = std::chrono::steady_clock::now() - began;
    ms_.push_back(std::chrono::duration<double, std::milli>(took).count());
    paid_ += paid ? 1 : 0;
  }
}

bool SteadyPayer::WaitPaid(size_t payments) const {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (paid_ < payments && std::chrono::steady_clock::now() < until) {
    RunFor(std::chrono::milliseconds(10));
  }
  return paid_ >= payments;
}

void OverloadTest::SetUpTestSuite() {
  cluster_ = new ProcessCluster(3);
  // The nodes on all processors but the first, the load on that one: as if it came from elsewhere.
  // With one processor all share it.
  cpu_set_t before;
  sched_getaffinity(0, sizeof(before), &before);
  cpu_set_t nodes = before;
  if (CPU_COUNT(&before) > 1) CPU_CLR(0, &nodes);
  sched_setaffinity(0, sizeof(nodes), &nodes);
  cluster_->StartAll();
  sched_setaffinity(0, sizeof(before), &before);
  ASSERT_TRUE(cluster_->WaitHealthy()) << cluster_->LogOf(1);
  leader_ = cluster_->WaitLeader();
  ASSERT_NE(leader_, 0);
  for (const char* id : {"payer", "payee"}) OpenAccount(id);
}

void OverloadTest::TearDownTestSuite() {
  delete cluster_;
  cluster_ = nullptr;
}

void OverloadTest::OpenAccount(const std::string& id) {
  const HttpReply reply = HttpClient(cluster_->http(1))
                              .Post("/v1/ledger/accounts",
                                    R"({"id":")" + id + R"(","currency":"EUR","overdraft":true})");
  ASSERT_EQ(reply.status, 201) << reply.body;
}

uint64_t OverloadTest::MemoryOf(int node) { return MemoryOfProcess(cluster_->pid(node), "VmRSS:"); }
uint64_t OverloadTest::PeakMemoryOf(int node) {
  return MemoryOfProcess(cluster_->pid(node), "VmHWM:");
}

size_t OverloadTest::FilesOf(int node) { return FilesOfProcess(cluster_->pid(node)); }

int64_t OverloadTest::BalanceOf(const std::string& account) {
  const HttpReply reply = HttpClient(cluster_->http(1)).Get("/v1/ledger/accounts/" + account);
  return std::strtoll(JsonField(reply.body, "balance").c_str(), nullptr, 10);
}

bool OverloadTest::WaitForFiles(int node, size_t at_most, std::chrono::seconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  HttpClient client(cluster_->http(node));
  while (FilesOf(node) > at_most) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    client.Get("/health");  // The pause between two looks; and it must answer.
  }
  return true;
}

void OverloadTest::ExpectEqualAndServing() {
  EXPECT_TRUE(cluster_->WaitHealthy());
  std::string report;
  EXPECT_TRUE(cluster_->WaitEqualState(std::chrono::seconds(20), &report)) << report;
}

void OverloadTest::ExpectInterruptedByAnElection(uint64_t interrupted, uint64_t since_term) {
  if (interrupted == 0) return;
  EXPECT_GT(cluster_->Term(), since_term) << interrupted << " answers";
}

}  // namespace holdfast::testing
