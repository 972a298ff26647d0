// What must hold of the orders between any two log entries; see tables.h. Everything is counted
// anew from the orders themselves, by words of its own.

#include <map>
#include <set>

#include "services/orders/orders.h"

namespace holdfast::orders {
namespace {

// Up to so many orders it is done after each entry.
constexpr uint64_t kCountedMax = 2'048;

struct Stock {
  int64_t reserved = 0;
  int64_t shipped = 0;
  int64_t returned = 0;
};

struct Record {
  uint64_t orders = 0;
  uint64_t open = 0;
  uint64_t delivered = 0;
  uint64_t cancelled = 0;
  uint64_t returned = 0;
  int64_t spend = 0;
  std::string last_order;
};

// What one order does to the stock of its products, and to its customer's record.
void Count(const OrderRow& order, std::map<std::string, Stock>* stock,
           std::map<std::string, Record>* records) {
  Record& record = (*records)[order.customer];
  ++record.orders;
  record.last_order = order.id;
  bool waits = false;  // What is not shipped of it is reserved.
  bool paid = false;
  switch (order.state) {
    case OrderState::placed: ++record.open; break;
    case OrderState::stock_reserved:
      waits = true;
      ++record.open;
      break;
    case OrderState::paid:
    case OrderState::packed:
    case OrderState::partly_shipped: waits = true; [[fallthrough]];
    case OrderState::shipped:
      paid = true;
      ++record.open;
      break;
    case OrderState::delivered:
      paid = true;
      ++record.delivered;
      break;
    case OrderState::cancelled: ++record.cancelled; break;
    default: ++record.returned;
  }
  if (paid) record.spend += order.total;
  for (const LineEntry& line : order.lines) {
    Stock& of = (*stock)[line.sku];
    if (waits) of.reserved += line.quantity - line.shipped;
    of.shipped += line.shipped;
    const bool back = order.state == OrderState::returned && !order.discarded;
    if (back) of.returned += line.shipped;
  }
}

// What is wrong with an order alone, with its history and its shipments.
std::string WrongWith(OrderNumber number, const OrderRow& order, const Tables& tables) {
  int64_t total = 0;
  bool all = true;
  std::vector<uint32_t> shipped(order.lines.size());
  for (const LineEntry& line : order.lines) {
    total += line.price * line.quantity;
    all = all && line.shipped == line.quantity;
    if (line.shipped > line.quantity) return "has shipped more than was ordered";
  }
  if (total != order.total) return "costs something else than its lines";
  const bool gone = order.state == OrderState::shipped || order.state == OrderState::delivered;
  if (gone != all && order.state != OrderState::returned) return "is shipped in part";
  if ((order.expires_us != 0) != (order.state == OrderState::stock_reserved))
    return "expires wrongly";
  if ((order.timer_us != 0) != (order.expires_us != 0)) return "has a timer too many or too few";
  uint64_t events = 0;
  EventRow last;
  tables.events.Scan({number, 0}, [&](const PartKey& key, const EventRow& event) {
    if (std::get<0>(key) != number) return false;
    ++events;
    last = event;
    return true;
  });
  if (events != order.events) return "has lost part of its history";
  if (last.state != order.state || last.time_us != order.changed_us ||
      last.expired != order.expired) {
    return "is not where its history ends";
  }
  uint64_t shipments = 0;
  bool arrived = true;
  tables.shipments.Scan({number, 0}, [&](const PartKey& key, const ShipmentRow& row) {
    if (std::get<0>(key) != number) return false;
    ++shipments;
    arrived = arrived && row.delivered_us != 0;
    for (const PartEntry& part : row.parts) shipped[part.line] += part.quantity;
    return true;
  });
  if (shipments != order.shipments) return "has lost a shipment";
  for (size_t i = 0; i < shipped.size(); ++i) {
    if (shipped[i] != order.lines[i].shipped)
      return "has shipped something else than its shipments";
  }
  if (order.state == OrderState::delivered && !arrived) return "is delivered in part";
  if (order.state == OrderState::shipped && arrived) return "is delivered, and not known to be";
  return "";
}

}  // namespace

std::optional<std::string> Orders::CheckInvariants() const {
  const OrderNumber last = tables_.meta.Get(kOnlyRow).value_or(MetaRow{}).orders;
  if (last > kCountedMax) return std::nullopt;
  std::optional<std::string> wrong;
  const auto expect = [&](bool holds, const std::string& what) {
    if (!holds && !wrong) wrong = what;
  };
  std::map<std::string, Stock> stock;
  std::map<std::string, Record> records;
  uint64_t orders = 0;
  tables_.orders.Scan(0, [&](OrderNumber number, const OrderRow& order) {
    ++orders;
    Count(order, &stock, &records);
    const std::string fault = WrongWith(number, order, tables_);
    expect(fault.empty(), "order " + order.id + " " + fault);
    const auto id = tables_.ids.Get(order.id);
    expect(id && id->number == number, "order " + order.id + " is not known by its id");
    expect(tables_.by_state.Get({order.state, number}).has_value(),
           "order " + order.id + " is not listed by its state");
    expect(tables_.by_customer.Get({order.customer, number}).has_value(),
           "order " + order.id + " is not listed by its customer");
    return true;
  });
  expect(orders == last, "the orders have gaps");
  uint64_t listed = 0;
  tables_.by_state.Scan({0, 0}, [&](const StateKey&, const NoRow&) {
    ++listed;
    return true;
  });
  expect(listed == orders, "orders are listed by states that they are not in");
  listed = 0;
  tables_.by_customer.Scan({"", 0}, [&](const CustomerKey&, const NoRow&) {
    ++listed;
    return true;
  });
  expect(listed == orders, "orders are listed by customers who did not place them");

  tables_.products.Scan("", [&](const std::string& sku, const ProductRow& row) {
    const Stock& counted = stock[sku];
    expect(row.reserved >= 0 && row.on_hand >= row.reserved,
           "more of " + sku + " is reserved than there is");
    expect(row.on_hand == row.received - row.written_off - row.shipped + row.returned,
           "the stock of " + sku + " is not what came in less what went");
    expect(row.reserved == counted.reserved,
           "what is reserved of " + sku + " is not the sum of the reservations");
    expect(row.shipped == counted.shipped && row.returned == counted.returned,
           "what was shipped of " + sku + " is not the sum of the shipments");
    return true;
  });
  tables_.customers.Scan("", [&](const std::string& id, const CustomerRow& row) {
    const Record& counted = records[id];
    const bool same = row.orders == counted.orders && row.open == counted.open &&
                      row.delivered == counted.delivered && row.cancelled == counted.cancelled &&
                      row.returned == counted.returned && row.spend == counted.spend &&
                      row.last_order == counted.last_order;
    expect(same, "the record of customer " + id + " is not the sum of the orders");
    return true;
  });
  return wrong;
}

}  // namespace holdfast::orders
