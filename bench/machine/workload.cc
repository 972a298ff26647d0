#include "bench/machine/workload.h"

#include "src/base/check.h"

namespace holdfast::bench {

const std::vector<std::string>& WorkloadNames() {
  static const std::vector<std::string> kNames = {
      "transfers-batch", "transfers-batch-hot", "transfers", "transfers-hot", "locks", "handover",
      "publish",         "publish-batch",       "take",      "checkout"};
  return kNames;
}

std::unique_ptr<Workload> NewWorkload(const std::string& name, Node& node) {
  if (name == "transfers") return NewTransfers(node, false, false);
  if (name == "transfers-hot") return NewTransfers(node, false, true);
  if (name == "transfers-batch") return NewTransfers(node, true, false);
  if (name == "transfers-batch-hot") return NewTransfers(node, true, true);
  if (name == "locks") return NewLocks(node, false);
  if (name == "handover") return NewLocks(node, true);
  if (name == "publish") return NewPublishing(node, false);
  if (name == "publish-batch") return NewPublishing(node, true);
  if (name == "take") return NewTaking(node);
  HOLDFAST_CHECK(name == "checkout", name);
  return NewCheckouts(node);
}

}  // namespace holdfast::bench
