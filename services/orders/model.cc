#include "services/orders/model.h"

#include <absl/numeric/int128.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <limits>
#include <set>

namespace holdfast::orders {
namespace {

using google::protobuf::util::TimeUtil;

bool Fits(absl::int128 number) {
  return number >= std::numeric_limits<int64_t>::min() &&
         number <= std::numeric_limits<int64_t>::max();
}

bool IsPaid(const Order& order) {
  const std::set<int> states{OrderState::paid, OrderState::packed, OrderState::partly_shipped,
                             OrderState::shipped, OrderState::delivered};
  return states.contains(order.state());
}

// What is not shipped of such an order waits for it in the warehouse.
bool HoldsStock(const Order& order) {
  return order.state() == OrderState::stock_reserved || IsPaid(order);
}

// That it once had been so far, and still is on its way or has arrived.
bool HasBeen(const Order& order, OrderState::Code state) {
  return order.state() >= state && order.state() <= OrderState::delivered;
}

template <class Map, class Row, class Add>
void FillPage(const Map& map, const std::string& from, const std::string& to, uint32_t limit,
              Row row, Add add, std::string* next_cursor) {
  uint32_t left = limit == 0 ? 100 : limit;
  for (auto at = map.lower_bound(from); at != map.end(); ++at) {
    if (!to.empty() && at->first >= to) return;
    if (left-- == 0) {
      *next_cursor = at->first;
      return;
    }
    *add() = row(at->first, at->second);
  }
}

}  // namespace

Model::Sale* Model::Find(const std::string& id) {
  for (Sale& sale : sales_) {
    if (sale.order.id() == id) return &sale;
  }
  return nullptr;
}
const Model::Sale* Model::Find(const std::string& id) const {
  return const_cast<Model*>(this)->Find(id);
}

void Model::PassTo(const Moment& at) {
  now_ = at;
  for (Sale& sale : sales_) {
    if (sale.order.state() != OrderState::stock_reserved) continue;
    if (sale.expires_us > at.lease_us()) continue;
    sale.order.set_expired(true);
    Enter(sale, OrderState::cancelled, "", "", true);
  }
}

void Model::Enter(Sale& sale, OrderState::Code state, const std::string& shipment,
                  const std::string& reason, bool expired) {
  sale.order.set_state(state);
  *sale.order.mutable_changed() = TimeUtil::MicrosecondsToTimestamp(now_.log_us);
  OrderEvent* event = sale.order.add_history();
  event->set_state(state);
  *event->mutable_time() = sale.order.changed();
  event->set_shipment(shipment);
  event->set_reason(reason);
  event->set_expired(expired);
}

// --- What there is

Product Model::Describe(const std::string& sku, const Goods& goods) const {
  Product product;
  product.set_sku(sku);
  product.set_name(goods.name);
  product.set_price(goods.price);
  product.set_currency(goods.currency);
  product.set_received(goods.received);
  product.set_written_off(goods.written_off);
  *product.mutable_created() = TimeUtil::MicrosecondsToTimestamp(goods.created_us);
  for (const Sale& sale : sales_) {
    for (const OrderLine& line : sale.order.lines()) {
      if (line.sku() != sku) continue;
      product.set_shipped(product.shipped() + line.shipped());
      if (HoldsStock(sale.order)) {
        product.set_reserved(product.reserved() + line.quantity() - line.shipped());
      }
      if (sale.order.state() == OrderState::returned && !sale.discarded) {
        product.set_returned(product.returned() + line.shipped());
      }
    }
  }
  product.set_on_hand(goods.received - goods.written_off - product.shipped() + product.returned());
  product.set_available(product.on_hand() - product.reserved());
  return product;
}

Customer Model::Describe(const std::string& id, const Person& person) const {
  Customer customer;
  customer.set_id(id);
  customer.set_name(person.name);
  customer.set_currency(person.currency);
  *customer.mutable_created() = TimeUtil::MicrosecondsToTimestamp(person.created_us);
  for (const Sale& sale : sales_) {
    const Order& order = sale.order;
    if (order.customer() != id) continue;
    customer.set_orders(customer.orders() + 1);
    customer.set_last_order(order.id());
    *customer.mutable_last_order_time() = order.placed();
    if (IsPaid(order)) customer.set_spend(customer.spend() + order.total());
    switch (order.state()) {
      case OrderState::delivered: customer.set_delivered(customer.delivered() + 1); break;
      case OrderState::cancelled: customer.set_cancelled(customer.cancelled() + 1); break;
      case OrderState::returned: customer.set_returned(customer.returned() + 1); break;
      default: customer.set_open(customer.open() + 1);
    }
  }
  return customer;
}

Order Model::Describe(const Sale& sale, bool with_history) const {
  Order order = sale.order;
  if (order.state() == OrderState::stock_reserved) {
    order.set_reserved_ms(static_cast<uint64_t>((sale.expires_us - now_.lease_us()) / 1'000));
  }
  if (!with_history) {
    order.clear_history();
    order.clear_shipments();
  }
  return order;
}

ProductReply Model::ReplyOf(ProductOutcome::Code outcome, const std::string& sku) const {
  ProductReply reply;
  reply.set_outcome(outcome);
  const auto goods = goods_.find(sku);
  if (goods != goods_.end()) *reply.mutable_product() = Describe(sku, goods->second);
  return reply;
}

OrderReply Model::ReplyOf(OrderOutcome::Code outcome, const Sale* sale) const {
  OrderReply reply;
  reply.set_outcome(outcome);
  if (sale != nullptr) *reply.mutable_order() = Describe(*sale, false);
  return reply;
}

// --- Products and customers

ProductReply Model::CreateProduct(const CreateProductRequest& request) {
  const auto known = goods_.find(request.sku());
  if (known == goods_.end()) {
    goods_[request.sku()] = {request.name(), request.price(), request.currency(), 0, 0,
                             now_.log_us};
    return ReplyOf(ProductOutcome::created, request.sku());
  }
  if (known->second.currency == request.currency()) {
    return ReplyOf(ProductOutcome::already_exists, request.sku());
  }
  ProductReply reply = ReplyOf(ProductOutcome::exists_with_different_fields, request.sku());
  reply.set_field("currency");
  return reply;
}

ProductReply Model::UpdateProduct(const UpdateProductRequest& request) {
  const auto goods = goods_.find(request.sku());
  if (goods == goods_.end()) return ReplyOf(ProductOutcome::product_not_found, request.sku());
  if (request.has_name()) goods->second.name = request.name();
  if (request.price() != 0) goods->second.price = request.price();
  return ReplyOf(ProductOutcome::updated, request.sku());
}

ProductReply Model::ReceiveStock(const ReceiveStockRequest& request) {
  const auto goods = goods_.find(request.sku());
  if (goods == goods_.end()) return ReplyOf(ProductOutcome::product_not_found, request.sku());
  if (!Fits(absl::int128(goods->second.received) + request.quantity())) {
    return ReplyOf(ProductOutcome::overflow, request.sku());
  }
  goods->second.received += request.quantity();
  return ReplyOf(ProductOutcome::received, request.sku());
}

ProductReply Model::WriteOffStock(const WriteOffStockRequest& request) {
  const auto goods = goods_.find(request.sku());
  if (goods == goods_.end()) return ReplyOf(ProductOutcome::product_not_found, request.sku());
  if (Describe(request.sku(), goods->second).available() < request.quantity()) {
    return ReplyOf(ProductOutcome::insufficient_stock, request.sku());
  }
  goods->second.written_off += request.quantity();
  return ReplyOf(ProductOutcome::written_off, request.sku());
}

CustomerReply Model::CreateCustomer(const CreateCustomerRequest& request) {
  CustomerReply reply;
  const auto known = people_.find(request.id());
  if (known == people_.end()) {
    people_[request.id()] = {request.name(), request.currency(), now_.log_us};
    reply.set_outcome(CustomerOutcome::created);
  } else {
    if (known->second.name != request.name()) reply.set_field("name");
    if (known->second.currency != request.currency()) reply.set_field("currency");
    reply.set_outcome(reply.field().empty() ? CustomerOutcome::already_exists
                                            : CustomerOutcome::exists_with_different_fields);
  }
  *reply.mutable_customer() = Describe(request.id(), people_.at(request.id()));
  return reply;
}

// --- Orders

OrderReply Model::PlaceOrder(const PlaceOrderRequest& request) {
  if (const Sale* sale = Find(request.id())) {
    const Order& order = sale->order;
    std::string field;
    bool same_lines = order.lines_size() == request.lines_size();
    for (int i = 0; same_lines && i < order.lines_size(); ++i) {
      same_lines = order.lines(i).sku() == request.lines(i).sku() &&
                   order.lines(i).quantity() == request.lines(i).quantity();
    }
    const std::map<std::string, std::string> had(order.metadata().begin(), order.metadata().end());
    const std::map<std::string, std::string> has(request.metadata().begin(),
                                                 request.metadata().end());
    if (had != has) field = "metadata";
    if (request.total() != 0 && request.total() != order.total()) field = "total";
    if (!same_lines) field = "lines";
    if (order.customer() != request.customer()) field = "customer";
    OrderReply reply = ReplyOf(
        field.empty() ? OrderOutcome::already_exists : OrderOutcome::exists_with_different_fields,
        sale);
    reply.set_field(field);
    return reply;
  }
  const auto refuse = [&](OrderOutcome::Code outcome, const std::string& sku) {
    OrderReply reply = ReplyOf(outcome, nullptr);
    reply.set_sku(sku);
    return reply;
  };
  const auto person = people_.find(request.customer());
  if (person == people_.end()) return refuse(OrderOutcome::customer_not_found, "");
  Sale sale;
  Order& order = sale.order;
  for (const Item& item : request.lines()) {
    const auto goods = goods_.find(item.sku());
    if (goods == goods_.end()) return refuse(OrderOutcome::product_not_found, item.sku());
    if (goods->second.currency != person->second.currency) {
      return refuse(OrderOutcome::currency_mismatch, item.sku());
    }
    OrderLine* line = order.add_lines();
    line->set_sku(item.sku());
    line->set_quantity(item.quantity());
    line->set_price(goods->second.price);
  }
  absl::int128 total = 0;
  for (const OrderLine& line : order.lines()) {
    total += absl::int128(line.price()) * line.quantity();
    if (!Fits(total)) return refuse(OrderOutcome::overflow, line.sku());
  }
  order.set_total(static_cast<int64_t>(total));
  if (request.total() != 0 && request.total() != order.total()) {
    OrderReply reply = ReplyOf(OrderOutcome::total_differs, nullptr);
    reply.set_total(order.total());
    return reply;
  }
  order.set_id(request.id());
  order.set_customer(request.customer());
  order.set_currency(person->second.currency);
  *order.mutable_metadata() = request.metadata();
  *order.mutable_placed() = TimeUtil::MicrosecondsToTimestamp(now_.log_us);
  Enter(sale, OrderState::placed);
  sales_.push_back(sale);
  return ReplyOf(OrderOutcome::placed, &sales_.back());
}

template <class Request>
Model::Sale* Model::Ready(const Request& request, std::initializer_list<OrderState::Code> states,
                          OrderReply* reply) {
  Sale* sale = Find(request.id());
  if (sale == nullptr) {
    *reply = ReplyOf(OrderOutcome::order_not_found, nullptr);
    return nullptr;
  }
  if (std::find(states.begin(), states.end(), sale->order.state()) != states.end()) return sale;
  *reply = ReplyOf(
      sale->order.expired() ? OrderOutcome::reservation_expired : OrderOutcome::wrong_state, sale);
  return nullptr;
}

OrderReply Model::ReserveOrder(const ReserveOrderRequest& request) {
  OrderReply reply;
  Sale* sale = Find(request.id());
  if (sale != nullptr && HasBeen(sale->order, OrderState::stock_reserved)) {
    return ReplyOf(OrderOutcome::already_done, sale);
  }
  sale = Ready(request, {OrderState::placed}, &reply);
  if (sale == nullptr) return reply;
  for (const OrderLine& line : sale->order.lines()) {
    const Product product = Describe(line.sku(), goods_.at(line.sku()));
    const bool lacks = product.available() < line.quantity();
    const bool overflows =
        !Fits(absl::int128(product.shipped()) + product.reserved() + line.quantity());
    if (!lacks && !overflows) continue;
    reply = ReplyOf(overflows ? OrderOutcome::overflow : OrderOutcome::insufficient_stock, sale);
    reply.set_sku(line.sku());
    return reply;
  }
  const int64_t seconds =
      request.reservation_seconds() == 0 ? 900 : int64_t{request.reservation_seconds()};
  sale->expires_us = now_.lease_us() + seconds * 1'000'000;
  Enter(*sale, OrderState::stock_reserved);
  return ReplyOf(OrderOutcome::stock_reserved, sale);
}

OrderReply Model::PayOrder(const PayOrderRequest& request) {
  OrderReply reply;
  Sale* sale = Find(request.id());
  if (sale != nullptr && HasBeen(sale->order, OrderState::paid)) {
    if (sale->order.payment() == request.payment()) {
      return ReplyOf(OrderOutcome::already_done, sale);
    }
    reply = ReplyOf(OrderOutcome::exists_with_different_fields, sale);
    reply.set_field("payment");
    return reply;
  }
  sale = Ready(request, {OrderState::stock_reserved}, &reply);
  if (sale == nullptr) return reply;
  const Customer customer = Describe(sale->order.customer(), people_.at(sale->order.customer()));
  if (!Fits(absl::int128(customer.spend()) + sale->order.total())) {
    return ReplyOf(OrderOutcome::overflow, sale);
  }
  sale->order.set_payment(request.payment());
  Enter(*sale, OrderState::paid);
  return ReplyOf(OrderOutcome::paid, sale);
}

OrderReply Model::PackOrder(const PackOrderRequest& request) {
  OrderReply reply;
  Sale* sale = Find(request.id());
  if (sale != nullptr && HasBeen(sale->order, OrderState::packed)) {
    return ReplyOf(OrderOutcome::already_done, sale);
  }
  sale = Ready(request, {OrderState::paid}, &reply);
  if (sale == nullptr) return reply;
  Enter(*sale, OrderState::packed);
  return ReplyOf(OrderOutcome::packed, sale);
}

OrderReply Model::ShipOrder(const ShipOrderRequest& request) {
  OrderReply reply;
  Sale* sale = Find(request.id());
  std::map<std::string, uint32_t> wanted;
  for (const Item& item : request.lines()) wanted[item.sku()] = item.quantity();
  if (sale != nullptr && HasBeen(sale->order, OrderState::partly_shipped)) {
    for (const Shipment& shipment : sale->order.shipments()) {
      if (shipment.id() != request.shipment()) continue;
      std::map<std::string, uint32_t> sent;
      for (const Item& item : shipment.lines()) sent[item.sku()] = item.quantity();
      if (wanted.empty() || wanted == sent) return ReplyOf(OrderOutcome::already_done, sale);
      reply = ReplyOf(OrderOutcome::exists_with_different_fields, sale);
      reply.set_field("lines");
      return reply;
    }
  }
  sale = Ready(request, {OrderState::packed, OrderState::partly_shipped}, &reply);
  if (sale == nullptr) return reply;
  Order& order = sale->order;
  const auto refuse = [&](OrderOutcome::Code outcome, const std::string& sku) {
    reply = ReplyOf(outcome, sale);
    reply.set_sku(sku);
    return reply;
  };
  for (const Item& item : request.lines()) {
    bool ordered = false;
    for (const OrderLine& line : order.lines()) ordered = ordered || line.sku() == item.sku();
    if (!ordered) return refuse(OrderOutcome::not_ordered, item.sku());
  }
  bool last = true;
  for (const OrderLine& line : order.lines()) {
    const uint32_t left = line.quantity() - line.shipped();
    if (request.lines().empty() && left > 0) wanted[line.sku()] = left;
    const uint32_t now = wanted.contains(line.sku()) ? wanted.at(line.sku()) : 0;
    if (now > left) return refuse(OrderOutcome::exceeds_ordered, line.sku());
    last = last && now == left;
  }
  if (order.shipments_size() >= 31 && !last) return refuse(OrderOutcome::too_many_shipments, "");
  Shipment* shipment = order.add_shipments();
  shipment->set_id(request.shipment());
  *shipment->mutable_shipped() = TimeUtil::MicrosecondsToTimestamp(now_.log_us);
  for (OrderLine& line : *order.mutable_lines()) {
    if (!wanted.contains(line.sku())) continue;
    line.set_shipped(line.shipped() + wanted.at(line.sku()));
    Item* item = shipment->add_lines();
    item->set_sku(line.sku());
    item->set_quantity(wanted.at(line.sku()));
  }
  Enter(*sale, last ? OrderState::shipped : OrderState::partly_shipped, request.shipment());
  return ReplyOf(OrderOutcome::shipped, sale);
}

OrderReply Model::DeliverOrder(const DeliverOrderRequest& request) {
  OrderReply reply;
  Sale* sale = Ready(
      request, {OrderState::partly_shipped, OrderState::shipped, OrderState::delivered}, &reply);
  if (sale == nullptr) return reply;
  Order& order = sale->order;
  bool found = request.shipment().empty();
  bool any = false;
  for (Shipment& shipment : *order.mutable_shipments()) {
    if (!request.shipment().empty() && shipment.id() != request.shipment()) continue;
    found = true;
    if (shipment.has_delivered()) continue;
    any = true;
    *shipment.mutable_delivered() = TimeUtil::MicrosecondsToTimestamp(now_.log_us);
    bool all = order.state() == OrderState::shipped;
    for (const Shipment& each : order.shipments()) all = all && each.has_delivered();
    Enter(*sale, all ? OrderState::delivered : order.state(), shipment.id());
  }
  if (!found) return ReplyOf(OrderOutcome::shipment_not_found, sale);
  return ReplyOf(any ? OrderOutcome::delivered : OrderOutcome::already_done, sale);
}

OrderReply Model::CancelOrder(const CancelOrderRequest& request) {
  OrderReply reply;
  Sale* sale = Find(request.id());
  if (sale != nullptr && sale->order.state() == OrderState::cancelled) {
    return ReplyOf(OrderOutcome::already_done, sale);
  }
  sale =
      Ready(request,
            {OrderState::placed, OrderState::stock_reserved, OrderState::paid, OrderState::packed},
            &reply);
  if (sale == nullptr) return reply;
  Enter(*sale, OrderState::cancelled, "", request.reason());
  return ReplyOf(OrderOutcome::cancelled, sale);
}

OrderReply Model::ReturnOrder(const ReturnOrderRequest& request) {
  OrderReply reply;
  Sale* sale = Find(request.id());
  if (sale != nullptr && sale->order.state() == OrderState::returned) {
    if (sale->discarded == request.discard()) return ReplyOf(OrderOutcome::already_done, sale);
    reply = ReplyOf(OrderOutcome::exists_with_different_fields, sale);
    reply.set_field("discard");
    return reply;
  }
  sale = Ready(request, {OrderState::partly_shipped, OrderState::shipped, OrderState::delivered},
               &reply);
  if (sale == nullptr) return reply;
  sale->discarded = request.discard();
  Enter(*sale, OrderState::returned, "", request.reason());
  return ReplyOf(OrderOutcome::returned, sale);
}

// --- Preconditions

CheckReply Model::CheckOrder(const CheckOrderRequest& request) const {
  CheckReply reply;
  const Sale* sale = Find(request.id());
  if (sale == nullptr) {
    reply.set_outcome(request.absent() ? CheckOutcome::valid : CheckOutcome::order_not_found);
    return reply;
  }
  reply.set_state(sale->order.state());
  reply.set_outcome(request.absent() ? CheckOutcome::order_exists : CheckOutcome::wrong_state);
  for (const int state : request.states()) {
    if (state == sale->order.state()) reply.set_outcome(CheckOutcome::valid);
  }
  return reply;
}

CheckReply Model::CheckStock(const CheckStockRequest& request) const {
  CheckReply reply;
  const auto goods = goods_.find(request.sku());
  if (goods == goods_.end()) {
    reply.set_outcome(CheckOutcome::product_not_found);
    return reply;
  }
  reply.set_available(Describe(request.sku(), goods->second).available());
  reply.set_outcome(reply.available() >= request.at_least() ? CheckOutcome::valid
                                                            : CheckOutcome::insufficient_stock);
  return reply;
}

// --- Reads

std::optional<Product> Model::GetProduct(const GetProductRequest& request) const {
  const auto goods = goods_.find(request.sku());
  if (goods == goods_.end()) return std::nullopt;
  return Describe(request.sku(), goods->second);
}

ListProductsReply Model::ListProducts(const ListProductsRequest& request) const {
  ListProductsReply reply;
  FillPage(
      goods_, request.cursor(), "", request.limit(),
      [&](const std::string& sku, const Goods& goods) { return Describe(sku, goods); },
      [&] { return reply.add_products(); }, reply.mutable_next_cursor());
  return reply;
}

std::optional<Customer> Model::GetCustomer(const GetCustomerRequest& request) const {
  const auto person = people_.find(request.id());
  if (person == people_.end()) return std::nullopt;
  return Describe(request.id(), person->second);
}

ListCustomersReply Model::ListCustomers(const ListCustomersRequest& request) const {
  ListCustomersReply reply;
  FillPage(
      people_, std::max(request.from(), request.cursor()), request.to(), request.limit(),
      [&](const std::string& id, const Person& person) { return Describe(id, person); },
      [&] { return reply.add_customers(); }, reply.mutable_next_cursor());
  return reply;
}

std::optional<Order> Model::GetOrder(const GetOrderRequest& request) const {
  const Sale* sale = Find(request.id());
  if (sale == nullptr) return std::nullopt;
  return Describe(*sale, true);
}

template <class Take>
ListOrdersReply Model::Page(const std::string& cursor, uint32_t limit, Take take) const {
  ListOrdersReply reply;
  int left = limit == 0 ? 100 : static_cast<int>(limit);
  // The first one placed is number 1.
  const size_t from = cursor.empty() ? 0 : std::stoull(cursor);
  for (size_t number = std::max<size_t>(from, 1); number <= sales_.size(); ++number) {
    const Sale& sale = sales_[number - 1];
    if (!take(sale.order)) continue;
    if (left-- == 0) {
      reply.set_next_cursor(std::to_string(number));
      break;
    }
    *reply.add_orders() = Describe(sale, false);
  }
  return reply;
}

ListOrdersReply Model::ListOrders(const ListOrdersRequest& request) const {
  return Page(request.cursor(), request.limit(),
              [&](const Order& order) { return order.state() == request.state(); });
}

std::optional<ListOrdersReply> Model::ListCustomerOrders(
    const ListCustomerOrdersRequest& request) const {
  if (!people_.contains(request.customer())) return std::nullopt;
  return Page(request.cursor(), request.limit(),
              [&](const Order& order) { return order.customer() == request.customer(); });
}

}  // namespace holdfast::orders
