// One node without a network, for the tests of the orders, with the services that a checkout asks.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>

#include "services/orders/orders.h"
#include "src/state_machine/atomic_service.h"
#include "src/state_machine/testing/service_fixture.h"

namespace holdfast::sessions {
void Register(state_machine::Registry& registry);
}
namespace holdfast::locks {
void Register(state_machine::Registry& registry);
}
namespace holdfast::ledger {
void Register(state_machine::Registry& registry);
}
namespace holdfast::queues {
void Register(state_machine::Registry& registry);
}

namespace holdfast::orders {

void Register(state_machine::Registry& registry);

inline constexpr uint8_t kOrders = 7;

class OrdersFixture : public state_machine::testing::ServiceFixture {
 protected:
  using Lines = std::initializer_list<std::pair<const char*, uint32_t>>;

  OrdersFixture()
      : ServiceFixture({&sessions::Register, &locks::Register, &ledger::Register, &queues::Register,
                        &orders::Register, &state_machine::RegisterAtomicService}) {}

  template <class Code>
  static std::string Name(Code code) {
    return google::protobuf::GetEnumDescriptor<Code>()->FindValueByNumber(code)->name();
  }

  // --- Shorthands; they return the word that a caller sees
  std::string AddProduct(const std::string& sku, int64_t price, uint32_t stock,
                         const std::string& currency = "EUR") {
    CreateProductRequest create;
    create.set_sku(sku);
    create.set_price(price);
    create.set_currency(currency);
    const std::string outcome = Name(Write<ProductReply>("orders.CreateProduct", create).outcome());
    if (stock > 0) Receive(sku, stock);
    return outcome;
  }
  std::string Receive(const std::string& sku, uint32_t quantity) {
    ReceiveStockRequest request;
    request.set_sku(sku);
    request.set_quantity(quantity);
    return Name(Write<ProductReply>("orders.ReceiveStock", request).outcome());
  }
  std::string WriteOff(const std::string& sku, uint32_t quantity) {
    WriteOffStockRequest request;
    request.set_sku(sku);
    request.set_quantity(quantity);
    return Name(Write<ProductReply>("orders.WriteOffStock", request).outcome());
  }
  std::string AddCustomer(const std::string& id, const std::string& currency = "EUR") {
    CreateCustomerRequest request;
    request.set_id(id);
    request.set_currency(currency);
    return Name(Write<CustomerReply>("orders.CreateCustomer", request).outcome());
  }
  template <class Request>
  static void AddLines(Lines lines, Request* request) {
    for (const auto& [sku, quantity] : lines) {
      Item* item = request->add_lines();
      item->set_sku(sku);
      item->set_quantity(quantity);
    }
  }
  static PlaceOrderRequest OrderOf(const std::string& id, Lines lines,
                                   const std::string& customer = "ann") {
    PlaceOrderRequest request;
    request.set_id(id);
    request.set_customer(customer);
    AddLines(lines, &request);
    return request;
  }
  std::string Place(const std::string& id, Lines lines, const std::string& customer = "ann") {
    return Name(Write<OrderReply>("orders.PlaceOrder", OrderOf(id, lines, customer)).outcome());
  }
  std::string Reserve(const std::string& id, uint32_t seconds = 60) {
    ReserveOrderRequest request;
    request.set_id(id);
    request.set_reservation_seconds(seconds);
    return Name(Write<OrderReply>("orders.ReserveOrder", request).outcome());
  }
  std::string Pay(const std::string& id, const std::string& payment = "p") {
    PayOrderRequest request;
    request.set_id(id);
    request.set_payment(payment);
    return Name(Write<OrderReply>("orders.PayOrder", request).outcome());
  }
  std::string Pack(const std::string& id) {
    PackOrderRequest request;
    request.set_id(id);
    return Name(Write<OrderReply>("orders.PackOrder", request).outcome());
  }
  std::string Ship(const std::string& id, const std::string& shipment, Lines lines = {}) {
    ShipOrderRequest request;
    request.set_id(id);
    request.set_shipment(shipment);
    AddLines(lines, &request);
    return Name(Write<OrderReply>("orders.ShipOrder", request).outcome());
  }
  std::string Deliver(const std::string& id, const std::string& shipment = "") {
    DeliverOrderRequest request;
    request.set_id(id);
    request.set_shipment(shipment);
    return Name(Write<OrderReply>("orders.DeliverOrder", request).outcome());
  }
  std::string Cancel(const std::string& id, const std::string& reason = "") {
    CancelOrderRequest request;
    request.set_id(id);
    request.set_reason(reason);
    return Name(Write<OrderReply>("orders.CancelOrder", request).outcome());
  }
  std::string Return(const std::string& id, bool discard = false) {
    ReturnOrderRequest request;
    request.set_id(id);
    request.set_discard(discard);
    return Name(Write<OrderReply>("orders.ReturnOrder", request).outcome());
  }

  Product ProductOf(const std::string& sku) {
    GetProductRequest request;
    request.set_sku(sku);
    return *Read<Product>("orders.GetProduct", request);
  }
  Customer CustomerOf(const std::string& id) {
    GetCustomerRequest request;
    request.set_id(id);
    return *Read<Customer>("orders.GetCustomer", request);
  }
  Order OrderNamed(const std::string& id) {
    GetOrderRequest request;
    request.set_id(id);
    return *Read<Order>("orders.GetOrder", request);
  }
  std::string StateOf(const std::string& id) { return Name(OrderNamed(id).state()); }
  // "on_hand reserved available"
  std::string StockOf(const std::string& sku) {
    const Product product = ProductOf(sku);
    return std::to_string(product.on_hand()) + " " + std::to_string(product.reserved()) + " " +
           std::to_string(product.available());
  }
  // The states that an order has gone through.
  std::string HistoryOf(const std::string& id) {
    std::string states;
    const Order order = OrderNamed(id);
    for (const OrderEvent& event : order.history()) {
      states += (states.empty() ? "" : " ") + Name(event.state());
    }
    return states;
  }
};

}  // namespace holdfast::orders
