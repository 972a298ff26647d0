#include "sim/mix.h"

#include <algorithm>

#include "holdfast/atomic.pb.h"
#include "sim/methods.h"

namespace holdfast::sim {

Mix::Mix(Random& random, const Shares& shares, size_t accounts)
    : random_(random),
      shares_(shares),
      ledger_(random, accounts),
      coordination_(random),
      queues_(random),
      cache_(random) {}

// By its share.
Requests& Mix::AService() {
  const uint64_t all = shares_.ledger + shares_.coordination + shares_.queues + shares_.cache;
  if (all == 0) return ledger_;
  uint64_t at = random_.Between(1, all);
  if (at <= shares_.ledger) return ledger_;
  at -= shares_.ledger;
  if (at <= shares_.coordination) return coordination_;
  at -= shares_.coordination;
  if (at <= shares_.queues) return queues_;
  return cache_;
}

Asked Mix::Make() {
  const uint64_t all =
      shares_.ledger + shares_.coordination + shares_.queues + shares_.cache + shares_.execute;
  if (shares_.execute != 0 && random_.Between(1, all) <= shares_.execute) return Execute();
  return AService().Make();
}

// What goes together: an effect with the ack of the message that asked for it, or with the lock
// that allows it.
Asked Mix::OneOf() {
  switch (random_.Between(0, 7)) {
    case 0:
    case 1:
      if (shares_.queues != 0) return AskedOf("queues.Ack", queues_.Ack());
      break;
    case 2:
      if (shares_.queues != 0) return AskedOf("queues.Publish", queues_.Publish());
      break;
    case 3:
    case 4:
      if (shares_.coordination != 0) return AskedOf("locks.Check", coordination_.Check());
      break;
    case 5: return AService().Make();
    case 6:
      if (shares_.cache != 0) return AskedOf("cache.CompareAndSet", cache_.CompareAndSet());
      break;
    default: break;
  }
  return AskedOf("ledger.CreateTransfer", ledger_.Transfer());
}

Asked Mix::Execute() {
  atomic::ExecuteRequest request;
  for (uint64_t i = random_.Between(2, 3); i > 0; --i) {
    const Asked one = OneOf();
    atomic::Write* write = request.add_writes();
    write->set_method(one.method);
    write->set_request(one.request->SerializeAsString());
  }
  return AskedOf("atomic.Execute", request);
}

Asked Mix::MakeRead(int64_t from_us, int64_t to_us) { return AService().MakeRead(from_us, to_us); }

std::optional<Asked> Mix::NextPage(const Asked& asked, const std::string& reply) {
  return ledger_.NextPage(asked, reply);
}

void Mix::Learn(const std::string& method, const google::protobuf::Message& request,
                const std::string& reply) {
  coordination_.Learn(method, request, reply);
  queues_.Learn(method, request, reply);
  cache_.Learn(method, request, reply);
  if (method != "atomic.Execute") return;
  const auto& list = static_cast<const atomic::ExecuteRequest&>(request);
  atomic::ExecuteReply done;
  if (!done.ParseFromString(reply) || done.outcome() != atomic::ExecuteOutcome::done) return;
  for (int i = 0; i < std::min(list.writes_size(), done.results_size()); ++i) {
    const auto* type = DescriptorOf(list.writes(i).method()).input_type();
    std::unique_ptr<google::protobuf::Message> part(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
    if (!part->ParseFromString(list.writes(i).request())) continue;
    Learn(list.writes(i).method(), *part, done.results(i).reply());
  }
}

}  // namespace holdfast::sim
