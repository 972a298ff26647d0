#include "tests/faults/watch.h"

#include <chrono>

#include "src/api/json.h"
#include "tests/support/http_client.h"

namespace holdfast::faults {
namespace {

constexpr std::chrono::milliseconds kEvery{100};
constexpr std::chrono::milliseconds kPatience{1'000};
constexpr size_t kDigestsMax = 100'000;

}  // namespace

Watch::Watch(const testing::ProcessCluster& cluster) : cluster_(cluster) {
  for (int node = 1; node <= cluster.size(); ++node) {
    threads_.emplace_back([this, node] { Run(node); });
  }
}

Watch::~Watch() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
}

cluster::StatusReply Watch::status(int node) {
  std::lock_guard lock(mutex_);
  return last_[node];
}

void Watch::Forget(int node) {
  std::lock_guard lock(mutex_);
  last_[node].Clear();
  answered_[node] = false;
}

int Watch::Leader() {
  std::lock_guard lock(mutex_);
  int leader = 0;
  for (const auto& [node, status] : last_) {
    if (answered_[node] && status.role() == cluster::StatusReply::leader &&
        (leader == 0 || status.term() > last_[leader].term())) {
      leader = node;
    }
  }
  return leader;
}

std::string Watch::violation() {
  std::lock_guard lock(mutex_);
  return violation_;
}

bool Watch::Ask(int node, cluster::StatusReply* status) {
  testing::HttpClient client(cluster_.host(node), cluster_.http(node), kPatience);
  const testing::HttpReply reply = client.Get("/status");
  if (reply.status != 200 || !api::ParseJson(reply.body, status)) return false;
  Note(node, *status);
  return true;
}

bool Watch::Compare(int node, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  const auto compared = [&] {
    std::lock_guard lock(mutex_);
    return compared_[node];
  };
  const uint64_t before = compared();
  while (compared() == before) {
    if (std::chrono::steady_clock::now() > until) return false;
    for (int other = 1; other <= cluster_.size(); ++other) {
      cluster::StatusReply status;
      Ask(other, &status);
    }
  }
  return true;
}

void Watch::Note(int node, const cluster::StatusReply& status) {
  std::lock_guard lock(mutex_);
  last_[node] = status;
  if (status.applied() == 0) return;
  const auto [known, is_new] = digests_.try_emplace(status.applied(), Known{node, status.digest()});
  if (!is_new && known->second.node != node) {
    ++compared_[node];
    ++compared_[known->second.node];
  }
  if (!is_new && known->second.digest != status.digest() && violation_.empty()) {
    violation_ = "node " + std::to_string(node) + " and node " +
                 std::to_string(known->second.node) + " have different states at position " +
                 std::to_string(status.applied());
  }
  if (digests_.size() > kDigestsMax) digests_.erase(digests_.begin());
}

void Watch::Run(int node) {
  while (!stop_) {
    cluster::StatusReply status;
    const bool answered = Ask(node, &status);
    {
      std::lock_guard lock(mutex_);
      answered_[node] = answered;
    }
    std::this_thread::sleep_for(kEvery);  // Nobody tells of a node that does not answer.
  }
}

}  // namespace holdfast::faults
