#include <algorithm>

#include "services/orders/describe.h"
#include "services/orders/orders.h"
#include "services/orders/transitions.h"
#include "src/base/bounds.h"
#include "src/base/check.h"

namespace holdfast::orders {
namespace {

// Bounds one page by rows and by bytes, so that no page outgrows a reply.
class Page {
 public:
  explicit Page(uint32_t limit) : rows_left_(limit == 0 ? bounds::kPageRowsDefault : limit) {}

  bool Full() const { return rows_left_ == 0 || bytes_ >= bounds::kOrderPageBytesMax; }
  void Count(const google::protobuf::Message& row) {
    --rows_left_;
    bytes_ += row.ByteSizeLong();
  }

 private:
  size_t rows_left_;
  size_t bytes_ = 0;
};

Error NoCustomer(const std::string& id) { return NotFound("there is no customer '" + id + "'"); }

}  // namespace

Result<void> Orders::GetProduct(const GetProductRequest& request, const ReadContext& /*context*/,
                                Product* reply) const {
  const auto row = tables_.products.Get(request.sku());
  if (!row) return Fail(NotFound("there is no product '" + request.sku() + "'"));
  FillProduct(request.sku(), *row, reply);
  return {};
}

Result<void> Orders::ListProducts(const ListProductsRequest& request,
                                  const ReadContext& /*context*/, ListProductsReply* reply) const {
  Page page(request.limit());
  tables_.products.Scan(request.cursor(), [&](const std::string& sku, const ProductRow& row) {
    if (page.Full()) {
      reply->set_next_cursor(sku);
      return false;
    }
    Product* product = reply->add_products();
    FillProduct(sku, row, product);
    page.Count(*product);
    return true;
  });
  return {};
}

Result<void> Orders::GetCustomer(const GetCustomerRequest& request, const ReadContext& /*context*/,
                                 Customer* reply) const {
  const auto row = tables_.customers.Get(request.id());
  if (!row) return Fail(NoCustomer(request.id()));
  FillCustomer(request.id(), *row, reply);
  return {};
}

Result<void> Orders::ListCustomers(const ListCustomersRequest& request,
                                   const ReadContext& /*context*/,
                                   ListCustomersReply* reply) const {
  Page page(request.limit());
  const std::string from = std::max(request.from(), request.cursor());
  tables_.customers.Scan(from, [&](const std::string& id, const CustomerRow& row) {
    if (!request.to().empty() && id >= request.to()) return false;
    if (page.Full()) {
      reply->set_next_cursor(id);
      return false;
    }
    Customer* customer = reply->add_customers();
    FillCustomer(id, row, customer);
    page.Count(*customer);
    return true;
  });
  return {};
}

Result<void> Orders::GetOrder(const GetOrderRequest& request, const ReadContext& context,
                              Order* reply) const {
  const auto number = tables_.ids.Get(request.id());
  if (!number) return Fail(NotFound("there is no order '" + request.id() + "'"));
  const auto row = tables_.orders.Get(number->number);
  HOLDFAST_CHECK(row.has_value(), "an id without an order: " + request.id());
  FillOrder(*row, context.lease_now, reply);
  tables_.events.Scan({number->number, 0}, [&](const PartKey& key, const EventRow& event) {
    if (std::get<0>(key) != number->number) return false;
    FillEvent(event, reply->add_history());
    return true;
  });
  tables_.shipments.Scan({number->number, 0}, [&](const PartKey& key, const ShipmentRow& shipment) {
    if (std::get<0>(key) != number->number) return false;
    FillShipment(*row, shipment, reply->add_shipments());
    return true;
  });
  return {};
}

Result<void> Orders::ListOrders(const ListOrdersRequest& request, const ReadContext& context,
                                ListOrdersReply* reply) const {
  Page page(request.limit());
  const StateKey from{request.state(), *ParseCursor(request.cursor())};
  // Most orders have left the states that are asked for: their places are walked over.
  const auto rest = tables_.by_state.ScanWithin(
      from, bounds::kPageStepsMax, [&](const StateKey& key, const NoRow&) {
        const auto& [state, number] = key;
        if (state != static_cast<uint64_t>(request.state())) return false;
        const auto row = tables_.orders.Get(number);
        HOLDFAST_CHECK(row.has_value(), "no order has number " + std::to_string(number));
        // Whose time is over has left the state, also where its timer has yet to say so.
        if (IsOver(*row, context.lease_now)) return true;
        if (page.Full()) {
          reply->set_next_cursor(std::to_string(number));
          return false;
        }
        Order* order = reply->add_orders();
        FillOrder(*row, context.lease_now, order);
        page.Count(*order);
        return true;
      });
  if (rest && std::get<0>(*rest) == static_cast<uint64_t>(request.state())) {
    reply->set_next_cursor(std::to_string(std::get<1>(*rest)));
  }
  return {};
}

Result<void> Orders::ListCustomerOrders(const ListCustomerOrdersRequest& request,
                                        const ReadContext& context, ListOrdersReply* reply) const {
  if (!tables_.customers.Get(request.customer())) return Fail(NoCustomer(request.customer()));
  Page page(request.limit());
  const CustomerKey from{request.customer(), *ParseCursor(request.cursor())};
  tables_.by_customer.Scan(from, [&](const CustomerKey& key, const NoRow&) {
    const auto& [customer, number] = key;
    if (customer != request.customer()) return false;
    if (page.Full()) {
      reply->set_next_cursor(std::to_string(number));
      return false;
    }
    const auto row = tables_.orders.Get(number);
    HOLDFAST_CHECK(row.has_value(), "no order has number " + std::to_string(number));
    Order* order = reply->add_orders();
    FillOrder(*row, context.lease_now, order);
    page.Count(*order);
    return true;
  });
  return {};
}

}  // namespace holdfast::orders
