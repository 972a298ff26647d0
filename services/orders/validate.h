// What no state could make acceptable, beyond what the options of the fields say. Stateless; any
// thread.
#pragma once

#include "services/orders/orders.pb.h"
#include "src/base/error.h"

namespace holdfast::orders {

Result<void> Validate(const CreateProductRequest& request);
Result<void> Validate(const UpdateProductRequest& request);
Result<void> Validate(const CreateCustomerRequest& request);
Result<void> Validate(const ListCustomersRequest& request);
Result<void> Validate(const PlaceOrderRequest& request);
Result<void> Validate(const PayOrderRequest& request);
Result<void> Validate(const ShipOrderRequest& request);
Result<void> Validate(const CancelOrderRequest& request);
Result<void> Validate(const ReturnOrderRequest& request);
Result<void> Validate(const ListOrdersRequest& request);
Result<void> Validate(const ListCustomerOrdersRequest& request);
Result<void> Validate(const CheckOrderRequest& request);

}  // namespace holdfast::orders
