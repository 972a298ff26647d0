// The rows of the orders and the tables that hold them (docs/formats/store.md). Fields are appended
// to, never reordered or removed: rows outlive the build that wrote them.
//
// Invariants (invariants.cc):
//   on_hand of a product is what came in (received, returned) less what went (written off,
//   shipped), and reserved is what its open reservations still wait for: 0 <= reserved <= on_hand.
//   A customer's record is the sum of the customer's orders.
//   An order stands in the index of its state and of its customer; its history ends with its state.
//   A reservation has one timer, and nothing else has one.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "services/orders/orders.pb.h"
#include "src/store/append_table.h"
#include "src/store/table.h"

namespace holdfast::orders {

inline constexpr uint64_t kOnlyRow = 0;

using OrderNumber = uint64_t;  // From 1, in the order of placement.
using Metadata = std::map<std::string, std::string>;

// By sku.
struct ProductRow {
  std::string name;
  int64_t price = 0;
  std::string currency;
  int64_t on_hand = 0;
  int64_t reserved =
      0;  // shipped + reserved fits 64 bits, so that no reservation fails to be shipped.
  int64_t received = 0;
  int64_t written_off = 0;
  int64_t shipped = 0;
  int64_t returned = 0;
  int64_t created_us = 0;

  int64_t available() const { return on_hand - reserved; }

  auto Fields() {
    return std::tie(name, price, currency, on_hand, reserved, received, written_off, shipped,
                    returned, created_us);
  }
  auto Fields() const {
    return std::tie(name, price, currency, on_hand, reserved, received, written_off, shipped,
                    returned, created_us);
  }
};

// By id.
struct CustomerRow {
  std::string name;
  std::string currency;
  uint64_t orders = 0;
  uint64_t open = 0;
  uint64_t delivered = 0;
  uint64_t cancelled = 0;
  uint64_t returned = 0;
  int64_t spend = 0;
  std::string last_order;
  int64_t last_order_us = 0;
  int64_t created_us = 0;

  auto Fields() {
    return std::tie(name, currency, orders, open, delivered, cancelled, returned, spend, last_order,
                    last_order_us, created_us);
  }
  auto Fields() const {
    return std::tie(name, currency, orders, open, delivered, cancelled, returned, spend, last_order,
                    last_order_us, created_us);
  }
};

struct LineEntry {
  std::string sku;
  uint32_t quantity = 0;
  int64_t price = 0;     // Of one piece, when the order was placed.
  uint32_t shipped = 0;  // Of the quantity.

  uint32_t left() const { return quantity - shipped; }

  auto Fields() { return std::tie(sku, quantity, price, shipped); }
  auto Fields() const { return std::tie(sku, quantity, price, shipped); }
};

struct OrderRow {
  std::string id;
  std::string customer;
  OrderState::Code state = OrderState::unspecified;
  std::vector<LineEntry> lines;
  int64_t total = 0;
  std::string currency;
  std::string payment;
  Metadata metadata;
  int64_t placed_us = 0;
  int64_t changed_us = 0;
  int64_t expires_us = 0;  // Of a reservation, by lease time; 0: it has none.
  int64_t timer_us = 0;    // When its timer fires, by log time.
  bool expired = false;    // Cancelled by that timer.
  bool discarded = false;  // Returned, and not put back into stock.
  uint64_t events = 0;
  uint64_t shipments = 0;

  bool AllShipped() const {
    for (const LineEntry& line : lines) {
      if (line.left() > 0) return false;
    }
    return true;
  }

  auto Fields() {
    return std::tie(id, customer, state, lines, total, currency, payment, metadata, placed_us,
                    changed_us, expires_us, timer_us, expired, discarded, events, shipments);
  }
  auto Fields() const {
    return std::tie(id, customer, state, lines, total, currency, payment, metadata, placed_us,
                    changed_us, expires_us, timer_us, expired, discarded, events, shipments);
  }
};

// One transition of an order; written once.
struct EventRow {
  OrderState::Code state = OrderState::unspecified;
  int64_t time_us = 0;
  std::string shipment;
  std::string reason;
  bool expired = false;

  auto Fields() { return std::tie(state, time_us, shipment, reason, expired); }
  auto Fields() const { return std::tie(state, time_us, shipment, reason, expired); }
};

struct PartEntry {
  uint32_t line = 0;  // Of the order, from 0.
  uint32_t quantity = 0;

  bool operator==(const PartEntry&) const = default;
  auto Fields() { return std::tie(line, quantity); }
  auto Fields() const { return std::tie(line, quantity); }
};

struct ShipmentRow {
  std::string id;
  std::vector<PartEntry> parts;  // In the order of the lines.
  int64_t shipped_us = 0;
  int64_t delivered_us = 0;  // 0: under way.

  auto Fields() { return std::tie(id, parts, shipped_us, delivered_us); }
  auto Fields() const { return std::tie(id, parts, shipped_us, delivered_us); }
};

struct NumberRow {
  OrderNumber number = 0;
  auto Fields() { return std::tie(number); }
  auto Fields() const { return std::tie(number); }
};

struct MetaRow {
  OrderNumber orders = 0;  // Numbers given out so far.
  auto Fields() { return std::tie(orders); }
  auto Fields() const { return std::tie(orders); }
};

struct NoRow {
  auto Fields() { return std::tie(); }
  auto Fields() const { return std::tie(); }
};

using StateKey = std::tuple<uint64_t, OrderNumber>;        // (state, order)
using CustomerKey = std::tuple<std::string, OrderNumber>;  // (customer, order)
using PartKey = std::tuple<OrderNumber, uint64_t>;         // (order, event or shipment from 0)

struct Tables {
  explicit Tables(store::Store& store)
      : products(store, {7, 1}, "products"),
        customers(store, {7, 2}, "customers"),
        orders(store, {7, 3}, "orders"),
        ids(store, {7, 4}, "order ids"),
        events(store, {7, 5}, "order events"),
        shipments(store, {7, 6}, "order shipments"),
        by_state(store, {7, 7}, "orders by state"),
        by_customer(store, {7, 8}, "orders by customer"),
        meta(store, {7, 9}, "order meta") {}

  store::SortedTable<std::string, ProductRow> products;
  store::SortedTable<std::string, CustomerRow> customers;
  store::SortedTable<OrderNumber, OrderRow> orders;
  store::HashTable<std::string, NumberRow> ids;
  store::AppendTable<PartKey, EventRow> events;
  store::SortedTable<PartKey, ShipmentRow> shipments;
  store::SortedTable<StateKey, NoRow> by_state;
  store::SortedTable<CustomerKey, NoRow> by_customer;
  store::HashTable<uint64_t, MetaRow> meta;
};

}  // namespace holdfast::orders
