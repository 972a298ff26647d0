// How an order goes from state to state, and all that goes with it: its history, the index of its
// state, the customer's record, the stock of its products, and the timer of its reservation.
//
//   placed -> stock_reserved -> paid -> packed -> (partly_shipped ->) shipped -> delivered
//      |            |            |        |              |               |           |
//      +------------+------------+--------+--> cancelled +---------------+-----------+--> returned
//                   | its time is over ---------^
//
// Apply thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/orders/tables.h"
#include "src/state_machine/service.h"

namespace holdfast::orders {

using state_machine::LeaseTime;
using state_machine::WriteContext;

// What is asked of an order. Each is allowed in some states only.
enum class Step { kReserve, kPay, kPack, kShip, kDeliver, kCancel, kReturn };
bool May(Step step, OrderState::Code state);
// Whether `step` is behind an order in this state, so that who asks for it repeats it.
bool HasDone(Step step, OrderState::Code state);

// What an order in this state counts for in its customer's spend.
int64_t SpendOf(const OrderRow& order);
// The count of a customer's record in which orders of this state are.
uint64_t& CountOf(CustomerRow& customer, OrderState::Code state);

// A reservation whose time is over counts as expired, though its timer may not have fired yet.
bool IsOver(const OrderRow& order, LeaseTime now);
// The state that follows from that.
OrderState::Code StateAt(const OrderRow& order, LeaseTime now);

// One order that is being changed. Its row is read, changed and put back at the end.
class Transition {
 public:
  Transition(Tables& tables, WriteContext& context) : t_(tables), context_(context) {}

  // False: no order has the id. One whose reservation is over is cancelled first.
  bool Open(const std::string& id);
  void Open(OrderNumber number);
  // A new one, in state `placed`; the customer exists.
  void Begin(OrderRow row);

  OrderNumber number() const { return number_; }
  const OrderRow& row() const { return row_; }

  // The first line whose product cannot be reserved, and why; unspecified: all can.
  struct Lack {
    OrderOutcome::Code why = OrderOutcome::unspecified;
    std::string sku;
  };
  Lack FindLack();
  // --- Transitions, which must be allowed
  void Reserve(uint32_t seconds);
  // False: all that the customer has spent would not fit.
  bool Pay(const std::string& payment);
  void Pack() { Enter(OrderState::packed, {}); }
  void Ship(const std::string& shipment, std::vector<PartEntry> parts);
  // `last`: no other shipment is under way.
  void Deliver(uint64_t shipment, bool last);
  void Cancel(const std::string& reason);
  void Return(const std::string& reason, bool discard);
  // The timer of its reservation has fired.
  void Due();

  std::optional<uint64_t> FindShipment(const std::string& id) const;
  // The shipments that have not arrived yet.
  std::vector<uint64_t> UnderWay() const;
  ShipmentRow ShipmentAt(uint64_t at) const { return *t_.shipments.Get({number_, at}); }

 private:
  // Puts the row.
  void Enter(OrderState::Code state, EventRow event);
  void Expire();
  // What is not shipped of it is reserved no more.
  void ReleaseStock();
  template <class Change>
  void ChangeProduct(const std::string& sku, Change change);

  Tables& t_;
  WriteContext& context_;
  OrderNumber number_ = 0;
  OrderRow row_;
};

}  // namespace holdfast::orders
