#include "sim/order_promises.h"

#include <map>

#include "services/ledger/ledger.pb.h"
#include "services/orders/orders.pb.h"
#include "services/queues/queues.pb.h"
#include "sim/judge.h"
#include "sim/order_requests.h"
#include "src/base/timestamp.h"

namespace holdfast::sim {
namespace {

using ledger::TransferState;
using orders::OrderState;

constexpr uint32_t kRowsMax = 1'000;

bool OfCheckout(const std::string& id) { return id.starts_with('k'); }

orders::Order AskOrder(const std::string& id, const AskNode& ask) {
  orders::GetOrderRequest request;
  request.set_id(id);
  return Parsed<orders::Order>(ask("orders.GetOrder", request));
}

ledger::Transfer AskTransfer(const std::string& id, const AskNode& ask) {
  ledger::GetTransferRequest request;
  request.set_id(id);
  return Parsed<ledger::Transfer>(ask("ledger.GetTransfer", request));
}

}  // namespace

void OrderPromises::Applied(const Entry& entry, int64_t log_us) {
  if (entry.is_command) true_us_[log_us] = entry.true_us;
  for (const Logged& write : entry.writes) {
    if (write.method != "orders.PlaceOrder") continue;  // Of a checkout, or of such a list.
    const auto request = Parsed<orders::PlaceOrderRequest>(write.body);
    if (OfCheckout(request.id())) checkouts_.insert(request.id());
  }
}

void OrderPromises::Hear(const Told& told) {
  if (told.method == "orders.Checkout") {
    const auto reply = Parsed<orders::CheckoutReply>(told.reply);
    if (reply.outcome() == orders::CheckoutOutcome::rejected) return;
    const auto request = Parsed<orders::CheckoutRequest>(told.request);
    done_.insert(request.id());
    if (reply.outcome() != orders::CheckoutOutcome::done || !request.payment().hold()) return;
    reserved_until_us_[request.id()] =
        told.began_us + request.reservation_seconds() * uint64_t{1'000'000};
  } else if (told.method == "orders.ReserveOrder") {
    const auto reply = Parsed<orders::OrderReply>(told.reply);
    if (reply.outcome() != orders::OrderOutcome::stock_reserved) return;
    const auto request = Parsed<orders::ReserveOrderRequest>(told.request);
    reserved_until_us_[request.id()] =
        told.began_us + request.reservation_seconds() * uint64_t{1'000'000};
  } else if (told.method == "queues.Pull") {
    if (Parsed<queues::PullRequest>(told.request).queue() != kParcels) return;
    const auto reply = Parsed<queues::PullReply>(told.reply);
    for (const queues::Message& message : reply.messages()) pulled_.insert(message.message_id());
  }
}

// The order and the transfer of one id say the same of each other.
void OrderPromises::CheckMoney(const std::string& id, const AskNode& ask) const {
  const orders::Order order = AskOrder(id, ask);
  const ledger::Transfer transfer = AskTransfer(id, ask);
  Require(order.id().empty() == transfer.id().empty(),
          id + (order.id().empty() ? ": money without an order" : ": an order without money"));
  if (order.id().empty()) {
    Require(!done_.contains(id), id + ": a checkout that was done left no order");
    return;
  }
  const std::string shown =
      id + " is " + order.ShortDebugString() + "\nand its money " + transfer.ShortDebugString();
  Require(transfer.amount() == order.total() && transfer.from() == kBuyer && transfer.to() == kShop,
          "another amount: " + shown);
  const bool taken = transfer.state() == TransferState::posted && transfer.reversed_by().empty();
  switch (order.state()) {
    case OrderState::stock_reserved:
      // The time of the money may be over a little earlier.
      Require(!taken, "money was taken for what is only reserved: " + shown);
      break;
    case OrderState::cancelled:
    case OrderState::returned:
      Require(!taken && transfer.state() != TransferState::pending,
              "money without an order: " + shown);
      break;
    case OrderState::placed: Require(false, "placed, and nothing reserved: " + shown); break;
    default: Require(taken && order.payment() == id, "an order without money: " + shown);
  }
}

void OrderPromises::CheckMessages(const AskNode& ask) const {
  std::set<std::string> published = pulled_;
  queues::PeekRequest peek;
  peek.set_queue(kParcels);
  peek.set_limit(kRowsMax);
  const auto kept = Parsed<queues::PeekReply>(ask("queues.Peek", peek));
  for (const queues::Message& message : kept.messages()) published.insert(message.message_id());
  for (const std::string& id : published) {
    Require(!AskOrder(id, ask).id().empty(), id + ": a message without an order");
  }
  for (const std::string& id : done_) {
    Require(published.contains(id), id + ": the message of a checkout that was done is lost");
  }
}

// Of each product, counted from the orders that there are.
void OrderPromises::CheckStock(const AskNode& ask) const {
  std::map<std::string, int64_t> waiting;
  std::map<std::string, int64_t> shipped;
  for (int state = 1; state <= OrderState::Code_MAX; ++state) {
    orders::ListOrdersRequest list;
    list.set_state(static_cast<OrderState::Code>(state));
    list.set_limit(kRowsMax);
    do {
      const auto page = Parsed<orders::ListOrdersReply>(ask("orders.ListOrders", list));
      for (const orders::Order& order : page.orders()) {
        const bool waits = order.state() >= OrderState::stock_reserved &&
                           order.state() <= OrderState::partly_shipped;
        for (const orders::OrderLine& line : order.lines()) {
          if (waits) waiting[line.sku()] += line.quantity() - line.shipped();
          shipped[line.sku()] += line.shipped();
        }
      }
      list.set_cursor(page.next_cursor());
    } while (!list.cursor().empty());
  }
  const auto all =
      Parsed<orders::ListProductsReply>(ask("orders.ListProducts", orders::ListProductsRequest()));
  for (const orders::Product& product : all.products()) {
    const std::string& sku = product.sku();
    const int64_t came = product.received() + product.returned();
    const int64_t went = product.written_off() + product.shipped();
    Require(product.shipped() == shipped[sku] && product.reserved() == waiting[sku] &&
                product.on_hand() == came - went && product.reserved() <= product.on_hand(),
            "the stock of " + sku + " is not that of the orders: " + product.ShortDebugString());
  }
}

// A reservation is not over before the time that was promised, whoever led meanwhile.
void OrderPromises::CheckTimes(const AskNode& ask) const {
  if (!exact_) return;
  for (const auto& [id, until_us] : reserved_until_us_) {
    const orders::Order order = AskOrder(id, ask);
    if (!order.expired()) continue;
    const auto& time = order.history().rbegin()->time();
    const auto entry = true_us_.find(FloorUs(time));
    Require(entry != true_us_.end(), id + " expired at a time that no entry has");
    Require(entry->second >= until_us, "the reservation of " + id + " ended " +
                                           std::to_string(until_us - entry->second) +
                                           " us too early");
  }
}

void OrderPromises::Check(const AskNode& ask) const {
  for (const std::string& id : checkouts_) CheckMoney(id, ask);
  CheckMessages(ask);
  CheckStock(ask);
  CheckTimes(ask);
}

}  // namespace holdfast::sim
