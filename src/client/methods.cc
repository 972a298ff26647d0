#include "src/client/methods.h"

#include <absl/container/flat_hash_map.h>
#include <absl/synchronization/mutex.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>

#include "holdfast/options.pb.h"

namespace holdfast::client {
namespace {

// "/holdfast.ledger.Ledger/GetAccount" is the descriptor "holdfast.ledger.Ledger.GetAccount".
const google::protobuf::MethodDescriptor* FindDescriptor(std::string name) {
  if (!name.empty()) name.erase(0, 1);
  std::replace(name.begin(), name.end(), '/', '.');
  return google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(name);
}

}  // namespace

MethodInfo FindMethod(const std::string& name) {
  // Looking through descriptors costs more than the rest of a call. Only what is linked is kept.
  static absl::Mutex mutex;
  static auto& known = *new absl::flat_hash_map<std::string, MethodInfo>();
  {
    absl::ReaderMutexLock lock(&mutex);
    if (const auto found = known.find(name); found != known.end()) return found->second;
  }
  const auto* descriptor = FindDescriptor(name);
  if (descriptor == nullptr) return {};
  const auto& options = descriptor->options().GetExtension(holdfast::method);
  const auto& service = descriptor->service()->options().GetExtension(holdfast::service);
  const MethodInfo info{options.kind() == WRITE, service.id(), options.id()};
  absl::MutexLock lock(&mutex);
  known.emplace(name, info);
  return info;
}

}  // namespace holdfast::client
