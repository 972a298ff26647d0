// The orders in the plainest words: a list of them. What is reserved of a product, and what a
// customer has spent, is added up from the whole list each time it is asked for. The tests run this
// and the service, and compare. It knows no Checkout: that is a list of writes, of other services
// as well.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "services/orders/orders.pb.h"
#include "services/sessions/moment.h"

namespace holdfast::orders {

class Model {
 public:
  using Moment = sessions::Moment;

  // An entry of the log begins: reservations whose time is over expire.
  void PassTo(const Moment& at);

  ProductReply CreateProduct(const CreateProductRequest& request);
  ProductReply UpdateProduct(const UpdateProductRequest& request);
  ProductReply ReceiveStock(const ReceiveStockRequest& request);
  ProductReply WriteOffStock(const WriteOffStockRequest& request);
  CustomerReply CreateCustomer(const CreateCustomerRequest& request);
  OrderReply PlaceOrder(const PlaceOrderRequest& request);
  OrderReply ReserveOrder(const ReserveOrderRequest& request);
  OrderReply PayOrder(const PayOrderRequest& request);
  OrderReply PackOrder(const PackOrderRequest& request);
  OrderReply ShipOrder(const ShipOrderRequest& request);
  OrderReply DeliverOrder(const DeliverOrderRequest& request);
  OrderReply CancelOrder(const CancelOrderRequest& request);
  OrderReply ReturnOrder(const ReturnOrderRequest& request);
  CheckReply CheckOrder(const CheckOrderRequest& request) const;
  CheckReply CheckStock(const CheckStockRequest& request) const;

  // Nothing: there is no such thing.
  std::optional<Product> GetProduct(const GetProductRequest& request) const;
  ListProductsReply ListProducts(const ListProductsRequest& request) const;
  std::optional<Customer> GetCustomer(const GetCustomerRequest& request) const;
  ListCustomersReply ListCustomers(const ListCustomersRequest& request) const;
  std::optional<Order> GetOrder(const GetOrderRequest& request) const;
  ListOrdersReply ListOrders(const ListOrdersRequest& request) const;
  std::optional<ListOrdersReply> ListCustomerOrders(const ListCustomerOrdersRequest& request) const;

 private:
  struct Goods {
    std::string name;
    int64_t price = 0;
    std::string currency;
    int64_t received = 0;
    int64_t written_off = 0;
    int64_t created_us = 0;
  };
  struct Person {
    std::string name;
    std::string currency;
    int64_t created_us = 0;
  };
  struct Sale {
    Order order;             // With all of its history.
    int64_t expires_us = 0;  // Of its reservation, by lease time.
    bool discarded = false;
  };

  Sale* Find(const std::string& id);
  const Sale* Find(const std::string& id) const;
  Product Describe(const std::string& sku, const Goods& goods) const;
  Customer Describe(const std::string& id, const Person& person) const;
  Order Describe(const Sale& sale, bool with_history) const;
  ProductReply ReplyOf(ProductOutcome::Code outcome, const std::string& sku) const;
  OrderReply ReplyOf(OrderOutcome::Code outcome, const Sale* sale) const;
  // The order that the request names, if it is in one of these states; if not, the reply says why.
  template <class Request>
  Sale* Ready(const Request& request, std::initializer_list<OrderState::Code> states,
              OrderReply* reply);
  void Enter(Sale& sale, OrderState::Code state, const std::string& shipment = "",
             const std::string& reason = "", bool expired = false);
  template <class Take>
  ListOrdersReply Page(const std::string& cursor, uint32_t limit, Take take) const;

  Moment now_;
  std::map<std::string, Goods> goods_;
  std::map<std::string, Person> people_;
  std::vector<Sale> sales_;  // In the order of placement.
};

}  // namespace holdfast::orders
