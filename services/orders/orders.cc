#include "services/orders/orders.h"

#include <algorithm>
#include <map>

#include "services/orders/checkout.h"
#include "services/orders/describe.h"
#include "services/orders/validate.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/state_machine/registry.h"

namespace holdfast::orders {
namespace {

bool SameMetadata(const Metadata& stored, const PlaceOrderRequest& request) {
  return stored == Metadata(request.metadata().begin(), request.metadata().end());
}

bool SameLines(const std::vector<LineEntry>& stored, const PlaceOrderRequest& request) {
  return std::equal(stored.begin(), stored.end(), request.lines().begin(), request.lines().end(),
                    [](const LineEntry& line, const Item& item) {
                      return line.sku == item.sku() && line.quantity == item.quantity();
                    });
}

// Which lines of the order are meant, in their order; `sku` gets the first that is not there.
std::optional<std::vector<PartEntry>> PartsOf(const ShipOrderRequest& request, const OrderRow& row,
                                              std::string* sku) {
  std::map<std::string, uint32_t> wanted;
  for (const Item& item : request.lines()) {
    const bool ordered = std::any_of(row.lines.begin(), row.lines.end(),
                                     [&](const LineEntry& line) { return line.sku == item.sku(); });
    if (!ordered) {
      *sku = item.sku();
      return std::nullopt;
    }
    wanted[item.sku()] = item.quantity();
  }
  std::vector<PartEntry> parts;
  for (uint32_t at = 0; at < row.lines.size(); ++at) {
    const LineEntry& line = row.lines[at];
    const auto asked = wanted.find(line.sku);
    if (request.lines().empty()) {
      if (line.left() > 0) parts.push_back({at, line.left()});
    } else if (asked != wanted.end()) {
      parts.push_back({at, asked->second});
    }
  }
  return parts;
}

}  // namespace

// --- Placing

OrderOutcome::Code Orders::Repeat(const OrderRow& row, const PlaceOrderRequest& request,
                                  OrderReply* reply) const {
  const bool other_total = request.total() != 0 && request.total() != row.total;
  if (row.customer != request.customer()) {
    reply->set_field("customer");
  } else if (!SameLines(row.lines, request)) {
    reply->set_field("lines");
  } else if (other_total) {
    reply->set_field("total");
  } else if (!SameMetadata(row.metadata, request)) {
    reply->set_field("metadata");
  }
  return reply->field().empty() ? OrderOutcome::already_exists
                                : OrderOutcome::exists_with_different_fields;
}

// The lines at the prices of now; `placed`: nothing is in the way.
OrderOutcome::Code Orders::Price(const PlaceOrderRequest& request, OrderRow* row,
                                 OrderReply* reply) {
  const CustomerRow* customer = tables_.customers.Find(request.customer());
  if (customer == nullptr) return OrderOutcome::customer_not_found;
  row->currency = customer->currency;
  for (const Item& item : request.lines()) {
    const ProductRow* product = tables_.products.Find(item.sku());
    reply->set_sku(item.sku());
    if (product == nullptr) return OrderOutcome::product_not_found;
    if (product->currency != row->currency) return OrderOutcome::currency_mismatch;
    row->lines.push_back({item.sku(), item.quantity(), product->price, 0});
  }
  for (const LineEntry& line : row->lines) {
    int64_t amount = 0;
    if (__builtin_mul_overflow(line.price, line.quantity, &amount) ||
        __builtin_add_overflow(row->total, amount, &row->total)) {
      reply->set_sku(line.sku);
      return OrderOutcome::overflow;
    }
  }
  reply->clear_sku();
  if (request.total() == 0 || request.total() == row->total) return OrderOutcome::placed;
  reply->set_total(row->total);
  return OrderOutcome::total_differs;
}

Result<void> Orders::PlaceOrder(const PlaceOrderRequest& request, WriteContext& context,
                                OrderReply* reply) {
  Transition order(tables_, context);
  if (order.Open(request.id())) {
    reply->set_outcome(Repeat(order.row(), request, reply));
  } else {
    OrderRow row;
    reply->set_outcome(Price(request, &row, reply));
    if (reply->outcome() != OrderOutcome::placed) return {};
    row.id = request.id();
    row.customer = request.customer();
    row.metadata = Metadata(request.metadata().begin(), request.metadata().end());
    order.Begin(std::move(row));
  }
  FillOrder(order.row(), context.lease_now(), reply->mutable_order());
  return {};
}

// --- The other steps

// `take` does what the state allows, and says how it went; what repeats a step that is behind the
// order it is asked about, too.
template <class Request, class Do>
Result<void> Orders::Take(Step step, const Request& request, WriteContext& context,
                          OrderReply* reply, Do take) {
  Transition order(tables_, context);
  if (!order.Open(request.id())) {
    reply->set_outcome(OrderOutcome::order_not_found);
    return {};
  }
  const OrderRow& row = order.row();
  if (May(step, row.state) || HasDone(step, row.state)) {
    reply->set_outcome(take(order));
  } else {
    reply->set_outcome(row.expired ? OrderOutcome::reservation_expired : OrderOutcome::wrong_state);
  }
  FillOrder(row, context.lease_now(), reply->mutable_order());
  return {};
}

Result<void> Orders::ReserveOrder(const ReserveOrderRequest& request, WriteContext& context,
                                  OrderReply* reply) {
  return Take(Step::kReserve, request, context, reply, [&](Transition& order) {
    if (!May(Step::kReserve, order.row().state)) return OrderOutcome::already_done;
    const Transition::Lack lack = order.FindLack();
    reply->set_sku(lack.sku);
    if (lack.why != OrderOutcome::unspecified) return lack.why;
    order.Reserve(request.reservation_seconds() != 0 ? request.reservation_seconds()
                                                     : bounds::kReservationSecondsDefault);
    return OrderOutcome::stock_reserved;
  });
}

Result<void> Orders::PayOrder(const PayOrderRequest& request, WriteContext& context,
                              OrderReply* reply) {
  return Take(Step::kPay, request, context, reply, [&](Transition& order) {
    if (!May(Step::kPay, order.row().state)) {
      if (order.row().payment == request.payment()) return OrderOutcome::already_done;
      reply->set_field("payment");
      return OrderOutcome::exists_with_different_fields;
    }
    return order.Pay(request.payment()) ? OrderOutcome::paid : OrderOutcome::overflow;
  });
}

Result<void> Orders::PackOrder(const PackOrderRequest& request, WriteContext& context,
                               OrderReply* reply) {
  return Take(Step::kPack, request, context, reply, [&](Transition& order) {
    if (!May(Step::kPack, order.row().state)) return OrderOutcome::already_done;
    order.Pack();
    return OrderOutcome::packed;
  });
}

OrderOutcome::Code Orders::Ship(const ShipOrderRequest& request, Transition& order,
                                OrderReply* reply) {
  const OrderRow& row = order.row();
  const auto parts = PartsOf(request, row, reply->mutable_sku());
  if (const auto at = order.FindShipment(request.shipment())) {
    reply->clear_sku();
    const bool same = request.lines().empty() || parts == order.ShipmentAt(*at).parts;
    if (same) return OrderOutcome::already_done;
    reply->set_field("lines");
    return OrderOutcome::exists_with_different_fields;
  }
  if (!May(Step::kShip, row.state)) {
    reply->clear_sku();
    return OrderOutcome::wrong_state;
  }
  if (!parts) return OrderOutcome::not_ordered;
  std::vector<LineEntry> after = row.lines;
  for (const PartEntry& part : *parts) {
    LineEntry& line = after[part.line];
    if (part.quantity > line.left()) {
      reply->set_sku(line.sku);
      return OrderOutcome::exceeds_ordered;
    }
    line.shipped += part.quantity;
  }
  const bool last = std::all_of(after.begin(), after.end(),
                                [](const LineEntry& line) { return line.left() == 0; });
  if (row.shipments + 1 >= bounds::kOrderShipmentsMax && !last) {
    return OrderOutcome::too_many_shipments;
  }
  order.Ship(request.shipment(), *parts);
  return OrderOutcome::shipped;
}

Result<void> Orders::ShipOrder(const ShipOrderRequest& request, WriteContext& context,
                               OrderReply* reply) {
  return Take(Step::kShip, request, context, reply,
              [&](Transition& order) { return Ship(request, order, reply); });
}

OrderOutcome::Code Orders::Deliver(const DeliverOrderRequest& request, Transition& order) {
  std::vector<uint64_t> arrived = order.UnderWay();
  size_t left = arrived.size();
  if (!request.shipment().empty()) {
    const auto named = order.FindShipment(request.shipment());
    if (!named) return OrderOutcome::shipment_not_found;
    std::erase_if(arrived, [&](uint64_t at) { return at != *named; });
  }
  for (const uint64_t at : arrived) order.Deliver(at, --left == 0);
  return arrived.empty() ? OrderOutcome::already_done : OrderOutcome::delivered;
}

Result<void> Orders::DeliverOrder(const DeliverOrderRequest& request, WriteContext& context,
                                  OrderReply* reply) {
  return Take(Step::kDeliver, request, context, reply,
              [&](Transition& order) { return Deliver(request, order); });
}

Result<void> Orders::CancelOrder(const CancelOrderRequest& request, WriteContext& context,
                                 OrderReply* reply) {
  return Take(Step::kCancel, request, context, reply, [&](Transition& order) {
    if (!May(Step::kCancel, order.row().state)) return OrderOutcome::already_done;
    order.Cancel(request.reason());
    return OrderOutcome::cancelled;
  });
}

Result<void> Orders::ReturnOrder(const ReturnOrderRequest& request, WriteContext& context,
                                 OrderReply* reply) {
  return Take(Step::kReturn, request, context, reply, [&](Transition& order) {
    if (!May(Step::kReturn, order.row().state)) {
      if (order.row().discarded == request.discard()) return OrderOutcome::already_done;
      reply->set_field("discard");
      return OrderOutcome::exists_with_different_fields;
    }
    order.Return(request.reason(), request.discard());
    return OrderOutcome::returned;
  });
}

void Orders::OnTimer(WriteContext& context, std::string_view key) {
  OrderNumber number = 0;
  HOLDFAST_CHECK(store::DecodeKey(key, &number).has_value(), "orders: a timer without a key");
  Transition order(tables_, context);
  order.Open(number);
  order.Due();
}

// --- Preconditions

Result<void> Orders::CheckOrder(const CheckOrderRequest& request, WriteContext& context,
                                CheckReply* reply) {
  const NumberRow* number = tables_.ids.Find(request.id());
  if (number == nullptr) {
    reply->set_outcome(request.absent() ? CheckOutcome::valid : CheckOutcome::order_not_found);
    return {};
  }
  reply->set_state(StateAt(*tables_.orders.Find(number->number), context.lease_now()));
  const auto& states = request.states();
  const bool is_one = std::find(states.begin(), states.end(), reply->state()) != states.end();
  reply->set_outcome(request.absent() ? CheckOutcome::order_exists
                     : is_one         ? CheckOutcome::valid
                                      : CheckOutcome::wrong_state);
  return {};
}

Result<void> Orders::CheckStock(const CheckStockRequest& request, WriteContext& /*context*/,
                                CheckReply* reply) {
  const ProductRow* product = tables_.products.Find(request.sku());
  if (product == nullptr) {
    reply->set_outcome(CheckOutcome::product_not_found);
    return {};
  }
  reply->set_available(product->available());
  reply->set_outcome(product->available() >= request.at_least() ? CheckOutcome::valid
                                                                : CheckOutcome::insufficient_stock);
  return {};
}

// --- The method table

void Register(state_machine::Registry& registry) {
  registry.Add("holdfast.orders.Orders", std::make_unique<Orders>(registry.store()))
      .Write("CreateProduct", &Orders::CreateProduct, &Validate)
      .Write("UpdateProduct", &Orders::UpdateProduct, &Validate)
      .Write("ReceiveStock", &Orders::ReceiveStock)
      .Write("WriteOffStock", &Orders::WriteOffStock)
      .Read("GetProduct", &Orders::GetProduct)
      .Read("ListProducts", &Orders::ListProducts)
      .Write("CreateCustomer", &Orders::CreateCustomer, &Validate)
      .Read("GetCustomer", &Orders::GetCustomer)
      .Read("ListCustomers", &Orders::ListCustomers, &Validate)
      .Write("PlaceOrder", &Orders::PlaceOrder, &Validate)
      .Write("ReserveOrder", &Orders::ReserveOrder)
      .Write("PayOrder", &Orders::PayOrder, &Validate)
      .Write("PackOrder", &Orders::PackOrder)
      .Write("ShipOrder", &Orders::ShipOrder, &Validate)
      .Write("DeliverOrder", &Orders::DeliverOrder)
      .Write("CancelOrder", &Orders::CancelOrder, &Validate)
      .Write("ReturnOrder", &Orders::ReturnOrder, &Validate)
      .Read("GetOrder", &Orders::GetOrder)
      .Read("ListOrders", &Orders::ListOrders, &Validate)
      .Read("ListCustomerOrders", &Orders::ListCustomerOrders, &Validate)
      .Write("Checkout", &Orders::Checkout,
             [&registry](const CheckoutRequest& request) {
               return ValidateCheckout(request, registry);
             })
      .Write("CheckOrder", &Orders::CheckOrder, &Validate)
      .Write("CheckStock", &Orders::CheckStock);
}

}  // namespace holdfast::orders
