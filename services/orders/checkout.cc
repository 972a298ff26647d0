#include "services/orders/checkout.h"

#include "services/ledger/ledger.pb.h"
#include "services/locks/locks.pb.h"
#include "services/orders/orders.h"
#include "services/queues/queues.pb.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/state_machine/atomic_service.h"

namespace holdfast::orders {
namespace {

using google::protobuf::Arena;
using google::protobuf::Message;

// Writes as they are added, their requests to be filled in.
class List {
 public:
  explicit List(Arena& arena) : arena_(arena) { writes_.reserve(kWrites); }

  template <class Request>
  Request* Add(CheckoutPart::Code part, std::string_view prefix, std::string_view method) {
    auto* request = Arena::CreateMessage<Request>(&arena_);
    writes_.push_back({part, prefix, method, request});
    return request;
  }
  std::vector<CheckoutWrite> Take() { return std::move(writes_); }

 private:
  static constexpr size_t kWrites = 6;  // Of a checkout with all its parts.
  Arena& arena_;
  std::vector<CheckoutWrite> writes_;
};

// Where the order is placed: first, or after the check of a lock.
int OrderAt(const std::vector<CheckoutWrite>& writes) {
  return writes.front().part == CheckoutPart::lock ? 1 : 0;
}

// It was done before, and did nothing now: already_exists, already_done, already_published.
bool IsRepeat(const atomic::WriteResult& result) {
  return result.outcome().starts_with("already_");
}

struct Stranger {
  int at = 0;
  std::string reason;
};

// Each write alone may repeat what was done before, for whatever purpose; those of one checkout are
// all new, or all repeat the same checkout. This is the first that does not belong to the others:
// money or a message that was there before the order, or an order that was there before them. And
// the money must be of the order's currency, which no write looks at.
std::optional<Stranger> FindStranger(const std::vector<CheckoutWrite>& writes,
                                     const atomic::ExecuteReply& done,
                                     const std::vector<const Message*>& replies) {
  const int order = OrderAt(writes);
  const std::string& currency = static_cast<const OrderReply&>(*replies[order]).order().currency();
  const bool repeats = IsRepeat(done.results(order));
  for (int at = order + 1; at < done.results_size(); ++at) {
    const atomic::WriteResult& result = done.results(at);
    if (IsRepeat(result) != repeats) {
      const int stranger = repeats ? order : at;
      return Stranger{stranger, done.results(stranger).outcome()};
    }
    if (writes[at].part != CheckoutPart::payment) continue;
    const auto& paid = static_cast<const ledger::TransferReply&>(*replies[at]);
    if (paid.transfer().currency() != currency) {
      return Stranger{at, OrderOutcome::Code_Name(OrderOutcome::currency_mismatch)};
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<CheckoutWrite> WritesOf(const CheckoutRequest& request, Arena& arena) {
  List list(arena);
  const CheckoutPayment& pays = request.payment();
  const std::string& payment = pays.id().empty() ? request.id() : pays.id();

  if (request.has_lock()) {
    auto* check = list.Add<locks::CheckRequest>(CheckoutPart::lock, "lock.", "locks.Check");
    check->set_name(request.lock().name());
    check->set_token(request.lock().token());
  }

  auto* place = list.Add<PlaceOrderRequest>(CheckoutPart::order, "", "orders.PlaceOrder");
  place->set_id(request.id());
  place->set_customer(request.customer());
  *place->mutable_lines() = request.lines();
  place->set_total(request.total());
  *place->mutable_metadata() = request.metadata();

  auto* reserve = list.Add<ReserveOrderRequest>(CheckoutPart::stock, "", "orders.ReserveOrder");
  reserve->set_id(request.id());
  reserve->set_reservation_seconds(request.reservation_seconds() != 0
                                       ? request.reservation_seconds()
                                       : bounds::kReservationSecondsDefault);

  auto* transfer = list.Add<ledger::CreateTransferRequest>(CheckoutPart::payment, "payment.",
                                                           "ledger.CreateTransfer");
  transfer->set_id(payment);
  transfer->set_from(pays.from());
  transfer->set_to(pays.to());
  transfer->set_amount(request.total());
  if (pays.hold()) {
    transfer->set_pending(true);
    transfer->set_timeout_seconds(reserve->reservation_seconds());
  } else {
    auto* pay = list.Add<PayOrderRequest>(CheckoutPart::order, "", "orders.PayOrder");
    pay->set_id(request.id());
    pay->set_payment(payment);
  }

  const CheckoutMessage& message = request.message();
  auto* publish =
      list.Add<queues::PublishRequest>(CheckoutPart::message, "message.", "queues.Publish");
  publish->set_queue(message.queue());
  publish->set_key(message.key());
  publish->set_payload(message.payload());
  publish->set_data(message.data());
  if (message.payload().empty() && message.data().empty()) publish->set_payload(request.id());
  publish->set_message_id(message.message_id().empty() ? request.id() : message.message_id());
  *publish->mutable_headers() = message.headers();
  return list.Take();
}

Result<void> ValidateCheckout(const CheckoutRequest& request,
                              const state_machine::Registry& registry) {
  if (request.reservation_seconds() != 0 && !request.payment().hold()) {
    return Fail(InvalidArgument("reservation_seconds", "goes only with payment.hold"));
  }
  Arena arena;
  for (const CheckoutWrite& one : WritesOf(request, arena)) {
    Result<void> valid = registry.Find(one.method)->validate(*one.request);
    if (valid) continue;
    valid.error().field.insert(0, one.prefix);
    return valid;
  }
  return {};
}

Result<void> Orders::Checkout(const CheckoutRequest& request, WriteContext& context,
                              CheckoutReply* reply) {
  Arena arena;
  const std::vector<CheckoutWrite> writes = WritesOf(request, arena);
  std::vector<state_machine::ListedWrite> list;
  list.reserve(writes.size());
  for (const CheckoutWrite& one : writes) {
    list.push_back({one.method, context.registry().Find(one.method), one.request});
  }
  const store::Savepoint before = context.Mark();
  atomic::ExecuteReply result;
  std::vector<const Message*> replies;
  if (auto done = state_machine::ExecuteWrites(list, context, arena, &result, &replies); !done) {
    return done;
  }

  if (result.outcome() == atomic::ExecuteOutcome::rejected) {
    reply->set_outcome(CheckoutOutcome::rejected);
    reply->set_failed(writes[result.failed()].part);
    reply->set_reason(result.results(0).outcome());
    *reply->mutable_results() = std::move(*result.mutable_results());
    return {};
  }
  if (const auto stranger = FindStranger(writes, result, replies)) {
    context.RollbackTo(before);
    reply->set_outcome(CheckoutOutcome::rejected);
    reply->set_failed(writes[stranger->at].part);
    reply->set_reason(stranger->reason);
    *reply->add_results() = std::move(*result.mutable_results(stranger->at));
    return {};
  }
  const bool repeats = IsRepeat(result.results(OrderAt(writes)));
  reply->set_outcome(repeats ? CheckoutOutcome::already_done : CheckoutOutcome::done);
  *reply->mutable_results() = std::move(*result.mutable_results());
  return {};
}

}  // namespace holdfast::orders
