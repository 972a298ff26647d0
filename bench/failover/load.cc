#include "bench/failover/load.h"

#include <algorithm>
#include <limits>

#include "services/ledger/ledger.pb.h"
#include "src/client/client.h"

namespace holdfast::bench {
namespace {

constexpr int kAccounts = 1'000;  // As the peer's script has them.

std::string Endpoint(const testing::ProcessCluster& cluster, int node) {
  return cluster.host(node) + ":" + std::to_string(cluster.grpc(node));
}

}  // namespace

bool OpenAccounts(const testing::ProcessCluster& cluster) {
  client::Client client({Endpoint(cluster, 1)});
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

Load::Load(const testing::ProcessCluster& cluster, int run, int clients,
           std::chrono::milliseconds attempt)
    : attempt_(attempt), answers_(static_cast<size_t>(clients)) {
  for (int i = 0; i < clients; ++i) {
    std::vector<std::string> endpoints;
    for (int node = 0; node < cluster.size(); ++node) {
      endpoints.push_back(Endpoint(cluster, (node + i) % cluster.size() + 1));
    }
    threads_.emplace_back(
        [this, endpoints, prefix = std::to_string(run) + "-" + std::to_string(i) + "-",
         answers = &answers_[static_cast<size_t>(i)]] { Work(endpoints, prefix, answers); });
  }
}

Load::~Load() {
  stop_ = true;
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

std::vector<Answer> Load::Stop() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  std::vector<Answer> all;
  for (const std::vector<Answer>& some : answers_) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end(), [](const Answer& a, const Answer& b) { return a.at < b.at; });
  return all;
}

void Load::Work(const std::vector<std::string>& endpoints, const std::string& prefix,
                std::vector<Answer>* answers) {
  client::Options options;
  if (attempt_.count() > 0) options.attempt_timeout = attempt_;
  client::Client client(endpoints, options);
  for (uint64_t number = 0; !stop_; ++number) {
    ledger::CreateTransferRequest request;
    request.set_id(prefix + std::to_string(number));
    request.set_from("account-" + std::to_string(number % kAccounts));
    request.set_to("account-" + std::to_string((number + 1) % kAccounts));
    request.set_amount(1);
    const auto begun = steady_clock::now();
    const auto reply =
        client.Call<ledger::TransferReply>("/holdfast.ledger.Ledger/CreateTransfer", request);
    if (!reply) {
      ++failed_;
      continue;
    }
    const auto now = steady_clock::now();
    answers->push_back({now, std::chrono::duration<float, std::milli>(now - begun).count()});
  }
}

double LongestGapMs(const std::vector<Answer>& answers, steady_clock::time_point until) {
  steady_clock::duration longest{};
  if (!answers.empty()) longest = std::max(longest, until - answers.back().at);
  for (size_t i = 1; i < answers.size(); ++i) {
    longest = std::max(longest, answers[i].at - answers[i - 1].at);
  }
  return std::chrono::duration<double, std::milli>(longest).count();
}

}  // namespace holdfast::bench
