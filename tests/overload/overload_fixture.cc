#include "tests/overload/overload_fixture.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

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

Bystanders::Bystanders(const ProcessCluster& cluster) : cluster_(cluster), before_(Now()) {}

Bystanders::Ticks Bystanders::Now() const {
  Ticks ticks;
  // proc(5): user nice system idle iowait irq softirq steal.
  std::ifstream machine("/proc/stat");
  std::string word;
  machine >> word;
  for (int field = 0; field < 8; ++field) {
    uint64_t value = 0;
    machine >> value;
    ticks.all += value;
    if (field != 3 && field != 4) ticks.busy += value;
  }
  std::vector<pid_t> pids = {getpid()};
  for (int node = 1; node <= cluster_.size(); ++node) pids.push_back(cluster_.pid(node));
  for (const pid_t pid : pids) {
    std::ifstream process("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(process, line);
    std::istringstream fields(line.substr(line.rfind(')') + 2));
    for (int field = 3; field <= 15 && fields >> word; ++field) {
      if (field >= 14) ticks.ours += std::strtoull(word.c_str(), nullptr, 10);
    }
  }
  return ticks;
}

double Bystanders::Share() const {
  const Ticks now = Now();
  const auto since = [](uint64_t later, uint64_t earlier) {
    return static_cast<double>(later - earlier);
  };
  const double all = since(now.all, before_.all);
  const double others = since(now.busy, before_.busy) - since(now.ours, before_.ours);
  return all <= 0 ? 0 : std::max(0.0, others / all);
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
    do {
      reply = client.Post("/v1/ledger/transfers", body);
    } while (reply.status == 429 && !stop_);
    if (reply.status != 201 && reply.status != 429 && failure_.empty()) {
      failure_ = std::to_string(reply.status) + " " + reply.body;
    }
    const auto took = std::chrono::steady_clock::now() - began;
    ms_.push_back(std::chrono::duration<double, std::milli>(took).count());
  }
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

}  // namespace holdfast::testing
