#include "sim/order_requests.h"

#include "holdfast/atomic.pb.h"
#include "services/ledger/ledger.pb.h"
#include "sim/checkouts.h"

namespace holdfast::sim {
namespace {

constexpr uint64_t kProducts = 3;
constexpr uint64_t kCustomers = 2;
constexpr uint64_t kSetupSteps = 2 * kProducts + kCustomers + 3;
constexpr int64_t kPrices[kProducts] = {100, 250, 40};
constexpr size_t kParcelsKnown = 12;
constexpr size_t kOrdersKnown = 16;
constexpr int64_t kOverdraft = 12'000;

// A list of writes.
class List {
 public:
  template <class Request>
  List& Add(const char* method, const Request& request) {
    atomic::Write* write = list_.add_writes();
    write->set_method(method);
    write->set_request(request.SerializeAsString());
    return *this;
  }
  void Add(const CheckoutStep& step) {
    atomic::Write* write = list_.add_writes();
    write->set_method(step.method);
    write->set_request(step.request);
  }
  Asked Done() const { return AskedOf("atomic.Execute", list_); }

 private:
  atomic::ExecuteRequest list_;
};

template <class Request>
Request Of(const std::string& id) {
  Request request;
  request.set_id(id);
  return request;
}

}  // namespace

std::string OrderRequests::Sku() { return "p" + std::to_string(random_.Between(0, kProducts - 1)); }

// Ids move on slowly: repeats of the near past are frequent.
std::string OrderRequests::OrderId() {
  return "o" + std::to_string(++orders_ / 10 + random_.Between(0, 5));
}
std::string OrderRequests::CheckoutId() {
  return "k" + std::to_string(++checkouts_ / 6 + random_.Between(0, 5));
}

Asked OrderRequests::Setup(uint64_t step) {
  if (step < 2 * kProducts) {
    const std::string sku = "p" + std::to_string(step % kProducts);
    if (step < kProducts) {
      orders::CreateProductRequest request;
      request.set_sku(sku);
      request.set_price(kPrices[step]);
      request.set_currency("EUR");
      return AskedOf("orders.CreateProduct", request);
    }
    orders::ReceiveStockRequest request;
    request.set_sku(sku);
    request.set_quantity(12);
    return AskedOf("orders.ReceiveStock", request);
  }
  step -= 2 * kProducts;
  if (step < kCustomers) {
    orders::CreateCustomerRequest request;
    request.set_id("c" + std::to_string(step));
    request.set_currency("EUR");
    return AskedOf("orders.CreateCustomer", request);
  }
  step -= kCustomers;
  if (step < 2) {
    ledger::CreateAccountRequest request;
    request.set_id(step == 0 ? kBuyer : kShop);
    request.set_currency("EUR");
    if (step == 0) request.set_overdraft(kOverdraft);
    return AskedOf("ledger.CreateAccount", request);
  }
  queues::CreateRequest request;
  request.set_name(kParcels);
  request.set_visibility_seconds(1);
  request.set_max_messages(40);
  return AskedOf("queues.Create", request);
}

// An id always has the same content, or nearly always.
orders::CheckoutRequest OrderRequests::Checkout() {
  const std::string id = CheckoutId();
  uint64_t number = std::stoull(id.substr(1));
  if (random_.OneIn(15)) ++number;
  return CheckoutOf(id, number);
}

// With the money or the message of another that somebody was told to be done; or that other one
// once more, with other money. None of them may do anything.
orders::CheckoutRequest OrderRequests::Mixed() {
  std::vector<std::string> known;
  for (const auto& [id, state] : on_their_way_) {
    if (id.starts_with('k')) known.push_back(id);
  }
  if (known.empty()) return Checkout();
  const std::string& other = known[random_.Between(0, known.size() - 1)];
  const uint64_t number = std::stoull(other.substr(1));
  if (random_.OneIn(3)) {
    orders::CheckoutRequest request = CheckoutOf(other, number);
    request.mutable_payment()->set_id("again-" + other);
    request.mutable_payment()->set_hold(true);
    return request;
  }
  std::string id;
  do id = CheckoutId();
  while (id == other);
  orders::CheckoutRequest request = CheckoutOf(id, number);
  if (random_.OneIn(2)) {
    request.mutable_payment()->set_id(other);
  } else {
    request.mutable_message()->set_message_id(other);
    request.mutable_message()->set_payload(other);
  }
  return request;
}

orders::CheckoutRequest OrderRequests::CheckoutOf(const std::string& id, uint64_t number) {
  orders::CheckoutRequest request;
  request.set_id(id);
  request.set_customer("c" + std::to_string(number % kCustomers));
  for (uint64_t i = 0; i <= number % 2; ++i) {
    const uint64_t product = (number + i) % kProducts;
    orders::Item* item = request.add_lines();
    item->set_sku("p" + std::to_string(product));
    item->set_quantity(static_cast<uint32_t>(1 + number % 3));
    request.set_total(request.total() + kPrices[product] * item->quantity());
  }
  if (random_.OneIn(20)) request.set_total(request.total() + 1);
  request.mutable_payment()->set_from(kBuyer);
  request.mutable_payment()->set_to(kShop);
  if (number % 3 != 0) {
    request.mutable_payment()->set_hold(true);
    request.set_reservation_seconds(static_cast<uint32_t>(1 + number % 4));
  }
  request.mutable_message()->set_queue(random_.OneIn(25) ? "nowhere" : kParcels);
  request.mutable_message()->set_key(request.customer());
  return request;
}

orders::CheckStockRequest OrderRequests::CheckStock() {
  orders::CheckStockRequest request;
  request.set_sku(Sku());
  request.set_at_least(static_cast<int64_t>(random_.Between(1, 6)));
  return request;
}

queues::PullRequest OrderRequests::Pull() {
  queues::PullRequest request;
  request.set_queue(kParcels);
  request.set_max(static_cast<uint32_t>(random_.Between(1, 3)));
  return request;
}

Asked OrderRequests::OfStock() {
  switch (random_.Between(0, 5)) {
    case 0: {
      orders::WriteOffStockRequest request;
      request.set_sku(Sku());
      request.set_quantity(static_cast<uint32_t>(random_.Between(1, 4)));
      return AskedOf("orders.WriteOffStock", request);
    }
    case 1: {
      // For a while, nothing agrees with what was told.
      orders::UpdateProductRequest request;
      const uint64_t product = random_.Between(0, kProducts - 1);
      request.set_sku("p" + std::to_string(product));
      request.set_price(kPrices[product] + (random_.OneIn(8) ? 1 : 0));
      return AskedOf("orders.UpdateProduct", request);
    }
    case 2: return AskedOf("orders.CheckStock", CheckStock());
    case 3: {
      // The shop pays for something, so that the buyer has money again.
      ledger::CreateTransferRequest request;
      request.set_id("refund-" + std::to_string(++refunds_));
      request.set_from(kShop);
      request.set_to(kBuyer);
      request.set_amount(static_cast<int64_t>(random_.Between(1, 2'000)));
      return AskedOf("ledger.CreateTransfer", request);
    }
    default: {
      orders::ReceiveStockRequest request;
      request.set_sku(Sku());
      request.set_quantity(static_cast<uint32_t>(random_.Between(1, 8)));
      return AskedOf("orders.ReceiveStock", request);
    }
  }
}

// The next step of an order, or one that is not for it.
Asked OrderRequests::OfOrder(const std::string& id) {
  switch (random_.Between(0, 9)) {
    case 0:
    case 1: {
      auto request = Of<orders::PlaceOrderRequest>(id);
      request.set_customer("c" + std::to_string(random_.Between(0, kCustomers)));
      orders::Item* item = request.add_lines();
      item->set_sku(Sku());
      item->set_quantity(static_cast<uint32_t>(random_.Between(1, 4)));
      return AskedOf("orders.PlaceOrder", request);
    }
    case 2:
    case 3: {
      auto request = Of<orders::ReserveOrderRequest>(id);
      request.set_reservation_seconds(static_cast<uint32_t>(random_.Between(1, 3)));
      return AskedOf("orders.ReserveOrder", request);
    }
    case 4: {
      auto request = Of<orders::PayOrderRequest>(id);
      request.set_payment(random_.OneIn(6) ? "cheque" : "cash");
      return AskedOf("orders.PayOrder", request);
    }
    case 5: return AskedOf("orders.PackOrder", Of<orders::PackOrderRequest>(id));
    case 6:
      if (random_.OneIn(3)) {
        auto request = Of<orders::CancelOrderRequest>(id);
        request.set_reason("r");
        return AskedOf("orders.CancelOrder", request);
      }
      if (random_.OneIn(2)) {
        auto request = Of<orders::ReturnOrderRequest>(id);
        request.set_discard(random_.OneIn(2));
        return AskedOf("orders.ReturnOrder", request);
      }
      [[fallthrough]];
    case 7:
      if (random_.OneIn(3)) {
        auto request = Of<orders::CheckOrderRequest>(id);
        request.add_states(orders::OrderState::paid);
        request.add_states(orders::OrderState::shipped);
        return AskedOf("orders.CheckOrder", request);
      }
      [[fallthrough]];
    case 8: {
      auto request = Of<orders::ShipOrderRequest>(id);
      request.set_shipment("s" + std::to_string(random_.Between(1, 3)));
      if (random_.OneIn(2)) {
        orders::Item* item = request.add_lines();
        item->set_sku(Sku());
        item->set_quantity(1);
      }
      return AskedOf("orders.ShipOrder", request);
    }
    default: {
      auto request = Of<orders::DeliverOrderRequest>(id);
      if (random_.OneIn(2)) request.set_shipment("s" + std::to_string(random_.Between(1, 3)));
      return AskedOf("orders.DeliverOrder", request);
    }
  }
}

Asked OrderRequests::Next(const std::string& id, orders::OrderState::Code state) {
  using orders::OrderState;
  switch (state) {
    case OrderState::placed: {
      auto request = Of<orders::ReserveOrderRequest>(id);
      request.set_reservation_seconds(static_cast<uint32_t>(random_.Between(1, 4)));
      return AskedOf("orders.ReserveOrder", request);
    }
    case OrderState::stock_reserved: {
      auto pay = Of<orders::PayOrderRequest>(id);
      if (id.starts_with('o')) {
        pay.set_payment("cash");
        return AskedOf("orders.PayOrder", pay);
      }
      pay.set_payment(id);
      List list;
      list.Add("ledger.PostTransfer", Of<ledger::PostTransferRequest>(id));
      list.Add("orders.PayOrder", pay);
      if (random_.OneIn(2)) list.Add("orders.PackOrder", Of<orders::PackOrderRequest>(id));
      return list.Done();
    }
    case OrderState::paid: return AskedOf("orders.PackOrder", Of<orders::PackOrderRequest>(id));
    case OrderState::packed:
    case OrderState::partly_shipped: {
      auto request = Of<orders::ShipOrderRequest>(id);
      request.set_shipment("s" + std::to_string(random_.Between(1, 3)));
      if (random_.OneIn(2)) {
        orders::Item* item = request.add_lines();
        item->set_sku(Sku());
        item->set_quantity(1);
      }
      return AskedOf("orders.ShipOrder", request);
    }
    default: return AskedOf("orders.DeliverOrder", Of<orders::DeliverOrderRequest>(id));
  }
}

// What touches the money, the goods or the message of a checkout touches what belongs to them.
Asked OrderRequests::OfCheckout() {
  const std::string id = CheckoutId();
  switch (random_.Between(0, 8)) {
    case 0: {
      // What a checkout stands for, written out and with more conditions.
      const orders::CheckoutRequest checkout = Checkout();
      auto absent = Of<orders::CheckOrderRequest>(checkout.id());
      absent.set_absent(true);
      ledger::CheckAccountRequest funds;
      funds.set_id(kBuyer);
      funds.set_at_least(-static_cast<int64_t>(random_.Between(0, kOverdraft)));
      List list;
      list.Add("orders.CheckOrder", absent).Add("ledger.CheckAccount", funds);
      for (const CheckoutStep& step : StepsOf(checkout)) list.Add(step);
      return list.Done();
    }
    case 1:
    case 2: {
      auto pay = Of<orders::PayOrderRequest>(id);
      pay.set_payment(id);
      return List()
          .Add("ledger.PostTransfer", Of<ledger::PostTransferRequest>(id))
          .Add("orders.PayOrder", pay)
          .Done();
    }
    case 3: {
      auto reverse = Of<ledger::ReverseTransferRequest>(id);
      reverse.set_reversal_id("back-" + id);
      return List()
          .Add("orders.CancelOrder", Of<orders::CancelOrderRequest>(id))
          .Add("ledger.ReverseTransfer", reverse)
          .Done();
    }
    case 4:
      return List()
          .Add("orders.CancelOrder", Of<orders::CancelOrderRequest>(id))
          .Add("ledger.VoidTransfer", Of<ledger::VoidTransferRequest>(id))
          .Done();
    case 5: {
      auto reverse = Of<ledger::ReverseTransferRequest>(id);
      reverse.set_reversal_id("back-" + id);
      return List()
          .Add("orders.ReturnOrder", Of<orders::ReturnOrderRequest>(id))
          .Add("ledger.ReverseTransfer", reverse)
          .Done();
    }
    case 6: {
      auto request = Of<orders::ShipOrderRequest>(id);
      request.set_shipment("s" + std::to_string(random_.Between(1, 2)));
      return AskedOf("orders.ShipOrder", request);
    }
    case 7: return AskedOf("orders.DeliverOrder", Of<orders::DeliverOrderRequest>(id));
    default: return AskedOf("orders.PackOrder", Of<orders::PackOrderRequest>(id));
  }
}

Asked OrderRequests::Make() {
  if (++made_ <= kSetupSteps) return Setup(made_ - 1);
  // Should one of the first have been given up.
  if (random_.OneIn(40)) return Setup(random_.Between(0, kSetupSteps - 1));
  switch (random_.Between(0, 19)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: return AskedOf("orders.Checkout", random_.OneIn(6) ? Mixed() : Checkout());
    case 5:
    case 6:
    case 7:
    case 8: return OfCheckout();
    case 9:
    case 10: return AskedOf("queues.Pull", Pull());
    case 11:
    case 12: {
      if (parcels_.empty()) return AskedOf("queues.Pull", Pull());
      // Who packs a parcel is done with its message, as is who finds that it cannot be packed.
      const auto [delivery, order] = parcels_[random_.Between(0, parcels_.size() - 1)];
      queues::AckRequest ack;
      ack.set_queue(kParcels);
      ack.add_deliveries(delivery);
      if (random_.OneIn(3)) return AskedOf("queues.Ack", ack);
      return List()
          .Add("queues.Ack", ack)
          .Add("orders.PackOrder", Of<orders::PackOrderRequest>(order))
          .Done();
    }
    case 13:
    case 14: return OfStock();
    case 15:
    case 16:
    case 17: {
      if (on_their_way_.empty()) return OfOrder(OrderId());
      const auto [id, state] = on_their_way_[random_.Between(0, on_their_way_.size() - 1)];
      return Next(id, state);
    }
    default: return OfOrder(OrderId());
  }
}

Asked OrderRequests::MakeRead(int64_t /*from_us*/, int64_t /*to_us*/) {
  const std::string id = random_.OneIn(2) ? OrderId() : CheckoutId();
  switch (random_.Between(0, 7)) {
    case 0: {
      orders::GetProductRequest request;
      request.set_sku(Sku());
      return AskedOf("orders.GetProduct", request);
    }
    case 1: return AskedOf("orders.ListProducts", orders::ListProductsRequest());
    case 2: {
      orders::GetCustomerRequest request;
      request.set_id("c" + std::to_string(random_.Between(0, kCustomers)));
      return AskedOf("orders.GetCustomer", request);
    }
    case 3: {
      orders::ListCustomersRequest request;
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 2)));
      if (random_.OneIn(2)) request.set_from("c1");
      return AskedOf("orders.ListCustomers", request);
    }
    case 4: {
      orders::ListOrdersRequest request;
      request.set_state(
          static_cast<orders::OrderState::Code>(random_.Between(1, orders::OrderState::Code_MAX)));
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 9)));
      if (random_.OneIn(3)) request.set_cursor(std::to_string(random_.Between(1, 60)));
      return AskedOf("orders.ListOrders", request);
    }
    case 5: {
      orders::ListCustomerOrdersRequest request;
      request.set_customer("c" + std::to_string(random_.Between(0, kCustomers)));
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 9)));
      return AskedOf("orders.ListCustomerOrders", request);
    }
    default: return AskedOf("orders.GetOrder", Of<orders::GetOrderRequest>(id));
  }
}

void OrderRequests::Know(const std::string& id, orders::OrderState::Code state) {
  std::erase_if(on_their_way_, [&](const auto& one) { return one.first == id; });
  if (state >= orders::OrderState::delivered) return;
  on_their_way_.emplace_front(id, state);
  if (on_their_way_.size() > kOrdersKnown) on_their_way_.pop_back();
}

void OrderRequests::Learn(const std::string& method, const google::protobuf::Message& request,
                          const std::string& reply) {
  if (method == "orders.Checkout") {
    const auto& checkout = static_cast<const orders::CheckoutRequest&>(request);
    orders::CheckoutReply done;
    if (!done.ParseFromString(reply) || done.outcome() != orders::CheckoutOutcome::done) return;
    Know(checkout.id(),
         checkout.payment().hold() ? orders::OrderState::stock_reserved : orders::OrderState::paid);
    return;
  }
  orders::OrderReply told;
  const bool of_order =
      method.starts_with("orders.") && method.ends_with("Order") && method != "orders.CheckOrder";
  if (of_order && told.ParseFromString(reply) && told.has_order()) {
    Know(told.order().id(), told.order().state());
  }
  if (method != "queues.Pull") return;
  if (static_cast<const queues::PullRequest&>(request).queue() != kParcels) return;
  queues::PullReply pulled;
  if (!pulled.ParseFromString(reply)) return;
  for (const queues::Message& message : pulled.messages()) {
    parcels_.emplace_front(message.delivery(), message.payload());
  }
  while (parcels_.size() > kParcelsKnown) parcels_.pop_back();
}

}  // namespace holdfast::sim
