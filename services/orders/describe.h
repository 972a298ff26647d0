// Rows as the messages that callers see, and cursors.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <optional>
#include <string>

#include "services/orders/orders.pb.h"
#include "services/orders/tables.h"
#include "src/state_machine/lease.h"

namespace holdfast::orders {

using state_machine::LeaseTime;

void FillProduct(const std::string& sku, const ProductRow& row, Product* product);
void FillCustomer(const std::string& id, const CustomerRow& row, Customer* customer);
// Without history and shipments.
void FillOrder(const OrderRow& row, LeaseTime now, Order* order);
void FillEvent(const EventRow& row, OrderEvent* event);
void FillShipment(const OrderRow& order, const ShipmentRow& row, Shipment* shipment);

// The number that a list goes on from; "" is the beginning. Nothing: it is no cursor of ours.
std::optional<OrderNumber> ParseCursor(const std::string& cursor);

}  // namespace holdfast::orders
