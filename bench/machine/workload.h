// What is applied to the machine: transfers, locks, messages, checkouts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/machine/node.h"

namespace holdfast::bench {

class Workload {
 public:
  virtual ~Workload() = default;
  // What must be there before measuring: `history` things that were done before, and what `total`
  // of them will need.
  virtual void Prepare(Node& node, uint64_t history, uint64_t total) = 0;
  // Gets `count` things done, 1 to 8,192, in an entry or two. Microseconds.
  virtual double Run(Node& node, uint64_t count) = 0;
};

// Those that NewWorkload knows:
//   transfers             single requests between 10,000 accounts
//   transfers-hot         10 accounts
//   transfers-batch, transfers-batch-hot
//   locks                 a lock that nobody else wants is taken and released
//   handover              a lock is handed on to the first of 16 in line, who comes again
//   publish               a message with an id, in a request of its own
//   publish-batch         a hundred of them in a request
//   take                  a hundred messages are pulled with one request and acked with another
//   checkout              an order with its goods, its money and its message
const std::vector<std::string>& WorkloadNames();
std::unique_ptr<Workload> NewWorkload(const std::string& name, Node& node);

inline constexpr uint64_t kAccounts = 10'000;
inline constexpr uint64_t kHotAccounts = 10;
inline std::string Account(uint64_t number) { return "account-" + std::to_string(number); }

// Each in the file of its service.
std::unique_ptr<Workload> NewTransfers(Node& node, bool batch, bool hot);
std::unique_ptr<Workload> NewLocks(Node& node, bool handover);
std::unique_ptr<Workload> NewPublishing(Node& node, bool batch);
std::unique_ptr<Workload> NewTaking(Node& node);
std::unique_ptr<Workload> NewCheckouts(Node& node);

}  // namespace holdfast::bench
