#include "sim/checkouts.h"

#include "services/ledger/ledger.pb.h"
#include "services/locks/locks.pb.h"
#include "services/queues/queues.pb.h"

namespace holdfast::sim {

std::vector<CheckoutStep> StepsOf(const orders::CheckoutRequest& request) {
  using orders::CheckoutPart;
  std::vector<CheckoutStep> steps;
  const std::string& id = request.id();
  const std::string payment = request.payment().id().empty() ? id : request.payment().id();
  const uint32_t seconds = request.reservation_seconds() == 0 ? 900 : request.reservation_seconds();
  if (request.has_lock()) {
    locks::CheckRequest check;
    check.set_name(request.lock().name());
    check.set_token(request.lock().token());
    steps.push_back({CheckoutPart::lock, "locks.Check", check.SerializeAsString()});
  }
  orders::PlaceOrderRequest place;
  place.set_id(id);
  place.set_customer(request.customer());
  place.mutable_lines()->CopyFrom(request.lines());
  place.set_total(request.total());
  place.mutable_metadata()->insert(request.metadata().begin(), request.metadata().end());
  steps.push_back({CheckoutPart::order, "orders.PlaceOrder", place.SerializeAsString()});
  orders::ReserveOrderRequest reserve;
  reserve.set_id(id);
  reserve.set_reservation_seconds(seconds);
  steps.push_back({CheckoutPart::stock, "orders.ReserveOrder", reserve.SerializeAsString()});
  ledger::CreateTransferRequest transfer;
  transfer.set_id(payment);
  transfer.set_from(request.payment().from());
  transfer.set_to(request.payment().to());
  transfer.set_amount(request.total());
  transfer.set_pending(request.payment().hold());
  if (transfer.pending()) transfer.set_timeout_seconds(seconds);
  steps.push_back({CheckoutPart::payment, "ledger.CreateTransfer", transfer.SerializeAsString()});
  if (!request.payment().hold()) {
    orders::PayOrderRequest pay;
    pay.set_id(id);
    pay.set_payment(payment);
    steps.push_back({CheckoutPart::order, "orders.PayOrder", pay.SerializeAsString()});
  }
  queues::PublishRequest publish;
  const orders::CheckoutMessage& message = request.message();
  publish.set_queue(message.queue());
  publish.set_key(message.key());
  const bool empty = message.payload().empty() && message.data().empty();
  publish.set_payload(empty ? id : message.payload());
  publish.set_data(message.data());
  publish.set_message_id(message.message_id().empty() ? id : message.message_id());
  publish.mutable_headers()->insert(message.headers().begin(), message.headers().end());
  steps.push_back({CheckoutPart::message, "queues.Publish", publish.SerializeAsString()});
  return steps;
}

}  // namespace holdfast::sim
