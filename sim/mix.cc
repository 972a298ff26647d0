#include "sim/mix.h"

#include <algorithm>

#include "holdfast/atomic.pb.h"
#include "sim/methods.h"

namespace holdfast::sim {
namespace {

constexpr char kExecute[] = "atomic.Execute";
constexpr char kCheckout[] = "orders.Checkout";

}  // namespace

Mix::Mix(Random& random, const Shares& shares, size_t accounts)
    : random_(random),
      shares_(shares),
      ledger_(random, accounts),
      coordination_(random),
      queues_(random),
      cache_(random),
      todo_(random),
      orders_(random),
      rounds_(random),
      journal_(random),
      chat_(random) {}

// By its share.
Requests& Mix::AService() {
  const std::pair<uint64_t, Requests*> services[] = {
      {shares_.ledger, &ledger_}, {shares_.coordination, &coordination_},
      {shares_.queues, &queues_}, {shares_.cache, &cache_},
      {shares_.todo, &todo_},     {shares_.orders, &orders_},
      {shares_.rounds, &rounds_}, {shares_.journal, &journal_},
      {shares_.chat, &chat_}};
  if (Services() == 0) return ledger_;
  uint64_t at = random_.Between(1, Services());
  for (const auto& [share, requests] : services) {
    if (at <= share) return *requests;
    at -= share;
  }
  return ledger_;
}

Asked Mix::Make() {
  const uint64_t all = Services() + shares_.execute;
  if (shares_.execute != 0 && random_.Between(1, all) <= shares_.execute) return Execute();
  Asked asked = AService().Make();
  if (asked.method == kCheckout) UnderALock(asked);
  return asked;
}

// At times a checkout goes by a lock's token.
void Mix::UnderALock(Asked& checkout) {
  if (shares_.coordination == 0 || !random_.OneIn(8)) return;
  const locks::CheckRequest check = coordination_.Check();
  auto& request = static_cast<orders::CheckoutRequest&>(*checkout.request);
  request.mutable_lock()->set_name(check.name());
  request.mutable_lock()->set_token(check.token());
}

// What goes together: an effect with the ack of the message that asked for it, or with the lock
// that allows it.
Asked Mix::OneOf() {
  switch (random_.Between(0, shares_.orders != 0 ? 8 : 7)) {
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
    case 5: {
      Asked asked = AService().Make();
      if (asked.method == kExecute) break;  // No list in a list.
      if (asked.method == kCheckout) UnderALock(asked);
      return asked;
    }
    case 6:
      if (shares_.cache != 0) return AskedOf("cache.CompareAndSet", cache_.CompareAndSet());
      break;
    case 8: return AskedOf("orders.CheckStock", orders_.CheckStock());
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
  return AskedOf(kExecute, request);
}

Asked Mix::MakeRead(int64_t from_us, int64_t to_us) { return AService().MakeRead(from_us, to_us); }

std::optional<Asked> Mix::NextPage(const Asked& asked, const std::string& reply) {
  if (auto page = todo_.NextPage(asked, reply)) return page;
  if (auto page = rounds_.NextPage(asked, reply)) return page;
  if (auto page = journal_.NextPage(asked, reply)) return page;
  if (auto page = chat_.NextPage(asked, reply)) return page;
  return ledger_.NextPage(asked, reply);
}

void Mix::Learn(const std::string& method, const google::protobuf::Message& request,
                const std::string& reply) {
  coordination_.Learn(method, request, reply);
  queues_.Learn(method, request, reply);
  cache_.Learn(method, request, reply);
  todo_.Learn(method, request, reply);
  orders_.Learn(method, request, reply);
  rounds_.Learn(method, request, reply);
  journal_.Learn(method, request, reply);
  chat_.Learn(method, request, reply);
  if (method != kExecute) return;
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
