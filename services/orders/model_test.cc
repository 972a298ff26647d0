// Random requests, random times, leaders that come and go: the service must answer as the model
// does, word for word, and hold its invariants.

#include "services/orders/model.h"

#include <random>
#include <set>

#include "services/orders/testing.h"

namespace holdfast::orders {
namespace {

// Few products with little stock, few customers, ids that repeat: everything meets everything.
class Comparison : public OrdersFixture {
 public:
  explicit Comparison(uint64_t seed) : random_(seed) {}
  void TestBody() override {}

  void Run(int steps) {
    for (int step = 0; step < steps; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      Step();
      if (::testing::Test::HasFailure()) return;
      if (step % 8 == 0) CompareReads();
      if (step % 16 == 0) {
        ASSERT_EQ(Broken(kOrders), "");
      }
      if (step % 200 == 199) Checkpoint();
      if (step % 500 == 499) Restart();
      if (::testing::Test::HasFailure()) return;
    }
  }

  const std::set<std::string>& seen() const { return seen_; }

 private:
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  std::string ASku() { return "p" + std::to_string(Below(4)); }
  std::string ACustomer() { return "c" + std::to_string(Below(4)); }
  // Ids move on slowly.
  std::string AnId() { return "o" + std::to_string(++made_ / 70 + Below(5)); }
  std::string AShipment() { return "s" + std::to_string(Below(3)); }
  uint32_t AQuantity() { return static_cast<uint32_t>(Below(12) == 0 ? 1'000'000 : 1 + Below(4)); }

  sessions::Moment moment() {
    const int64_t log_us = machine().position().now.us;
    return {log_us, log_us - lease_now_us()};
  }

  template <class Reply, class Request>
  void Compare(const std::string& method, const Request& request,
               Reply (Model::*ask)(const Request&)) {
    ComparePart<Reply>(method, request, [&] { return (model_.*ask)(request); });
  }
  template <class Reply, class Request>
  void Compare(const std::string& method, const Request& request,
               Reply (Model::*ask)(const Request&) const) {
    ComparePart<Reply>(method, request, [&] { return (model_.*ask)(request); });
  }
  template <class Reply, class Request, class Ask>
  void ComparePart(const std::string& method, const Request& request, Ask ask) {
    const Reply reply = Write<Reply>("orders." + method, request);
    model_.PassTo(moment());
    const Reply expected = ask();
    seen_.insert(method + " " + Name(reply.outcome()));
    ASSERT_EQ(reply.ShortDebugString(), expected.ShortDebugString())
        << method << " " << request.ShortDebugString();
  }

  template <class Request>
  Request OfOrder() {
    Request request;
    request.set_id(AnId());
    return request;
  }

  void Step() {
    if (Below(20) == 0) NewLeader();
    if (Below(6) == 0) PassMs(static_cast<int64_t>(Below(2'000)));
    model_.PassTo(moment());
    switch (Below(24)) {
      case 0: {
        CreateProductRequest request;
        request.set_sku(ASku());
        request.set_price(static_cast<int64_t>(Below(8) == 0 ? 1'000'000'000'000 : 1 + Below(900)));
        request.set_currency(Below(6) == 0 ? "USD" : "EUR");
        Compare("CreateProduct", request, &Model::CreateProduct);
        break;
      }
      case 1: {
        UpdateProductRequest request;
        request.set_sku(ASku());
        if (Below(2) == 0) request.set_name("n" + std::to_string(Below(9)));
        if (Below(2) == 0) request.set_price(static_cast<int64_t>(1 + Below(900)));
        Compare("UpdateProduct", request, &Model::UpdateProduct);
        break;
      }
      case 2: {
        ReceiveStockRequest request;
        request.set_sku(ASku());
        request.set_quantity(static_cast<uint32_t>(Below(40) == 0 ? 1'000'000'000 : 1 + Below(6)));
        Compare("ReceiveStock", request, &Model::ReceiveStock);
        break;
      }
      case 3: {
        WriteOffStockRequest request;
        request.set_sku(ASku());
        request.set_quantity(static_cast<uint32_t>(Below(3) == 0 ? 1'000'000'000 : 1 + Below(6)));
        Compare("WriteOffStock", request, &Model::WriteOffStock);
        break;
      }
      case 4: {
        CreateCustomerRequest request;
        request.set_id(ACustomer());
        request.set_currency(request.id() == "c3" ? "USD" : "EUR");
        if (Below(8) == 0) request.set_name("n");
        Compare("CreateCustomer", request, &Model::CreateCustomer);
        break;
      }
      case 5:
      case 6:
      case 7:
      case 8: {
        auto request = OfOrder<PlaceOrderRequest>();
        request.set_customer(ACustomer());
        for (const char* sku : {"p0", "p1", "p2", "p3"}) {
          if (Below(3) != 0) continue;
          Item* item = request.add_lines();
          item->set_sku(sku);
          item->set_quantity(AQuantity());
        }
        if (request.lines().empty()) {
          request.add_lines()->set_sku(ASku());
          request.mutable_lines(0)->set_quantity(1);
        }
        if (Below(12) == 0) request.set_total(static_cast<int64_t>(1 + Below(900)));
        if (Below(8) == 0) (*request.mutable_metadata())["k"] = "v";
        Compare("PlaceOrder", request, &Model::PlaceOrder);
        if (Below(4) == 0) Compare("PlaceOrder", request, &Model::PlaceOrder);
        break;
      }
      case 9:
      case 10:
      case 11:
      case 12: {
        auto request = OfOrder<ReserveOrderRequest>();
        if (Below(4) != 0) request.set_reservation_seconds(static_cast<uint32_t>(1 + Below(20)));
        Compare("ReserveOrder", request, &Model::ReserveOrder);
        break;
      }
      case 13:
      case 14:
      case 15: {
        auto request = OfOrder<PayOrderRequest>();
        request.set_payment(Below(6) == 0 ? "another" : request.id());
        Compare("PayOrder", request, &Model::PayOrder);
        break;
      }
      case 16:
      case 17: Compare("PackOrder", OfOrder<PackOrderRequest>(), &Model::PackOrder); break;
      case 18:
      case 19: {
        auto request = OfOrder<ShipOrderRequest>();
        request.set_shipment(AShipment());
        for (const char* sku : {"p0", "p1", "p2", "p3"}) {
          if (Below(3) != 0) continue;
          Item* item = request.add_lines();
          item->set_sku(sku);
          item->set_quantity(static_cast<uint32_t>(1 + Below(3)));
        }
        Compare("ShipOrder", request, &Model::ShipOrder);
        break;
      }
      case 20: {
        auto request = OfOrder<DeliverOrderRequest>();
        if (Below(2) == 0) request.set_shipment(AShipment());
        Compare("DeliverOrder", request, &Model::DeliverOrder);
        break;
      }
      case 21: {
        auto request = OfOrder<CancelOrderRequest>();
        request.set_reason("r" + std::to_string(Below(3)));
        if (Below(2) == 0) Compare("CancelOrder", request, &Model::CancelOrder);
        break;
      }
      case 22: {
        auto request = OfOrder<ReturnOrderRequest>();
        request.set_discard(Below(2) == 0);
        Compare("ReturnOrder", request, &Model::ReturnOrder);
        break;
      }
      default: Check();
    }
  }

  void Check() {
    if (Below(2) == 0) {
      CheckStockRequest request;
      request.set_sku(ASku());
      request.set_at_least(static_cast<int64_t>(1 + Below(6)));
      Compare("CheckStock", request, &Model::CheckStock);
      return;
    }
    auto request = OfOrder<CheckOrderRequest>();
    request.set_absent(Below(2) == 0);
    if (!request.absent()) {
      request.add_states(static_cast<OrderState::Code>(1 + Below(9)));
      request.add_states(static_cast<OrderState::Code>(1 + Below(9)));
    }
    Compare("CheckOrder", request, &Model::CheckOrder);
  }

  // What is read is what the model has; nothing where it has nothing.
  template <class Reply, class Request>
  void CompareRead(const std::string& method, const Request& request,
                   const std::optional<Reply>& expected) {
    const Result<Reply> reply = Read<Reply>("orders." + method, request);
    ASSERT_EQ(reply.has_value(), expected.has_value())
        << method << " " << request.ShortDebugString();
    if (!reply) return;
    ASSERT_EQ(reply->ShortDebugString(), expected->ShortDebugString())
        << method << " " << request.ShortDebugString();
  }

  void CompareReads() {
    GetProductRequest product;
    product.set_sku(ASku());
    CompareRead("GetProduct", product, model_.GetProduct(product));
    ListProductsRequest products;
    products.set_limit(static_cast<uint32_t>(Below(4)));
    products.set_cursor(Below(2) == 0 ? ASku() : "");
    CompareRead("ListProducts", products, std::optional(model_.ListProducts(products)));
    GetCustomerRequest customer;
    customer.set_id(ACustomer());
    CompareRead("GetCustomer", customer, model_.GetCustomer(customer));
    ListCustomersRequest customers;
    customers.set_from("c" + std::to_string(Below(3)));
    if (Below(2) == 0) customers.set_to("c" + std::to_string(2 + Below(3)));
    customers.set_limit(static_cast<uint32_t>(Below(3)));
    CompareRead("ListCustomers", customers, std::optional(model_.ListCustomers(customers)));
    const auto order = OfOrder<GetOrderRequest>();
    CompareRead("GetOrder", order, model_.GetOrder(order));
    ListOrdersRequest orders;
    orders.set_state(static_cast<OrderState::Code>(1 + Below(9)));
    orders.set_limit(static_cast<uint32_t>(Below(6)));
    if (Below(2) == 0) orders.set_cursor(std::to_string(Below(40)));
    CompareRead("ListOrders", orders, std::optional(model_.ListOrders(orders)));
    ListCustomerOrdersRequest of;
    of.set_customer(ACustomer());
    of.set_limit(static_cast<uint32_t>(Below(6)));
    if (Below(2) == 0) of.set_cursor(std::to_string(Below(40)));
    CompareRead("ListCustomerOrders", of, model_.ListCustomerOrders(of));
  }

  std::mt19937_64 random_;
  Model model_;
  uint64_t made_ = 0;
  std::set<std::string> seen_;
};

TEST(OrdersModelTest, DoesWhatTheModelDoes) {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Comparison comparison(seed);
    comparison.Run(4'000);
    if (::testing::Test::HasFailure()) return;
    seen.insert(comparison.seen().begin(), comparison.seen().end());
  }
  for (const char* outcome : {"CreateProduct exists_with_different_fields",
                              "WriteOffStock insufficient_stock",
                              "WriteOffStock written_off",
                              "CreateCustomer exists_with_different_fields",
                              "PlaceOrder placed",
                              "PlaceOrder already_exists",
                              "PlaceOrder exists_with_different_fields",
                              "PlaceOrder customer_not_found",
                              "PlaceOrder product_not_found",
                              "PlaceOrder currency_mismatch",
                              "PlaceOrder total_differs",
                              "ReserveOrder stock_reserved",
                              "ReserveOrder already_done",
                              "ReserveOrder wrong_state",
                              "ReserveOrder reservation_expired",
                              "ReserveOrder insufficient_stock",
                              "PayOrder paid",
                              "PayOrder already_done",
                              "PayOrder exists_with_different_fields",
                              "PayOrder reservation_expired",
                              "PackOrder packed",
                              "ShipOrder shipped",
                              "ShipOrder already_done",
                              "ShipOrder exists_with_different_fields",
                              "ShipOrder not_ordered",
                              "ShipOrder exceeds_ordered",
                              "DeliverOrder delivered",
                              "DeliverOrder already_done",
                              "DeliverOrder shipment_not_found",
                              "CancelOrder cancelled",
                              "CancelOrder already_done",
                              "ReturnOrder returned",
                              "ReturnOrder already_done",
                              "ReturnOrder exists_with_different_fields",
                              "CheckOrder valid",
                              "CheckOrder order_exists",
                              "CheckOrder wrong_state",
                              "CheckStock valid",
                              "CheckStock insufficient_stock"}) {
    EXPECT_TRUE(seen.contains(outcome)) << outcome << " was never reached";
  }
}

}  // namespace
}  // namespace holdfast::orders
