// How long nobody can write when the leader of a cluster of three is killed under load, and beside
// it, in turns in the same run, the same of etcd.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "services/ledger/ledger.pb.h"
#include "src/client/client.h"
#include "tests/support/process_cluster.h"

namespace holdfast::bench {
namespace {

using std::chrono::steady_clock;

// As the peer's script has them.
constexpr int kClients = 16;
constexpr int kAccounts = 1'000;
constexpr int kTrialsAtOnce = 5;
constexpr std::chrono::seconds kBefore{3};
constexpr std::chrono::seconds kAfter{7};

struct Gaps {
  std::string name;
  std::vector<double> ms;
};

void Sleep(steady_clock::duration duration) { std::this_thread::sleep_for(duration); }

// Closed-loop clients that know all nodes, with a connection each, and the longest time in which
// none of them succeeded.
class Load {
 public:
  Load(const testing::ProcessCluster& cluster, int run) : last_(steady_clock::now()) {
    for (int i = 0; i < kClients; ++i) {
      std::vector<std::string> endpoints;
      for (int node = 0; node < cluster.size(); ++node) {
        const int shifted = (node + i) % cluster.size() + 1;
        endpoints.push_back("127.0.0.1:" + std::to_string(cluster.grpc(shifted)));
      }
      threads_.emplace_back(
          [this, endpoints, prefix = std::to_string(run) + "-" + std::to_string(i) + "-"] {
            Work(endpoints, prefix);
          });
    }
  }
  double StopAndTakeGapMs() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    return std::chrono::duration<double, std::milli>(gap_).count();
  }

 private:
  void Work(const std::vector<std::string>& endpoints, const std::string& prefix) {
    client::Client client(endpoints);
    for (uint64_t number = 0; !stop_; ++number) {
      ledger::CreateTransferRequest request;
      request.set_id(prefix + std::to_string(number));
      request.set_from("account-" + std::to_string(number % kAccounts));
      request.set_to("account-" + std::to_string((number + 1) % kAccounts));
      request.set_amount(1);
      const auto reply =
          client.Call<ledger::TransferReply>("/holdfast.ledger.Ledger/CreateTransfer", request);
      if (!reply) continue;
      std::lock_guard lock(mutex_);
      const auto now = steady_clock::now();
      gap_ = std::max(gap_, now - last_);
      last_ = now;
    }
  }

  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  steady_clock::time_point last_;
  steady_clock::duration gap_{};
  std::vector<std::thread> threads_;
};

bool OpenAccounts(const testing::ProcessCluster& cluster) {
  client::Client client({"127.0.0.1:" + std::to_string(cluster.grpc(1))});
  ledger::CreateAccountsRequest request;
  for (int i = 0; i < kAccounts; ++i) {
    auto* account = request.add_accounts();
    account->set_id("account-" + std::to_string(i));
    account->set_currency("EUR");
    account->set_overdraft(std::numeric_limits<int64_t>::max());
  }
  return client.Call<ledger::CreateAccountsReply>("/holdfast.ledger.Ledger/CreateAccounts", request)
      .has_value();
}

// How the leader goes: its process ends, or stands still, which for the others is a machine that is
// cut off.
enum class End { kKill, kFreeze };

bool TryHoldfast(End end, Gaps* gaps) {
  testing::ProcessCluster cluster(3);
  cluster.StartAll();
  if (!cluster.WaitHealthy() || !OpenAccounts(cluster)) return false;
  for (int trial = 0; trial < kTrialsAtOnce; ++trial) {
    Load load(cluster, trial);
    Sleep(kBefore);
    const int leader = cluster.WaitLeader();
    if (leader == 0) return false;
    end == End::kKill ? cluster.Kill(leader) : cluster.Freeze(leader);
    Sleep(kAfter);
    if (end == End::kFreeze) cluster.Thaw(leader);
    gaps->ms.push_back(load.StopAndTakeGapMs());
    if (end == End::kKill) cluster.Start(leader);
    if (!cluster.WaitHealthy()) return false;
  }
  return true;
}

// Runs the peer's script, of whose lines those of the trials begin with "etcd".
bool TryEtcd(const std::string& script, Gaps* gaps) {
  FILE* pipe = popen(("bash '" + script + "' failover").c_str(), "r");
  if (pipe == nullptr) return false;
  char line[4096];
  size_t trials = 0;
  while (std::fgets(line, sizeof(line), pipe) != nullptr) {
    std::istringstream fields(line);
    std::string peer, name, clients, successes, errors;
    double gap_ms = 0;
    if (!(fields >> peer >> name >> clients >> successes >> errors >> gap_ms) || peer != "etcd") {
      continue;
    }
    gaps->ms.push_back(gap_ms);
    ++trials;
  }
  return pclose(pipe) == 0 && trials > 0;
}

void Print(Gaps gaps) {
  if (gaps.ms.empty()) return;
  std::sort(gaps.ms.begin(), gaps.ms.end());
  const size_t middle = gaps.ms.size() / 2;
  const double median =
      gaps.ms.size() % 2 != 0 ? gaps.ms[middle] : (gaps.ms[middle - 1] + gaps.ms[middle]) / 2;
  std::printf("| %s | %zu | %.0f | %.0f | %.0f |\n", gaps.name.c_str(), gaps.ms.size(),
              gaps.ms.front(), median, gaps.ms.back());
}

int Run(int trials, End end, const std::string& etcd) {
  Gaps ours{"Holdfast, election timeout 400 ms (default)", {}};
  Gaps theirs{"etcd, election timeout 1000 ms (default)", {}};
  Gaps alike{"etcd, election timeout 400 ms, heartbeat 80 ms", {}};
  setenv("QUIET", "1", 0);
  for (int done = 0; done < trials; done += kTrialsAtOnce) {
    std::fprintf(stderr, "trials %d to %d\n", done + 1, done + kTrialsAtOnce);
    if (!TryHoldfast(end, &ours)) {
      std::fprintf(stderr, "the cluster did not become healthy\n");
      return 1;
    }
    if (etcd.empty()) continue;
    unsetenv("ETCD_ELECTION_TIMEOUT");
    unsetenv("ETCD_HEARTBEAT_INTERVAL");
    bool tried = TryEtcd(etcd, &theirs);
    setenv("ETCD_ELECTION_TIMEOUT", "400", 1);
    setenv("ETCD_HEARTBEAT_INTERVAL", "80", 1);
    tried = TryEtcd(etcd, &alike) && tried;
    if (!tried) std::fprintf(stderr, "etcd could not be measured\n");
  }
  std::printf(
      "| %d clients, the leader %s | trials | shortest ms | median | longest |\n"
      "|---|---|---|---|---|\n",
      kClients, end == End::kKill ? "killed" : "stands still");
  for (const Gaps& gaps : {ours, theirs, alike}) Print(gaps);
  return 0;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  int trials = 20;
  std::string etcd;
  CLI::App app{"Kills the leader of a cluster of three on loopback under load, again and again."};
  app.add_option("--trials", trials, "Of each system; five at a time")->capture_default_str();
  app.add_option("--etcd", etcd, "The peers' script that measures etcd; without it only Holdfast");
  bool freeze = false;
  app.add_flag("--freeze", freeze,
               "The leader's process stands still (SIGSTOP) instead, and closes no connection");
  CLI11_PARSE(app, argc, argv);
  using holdfast::bench::End;
  return holdfast::bench::Run(trials, freeze ? End::kFreeze : End::kKill, etcd);
}
