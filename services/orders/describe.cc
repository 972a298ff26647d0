#include "services/orders/describe.h"

#include <algorithm>
#include <charconv>

#include "src/base/timestamp.h"

namespace holdfast::orders {

void FillProduct(const std::string& sku, const ProductRow& row, Product* product) {
  product->set_sku(sku);
  product->set_name(row.name);
  product->set_price(row.price);
  product->set_currency(row.currency);
  product->set_on_hand(row.on_hand);
  product->set_reserved(row.reserved);
  product->set_available(row.available());
  product->set_received(row.received);
  product->set_written_off(row.written_off);
  product->set_shipped(row.shipped);
  product->set_returned(row.returned);
  FillTime(row.created_us, product->mutable_created());
}

void FillCustomer(const std::string& id, const CustomerRow& row, Customer* customer) {
  customer->set_id(id);
  customer->set_name(row.name);
  customer->set_currency(row.currency);
  customer->set_orders(row.orders);
  customer->set_open(row.open);
  customer->set_delivered(row.delivered);
  customer->set_cancelled(row.cancelled);
  customer->set_returned(row.returned);
  customer->set_spend(row.spend);
  if (row.orders > 0) {
    customer->set_last_order(row.last_order);
    FillTime(row.last_order_us, customer->mutable_last_order_time());
  }
  FillTime(row.created_us, customer->mutable_created());
}

void FillOrder(const OrderRow& row, LeaseTime now, Order* order) {
  order->set_id(row.id);
  order->set_customer(row.customer);
  order->set_state(row.state);
  for (const LineEntry& entry : row.lines) {
    OrderLine* line = order->add_lines();
    line->set_sku(entry.sku);
    line->set_quantity(entry.quantity);
    line->set_price(entry.price);
    line->set_shipped(entry.shipped);
  }
  order->set_total(row.total);
  order->set_currency(row.currency);
  order->set_payment(row.payment);
  if (row.expires_us != 0) {
    order->set_reserved_ms(
        static_cast<uint64_t>(std::max<int64_t>(row.expires_us - now.us, 0) / 1'000));
  }
  order->set_expired(row.expired);
  order->mutable_metadata()->insert(row.metadata.begin(), row.metadata.end());
  FillTime(row.placed_us, order->mutable_placed());
  FillTime(row.changed_us, order->mutable_changed());
}

void FillEvent(const EventRow& row, OrderEvent* event) {
  event->set_state(row.state);
  FillTime(row.time_us, event->mutable_time());
  event->set_shipment(row.shipment);
  event->set_reason(row.reason);
  event->set_expired(row.expired);
}

void FillShipment(const OrderRow& order, const ShipmentRow& row, Shipment* shipment) {
  shipment->set_id(row.id);
  for (const PartEntry& part : row.parts) {
    Item* item = shipment->add_lines();
    item->set_sku(order.lines[part.line].sku);
    item->set_quantity(part.quantity);
  }
  FillTime(row.shipped_us, shipment->mutable_shipped());
  if (row.delivered_us != 0) FillTime(row.delivered_us, shipment->mutable_delivered());
}

std::optional<OrderNumber> ParseCursor(const std::string& cursor) {
  if (cursor.empty()) return 0;
  OrderNumber number = 0;
  const char* end = cursor.data() + cursor.size();
  const auto read = std::from_chars(cursor.data(), end, number);
  // Other spellings of the same number are refused, too.
  if (read.ec != std::errc() || read.ptr != end || std::to_string(number) != cursor) {
    return std::nullopt;
  }
  return number;
}

}  // namespace holdfast::orders
