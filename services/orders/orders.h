// The order service: its methods, as orders.proto declares them. README.md is the reference page.
//
// Writes run on the apply thread; reads on any thread under the store's shared lock.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/orders/orders.pb.h"
#include "services/orders/tables.h"
#include "services/orders/transitions.h"
#include "src/state_machine/service.h"

namespace holdfast::orders {

using state_machine::ReadContext;

class Orders : public state_machine::Service {
 public:
  explicit Orders(store::Store& store) : tables_(store) {}

  // --- Products and customers (products.cc)
  Result<void> CreateProduct(const CreateProductRequest& request, WriteContext& context,
                             ProductReply* reply);
  Result<void> UpdateProduct(const UpdateProductRequest& request, WriteContext& context,
                             ProductReply* reply);
  Result<void> ReceiveStock(const ReceiveStockRequest& request, WriteContext& context,
                            ProductReply* reply);
  Result<void> WriteOffStock(const WriteOffStockRequest& request, WriteContext& context,
                             ProductReply* reply);
  Result<void> CreateCustomer(const CreateCustomerRequest& request, WriteContext& context,
                              CustomerReply* reply);

  // --- Orders (orders.cc)
  Result<void> PlaceOrder(const PlaceOrderRequest& request, WriteContext& context,
                          OrderReply* reply);
  Result<void> ReserveOrder(const ReserveOrderRequest& request, WriteContext& context,
                            OrderReply* reply);
  Result<void> PayOrder(const PayOrderRequest& request, WriteContext& context, OrderReply* reply);
  Result<void> PackOrder(const PackOrderRequest& request, WriteContext& context, OrderReply* reply);
  Result<void> ShipOrder(const ShipOrderRequest& request, WriteContext& context, OrderReply* reply);
  Result<void> DeliverOrder(const DeliverOrderRequest& request, WriteContext& context,
                            OrderReply* reply);
  Result<void> CancelOrder(const CancelOrderRequest& request, WriteContext& context,
                           OrderReply* reply);
  Result<void> ReturnOrder(const ReturnOrderRequest& request, WriteContext& context,
                           OrderReply* reply);

  // --- A list of writes in one request (checkout.h)
  Result<void> Checkout(const CheckoutRequest& request, WriteContext& context,
                        CheckoutReply* reply);

  // --- Preconditions: they change nothing
  Result<void> CheckOrder(const CheckOrderRequest& request, WriteContext& context,
                          CheckReply* reply);
  Result<void> CheckStock(const CheckStockRequest& request, WriteContext& context,
                          CheckReply* reply);

  // --- Reads (reads.cc)
  Result<void> GetProduct(const GetProductRequest& request, const ReadContext& context,
                          Product* reply) const;
  Result<void> ListProducts(const ListProductsRequest& request, const ReadContext& context,
                            ListProductsReply* reply) const;
  Result<void> GetCustomer(const GetCustomerRequest& request, const ReadContext& context,
                           Customer* reply) const;
  Result<void> ListCustomers(const ListCustomersRequest& request, const ReadContext& context,
                             ListCustomersReply* reply) const;
  Result<void> GetOrder(const GetOrderRequest& request, const ReadContext& context,
                        Order* reply) const;
  Result<void> ListOrders(const ListOrdersRequest& request, const ReadContext& context,
                          ListOrdersReply* reply) const;
  Result<void> ListCustomerOrders(const ListCustomerOrdersRequest& request,
                                  const ReadContext& context, ListOrdersReply* reply) const;

  // The time of a reservation is over; the key is its order's number.
  void OnTimer(WriteContext& context, std::string_view key) override;
  std::optional<std::string> CheckInvariants() const override;  // invariants.cc

 private:
  using Code = OrderOutcome::Code;

  // Each step of an order: what is the same for all of them, around what is its own.
  template <class Request, class Do>
  Result<void> Take(Step step, const Request& request, WriteContext& context, OrderReply* reply,
                    Do take);
  Code Repeat(const OrderRow& row, const PlaceOrderRequest& request, OrderReply* reply) const;
  Code Price(const PlaceOrderRequest& request, OrderRow* row, OrderReply* reply);
  Code Ship(const ShipOrderRequest& request, Transition& order, OrderReply* reply);
  Code Deliver(const DeliverOrderRequest& request, Transition& order);
  void ReplyProduct(const std::string& sku, ProductOutcome::Code outcome,
                    ProductReply* reply) const;
  void ReplyCustomer(const std::string& id, CustomerOutcome::Code outcome,
                     CustomerReply* reply) const;

  Tables tables_;
};

}  // namespace holdfast::orders
