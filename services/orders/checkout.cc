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

// Where the order is placed: first, or after the check of a lock.
int OrderAt(const std::vector<CheckoutWrite>& writes) {
  return writes.front().part == CheckoutPart::lock ? 1 : 0;
}

// It was done before, and did nothing now: already_exists, already_done, already_published.
bool IsRepeat(const atomic::WriteResult& result) {
  return result.outcome().starts_with("already_");
}

template <class Reply>
Reply ReplyOf(const atomic::WriteResult& result) {
  Reply reply;
  HOLDFAST_CHECK(reply.ParseFromString(result.reply()), "a reply of ours");
  return reply;
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
                                     const atomic::ExecuteReply& done) {
  const int order = OrderAt(writes);
  const std::string currency = ReplyOf<OrderReply>(done.results(order)).order().currency();
  const bool repeats = IsRepeat(done.results(order));
  for (int at = order + 1; at < done.results_size(); ++at) {
    const atomic::WriteResult& result = done.results(at);
    if (IsRepeat(result) != repeats) {
      const int stranger = repeats ? order : at;
      return Stranger{stranger, done.results(stranger).outcome()};
    }
    if (writes[at].part != CheckoutPart::payment) continue;
    const auto transfer = ReplyOf<ledger::TransferReply>(result).transfer();
    if (transfer.currency() != currency) {
      return Stranger{at, OrderOutcome::Code_Name(OrderOutcome::currency_mismatch)};
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<CheckoutWrite> WritesOf(const CheckoutRequest& request) {
  std::vector<CheckoutWrite> writes;
  const auto add = [&](CheckoutPart::Code part, const char* prefix, const char* method,
                       const google::protobuf::Message& body) {
    CheckoutWrite& added = writes.emplace_back();
    added.part = part;
    added.prefix = prefix;
    added.write.set_method(method);
    added.write.set_request(body.SerializeAsString());
  };
  const CheckoutPayment& pays = request.payment();
  const std::string& payment = pays.id().empty() ? request.id() : pays.id();

  if (request.has_lock()) {
    locks::CheckRequest check;
    check.set_name(request.lock().name());
    check.set_token(request.lock().token());
    add(CheckoutPart::lock, "lock.", "locks.Check", check);
  }

  PlaceOrderRequest place;
  place.set_id(request.id());
  place.set_customer(request.customer());
  *place.mutable_lines() = request.lines();
  place.set_total(request.total());
  *place.mutable_metadata() = request.metadata();
  add(CheckoutPart::order, "", "orders.PlaceOrder", place);

  ReserveOrderRequest reserve;
  reserve.set_id(request.id());
  reserve.set_reservation_seconds(request.reservation_seconds() != 0
                                      ? request.reservation_seconds()
                                      : bounds::kReservationSecondsDefault);
  add(CheckoutPart::stock, "", "orders.ReserveOrder", reserve);

  ledger::CreateTransferRequest transfer;
  transfer.set_id(payment);
  transfer.set_from(pays.from());
  transfer.set_to(pays.to());
  transfer.set_amount(request.total());
  if (pays.hold()) {
    transfer.set_pending(true);
    transfer.set_timeout_seconds(reserve.reservation_seconds());
  }
  add(CheckoutPart::payment, "payment.", "ledger.CreateTransfer", transfer);

  if (!pays.hold()) {
    PayOrderRequest pay;
    pay.set_id(request.id());
    pay.set_payment(payment);
    add(CheckoutPart::order, "", "orders.PayOrder", pay);
  }

  const CheckoutMessage& message = request.message();
  queues::PublishRequest publish;
  publish.set_queue(message.queue());
  publish.set_key(message.key());
  publish.set_payload(message.payload());
  publish.set_data(message.data());
  if (message.payload().empty() && message.data().empty()) publish.set_payload(request.id());
  publish.set_message_id(message.message_id().empty() ? request.id() : message.message_id());
  *publish.mutable_headers() = message.headers();
  add(CheckoutPart::message, "message.", "queues.Publish", publish);
  return writes;
}

Result<void> ValidateCheckout(const CheckoutRequest& request,
                              const state_machine::Registry& registry) {
  if (request.reservation_seconds() != 0 && !request.payment().hold()) {
    return Fail(InvalidArgument("reservation_seconds", "goes only with payment.hold"));
  }
  constexpr std::string_view kRequest = "request.";
  for (const CheckoutWrite& one : WritesOf(request)) {
    Result<void> valid = state_machine::ValidateWrite(one.write, registry);
    if (valid) continue;
    std::string& field = valid.error().field;
    if (field.starts_with(kRequest)) field = one.prefix + field.substr(kRequest.size());
    return valid;
  }
  return {};
}

Result<void> Orders::Checkout(const CheckoutRequest& request, WriteContext& context,
                              CheckoutReply* reply) {
  const std::vector<CheckoutWrite> writes = WritesOf(request);
  atomic::ExecuteRequest list;
  for (const CheckoutWrite& one : writes) *list.add_writes() = one.write;
  const store::Savepoint before = context.Mark();
  atomic::ExecuteReply result;
  if (Result<void> done = state_machine::ExecuteWrites(list, context, &result); !done) return done;

  if (result.outcome() == atomic::ExecuteOutcome::rejected) {
    reply->set_outcome(CheckoutOutcome::rejected);
    reply->set_failed(writes[result.failed()].part);
    reply->set_reason(result.results(0).outcome());
    *reply->mutable_results() = std::move(*result.mutable_results());
    return {};
  }
  if (const auto stranger = FindStranger(writes, result)) {
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
