#include "services/orders/transitions.h"

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/base/reached.h"

namespace holdfast::orders {
namespace {

// A timer is named by its order's number.
std::string TimerKey(OrderNumber number) {
  std::string key;
  store::EncodeKey(number, &key);
  return key;
}

// How far an order has come, of those that are on their way.
int RankOf(OrderState::Code state) {
  switch (state) {
    case OrderState::placed: return 1;
    case OrderState::stock_reserved: return 2;
    case OrderState::paid: return 3;
    case OrderState::packed: return 4;
    case OrderState::partly_shipped: return 5;
    case OrderState::shipped: return 6;
    case OrderState::delivered: return 7;
    default: return 0;  // It goes nowhere any more.
  }
}

}  // namespace

bool May(Step step, OrderState::Code state) {
  switch (step) {
    case Step::kReserve: return state == OrderState::placed;
    case Step::kPay: return state == OrderState::stock_reserved;
    case Step::kPack: return state == OrderState::paid;
    case Step::kShip: return state == OrderState::packed || state == OrderState::partly_shipped;
    case Step::kDeliver: return state == OrderState::partly_shipped || state == OrderState::shipped;
    case Step::kCancel:
      return state == OrderState::placed || state == OrderState::stock_reserved ||
             state == OrderState::paid || state == OrderState::packed;
    case Step::kReturn:
      return state == OrderState::partly_shipped || state == OrderState::shipped ||
             state == OrderState::delivered;
  }
  return false;
}

bool HasDone(Step step, OrderState::Code state) {
  switch (step) {
    case Step::kReserve: return RankOf(state) >= RankOf(OrderState::stock_reserved);
    case Step::kPay: return RankOf(state) >= RankOf(OrderState::paid);
    case Step::kPack: return RankOf(state) >= RankOf(OrderState::packed);
    case Step::kShip: return RankOf(state) >= RankOf(OrderState::partly_shipped);
    case Step::kDeliver: return state == OrderState::delivered;
    case Step::kCancel: return state == OrderState::cancelled;
    case Step::kReturn: return state == OrderState::returned;
  }
  return false;
}

int64_t SpendOf(const OrderRow& order) {
  return HasDone(Step::kPay, order.state) ? order.total : 0;
}

uint64_t& CountOf(CustomerRow& customer, OrderState::Code state) {
  switch (state) {
    case OrderState::delivered: return customer.delivered;
    case OrderState::cancelled: return customer.cancelled;
    case OrderState::returned: return customer.returned;
    default: return customer.open;
  }
}

bool IsOver(const OrderRow& order, LeaseTime now) {
  return order.state == OrderState::stock_reserved && order.expires_us <= now.us;
}

OrderState::Code StateAt(const OrderRow& order, LeaseTime now) {
  return IsOver(order, now) ? OrderState::cancelled : order.state;
}

bool Transition::Open(const std::string& id) {
  const NumberRow* found = t_.ids.Find(id);
  if (found == nullptr) return false;
  Open(found->number);
  if (IsOver(row_, context_.lease_now())) {
    HOLDFAST_REACHED("orders.transitions.expires_before_its_timer");
    Expire();
  }
  return true;
}

void Transition::Open(OrderNumber number) {
  const OrderRow* row = t_.orders.Find(number);
  HOLDFAST_CHECK(row != nullptr, "no order has number " + std::to_string(number));
  number_ = number;
  row_ = *row;
}

void Transition::Begin(OrderRow row) {
  const MetaRow* stored = t_.meta.Find(kOnlyRow);
  MetaRow meta = stored == nullptr ? MetaRow{} : *stored;
  number_ = ++meta.orders;
  t_.meta.Put(kOnlyRow, meta);
  row_ = std::move(row);
  row_.placed_us = context_.now().us;
  t_.ids.Put(row_.id, {number_});
  t_.by_customer.PutNew({row_.customer, number_}, {});
  CustomerRow customer = *t_.customers.Find(row_.customer);
  ++customer.orders;
  customer.last_order = row_.id;
  customer.last_order_us = row_.placed_us;
  t_.customers.Put(row_.customer, std::move(customer));
  Enter(OrderState::placed, {});
}

void Transition::Enter(OrderState::Code state, EventRow event) {
  const OrderState::Code before = row_.state;
  const bool is_new = before == OrderState::unspecified;
  CustomerRow customer = *t_.customers.Find(row_.customer);
  if (!is_new) {
    --CountOf(customer, before);
    customer.spend -= SpendOf(row_);
  }
  row_.state = state;
  row_.changed_us = context_.now().us;
  ++CountOf(customer, state);
  customer.spend += SpendOf(row_);
  t_.customers.Put(row_.customer, std::move(customer));
  if (state != before) {
    if (!is_new) t_.by_state.EraseKnown({before, number_});
    t_.by_state.PutNew({state, number_}, {});  // An order is in no state twice.
  }
  event.state = state;
  event.time_us = row_.changed_us;
  t_.events.Put({number_, row_.events++}, std::move(event));
  if (state != OrderState::stock_reserved && row_.expires_us != 0) {
    context_.CancelLeaseTimer(TimerKey(number_), &row_.timer_us);
    row_.expires_us = 0;
  }
  is_new ? t_.orders.PutNew(number_, row_) : t_.orders.Put(number_, row_);
}

template <class Change>
void Transition::ChangeProduct(const std::string& sku, Change change) {
  ProductRow product = *t_.products.Find(sku);
  change(&product);
  HOLDFAST_CHECK(product.reserved >= 0 && product.on_hand >= product.reserved,
                 "more of " + sku + " is reserved than there is");
  t_.products.Put(sku, std::move(product));
}

Transition::Lack Transition::FindLack() {
  for (const LineEntry& line : row_.lines) {
    const ProductRow& product = *t_.products.Find(line.sku);
    int64_t sum = 0;
    if (__builtin_add_overflow(product.reserved, line.quantity, &sum) ||
        __builtin_add_overflow(product.shipped, sum, &sum)) {
      return {OrderOutcome::overflow, line.sku};
    }
    if (product.available() < line.quantity) return {OrderOutcome::insufficient_stock, line.sku};
  }
  return {};
}

void Transition::Reserve(uint32_t seconds) {
  for (const LineEntry& line : row_.lines) {
    ChangeProduct(line.sku, [&](ProductRow* product) { product->reserved += line.quantity; });
  }
  row_.expires_us = context_.lease_now().us + int64_t{seconds} * 1'000'000;
  context_.SetLeaseTimer(LeaseTime{row_.expires_us}, TimerKey(number_), &row_.timer_us);
  Enter(OrderState::stock_reserved, {});
}

bool Transition::Pay(const std::string& payment) {
  int64_t unused = 0;
  const int64_t spend = t_.customers.Find(row_.customer)->spend;
  if (__builtin_add_overflow(spend, row_.total, &unused)) return false;
  row_.payment = payment;
  Enter(OrderState::paid, {});
  return true;
}

void Transition::Ship(const std::string& shipment, std::vector<PartEntry> parts) {
  for (const PartEntry& part : parts) {
    LineEntry& line = row_.lines[part.line];
    line.shipped += part.quantity;
    ChangeProduct(line.sku, [&](ProductRow* product) {
      product->on_hand -= part.quantity;
      product->reserved -= part.quantity;
      product->shipped += part.quantity;
    });
  }
  ShipmentRow row{shipment, std::move(parts), context_.now().us, 0};
  t_.shipments.PutNew({number_, row_.shipments++}, std::move(row));
  EventRow event;
  event.shipment = shipment;
  Enter(row_.AllShipped() ? OrderState::shipped : OrderState::partly_shipped, std::move(event));
}

void Transition::Deliver(uint64_t at, bool last) {
  ShipmentRow shipment = ShipmentAt(at);
  shipment.delivered_us = context_.now().us;
  EventRow event;
  event.shipment = shipment.id;
  t_.shipments.Put({number_, at}, std::move(shipment));
  const bool all = last && row_.state == OrderState::shipped;
  Enter(all ? OrderState::delivered : row_.state, std::move(event));
}

void Transition::ReleaseStock() {
  for (const LineEntry& line : row_.lines) {
    ChangeProduct(line.sku, [&](ProductRow* product) { product->reserved -= line.left(); });
  }
}

void Transition::Cancel(const std::string& reason) {
  if (row_.state != OrderState::placed) ReleaseStock();
  EventRow event;
  event.reason = reason;
  Enter(OrderState::cancelled, std::move(event));
}

void Transition::Expire() {
  ReleaseStock();
  row_.expired = true;
  EventRow event;
  event.expired = true;
  Enter(OrderState::cancelled, std::move(event));
}

void Transition::Return(const std::string& reason, bool discard) {
  ReleaseStock();  // Of an order that was shipped in part.
  row_.discarded = discard;
  for (const LineEntry& line : row_.lines) {
    if (discard) break;
    ChangeProduct(line.sku, [&](ProductRow* product) {
      product->on_hand += line.shipped;
      product->returned += line.shipped;
    });
  }
  EventRow event;
  event.reason = reason;
  Enter(OrderState::returned, std::move(event));
}

void Transition::Due() {
  row_.timer_us = 0;
  if (IsOver(row_, context_.lease_now())) {
    Expire();
    return;
  }
  HOLDFAST_CHECK(row_.state == OrderState::stock_reserved, "a timer of order " + row_.id);
  // Time without a leader does not count: its time is later than it was when the timer was set.
  HOLDFAST_REACHED("orders.transitions.timer_was_early");
  context_.SetLeaseTimer(LeaseTime{row_.expires_us}, TimerKey(number_), &row_.timer_us);
  t_.orders.Put(number_, row_);
}

std::vector<uint64_t> Transition::UnderWay() const {
  std::vector<uint64_t> under_way;
  for (uint64_t at = 0; at < row_.shipments; ++at) {
    if (ShipmentAt(at).delivered_us == 0) under_way.push_back(at);
  }
  return under_way;
}

std::optional<uint64_t> Transition::FindShipment(const std::string& id) const {
  for (uint64_t at = 0; at < row_.shipments; ++at) {
    if (ShipmentAt(at).id == id) return at;
  }
  return std::nullopt;
}

}  // namespace holdfast::orders
