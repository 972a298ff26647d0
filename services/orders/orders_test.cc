// Products, customers and orders, each method through the machine that runs it on a real node.

#include <limits>

#include "holdfast/atomic.pb.h"
#include "services/orders/testing.h"
#include "src/base/bounds.h"

namespace holdfast::orders {
namespace {

// A shop: 10 cups at 500, 3 pots at 2000; ann orders in euros.
class OrdersTest : public OrdersFixture {
 protected:
  OrdersTest() {
    EXPECT_EQ(AddProduct("cup", 500, 10), "created");
    EXPECT_EQ(AddProduct("pot", 2'000, 3), "created");
    EXPECT_EQ(AddCustomer("ann"), "created");
  }
  ~OrdersTest() override { EXPECT_EQ(Broken(kOrders), ""); }

  // An order that has come so far.
  void Bring(const std::string& id, Lines lines, OrderState::Code state) {
    EXPECT_EQ(Place(id, lines), "placed");
    const auto expect = [&](OrderState::Code from, const std::string& outcome, const auto& step) {
      if (state >= from) {
        EXPECT_EQ(step(), outcome);
      }
    };
    expect(OrderState::stock_reserved, "stock_reserved", [&] { return Reserve(id); });
    expect(OrderState::paid, "paid", [&] { return Pay(id, "pay-" + id); });
    expect(OrderState::packed, "packed", [&] { return Pack(id); });
    expect(OrderState::shipped, "shipped", [&] { return Ship(id, "s-" + id); });
    expect(OrderState::delivered, "delivered", [&] { return Deliver(id); });
  }
  OrderReply Placed(const PlaceOrderRequest& request) {
    return Write<OrderReply>("orders.PlaceOrder", request);
  }
};

TEST_F(OrdersTest, AnOrderGoesItsWay) {
  EXPECT_EQ(Place("o1", {{"cup", 4}, {"pot", 1}}), "placed");
  EXPECT_EQ(StockOf("cup"), "10 0 10") << "an order that is only placed reserves nothing";
  EXPECT_EQ(Reserve("o1"), "stock_reserved");
  EXPECT_EQ(StockOf("cup"), "10 4 6");
  EXPECT_EQ(StockOf("pot"), "3 1 2");
  EXPECT_EQ(Pay("o1", "t1"), "paid");
  EXPECT_EQ(Pack("o1"), "packed");
  EXPECT_EQ(StockOf("cup"), "10 4 6");
  EXPECT_EQ(Ship("o1", "s1"), "shipped");
  EXPECT_EQ(StockOf("cup"), "6 0 6");
  EXPECT_EQ(Deliver("o1"), "delivered");

  const Order order = OrderNamed("o1");
  EXPECT_EQ(order.total(), 4'000);
  EXPECT_EQ(order.currency(), "EUR");
  EXPECT_EQ(order.payment(), "t1");
  EXPECT_EQ(order.lines(0).shipped(), 4u);
  EXPECT_EQ(HistoryOf("o1"), "placed stock_reserved paid packed shipped delivered");
  EXPECT_EQ(order.history(4).shipment(), "s1");
  ASSERT_EQ(order.shipments_size(), 1);
  EXPECT_EQ(order.shipments(0).lines_size(), 2);
  EXPECT_TRUE(order.shipments(0).has_delivered());
  for (int i = 1; i < order.history_size(); ++i) {
    EXPECT_LT(order.history(i - 1).time().nanos(), order.history(i).time().nanos());
  }
}

TEST_F(OrdersTest, TheCustomersRecordGoesWithTheOrders) {
  Customer ann = CustomerOf("ann");
  EXPECT_EQ(ann.orders(), 0u);
  EXPECT_FALSE(ann.has_last_order_time());
  Bring("o1", {{"cup", 1}}, OrderState::paid);
  Bring("o2", {{"cup", 2}}, OrderState::delivered);
  Bring("o3", {{"pot", 1}}, OrderState::stock_reserved);
  ann = CustomerOf("ann");
  EXPECT_EQ(ann.orders(), 3u);
  EXPECT_EQ(ann.open(), 2u);
  EXPECT_EQ(ann.delivered(), 1u);
  EXPECT_EQ(ann.spend(), 1'500) << "what is only reserved is not spent";
  EXPECT_EQ(ann.last_order(), "o3");
  EXPECT_EQ(Cancel("o1"), "cancelled");
  EXPECT_EQ(Return("o2"), "returned");
  ann = CustomerOf("ann");
  EXPECT_EQ(ann.open(), 1u);
  EXPECT_EQ(ann.delivered(), 0u);
  EXPECT_EQ(ann.cancelled(), 1u);
  EXPECT_EQ(ann.returned(), 1u);
  EXPECT_EQ(ann.spend(), 0);
  EXPECT_EQ(ann.last_order(), "o3") << "the one placed last, whatever becomes of the others";
}

TEST_F(OrdersTest, StockIsNeverOversold) {
  EXPECT_EQ(Place("o1", {{"cup", 7}}), "placed");
  EXPECT_EQ(Place("o2", {{"pot", 1}, {"cup", 4}}), "placed");
  EXPECT_EQ(Reserve("o1"), "stock_reserved");
  ReserveOrderRequest request;
  request.set_id("o2");
  const OrderReply reply = Write<OrderReply>("orders.ReserveOrder", request);
  EXPECT_EQ(Name(reply.outcome()), "insufficient_stock");
  EXPECT_EQ(reply.sku(), "cup");
  EXPECT_EQ(Name(reply.order().state()), "placed");
  EXPECT_EQ(StockOf("pot"), "3 0 3") << "all lines are reserved, or none";
  EXPECT_EQ(WriteOff("cup", 4), "insufficient_stock") << "what is reserved cannot be lost";
  EXPECT_EQ(WriteOff("cup", 3), "written_off");
  EXPECT_EQ(StockOf("cup"), "7 7 0");
  EXPECT_EQ(Receive("cup", 4), "received");
  EXPECT_EQ(Reserve("o2"), "stock_reserved");
  EXPECT_EQ(StockOf("cup"), "11 11 0");
  const Product cup = ProductOf("cup");
  EXPECT_EQ(cup.received(), 14);
  EXPECT_EQ(cup.written_off(), 3);
}

TEST_F(OrdersTest, AReservationExpires) {
  Bring("o1", {{"cup", 4}}, OrderState::stock_reserved);  // For a minute.
  EXPECT_EQ(OrderNamed("o1").reserved_ms(), 60'000u);
  PassMs(59'000);
  EXPECT_EQ(StateOf("o1"), "stock_reserved");
  EXPECT_LE(OrderNamed("o1").reserved_ms(), 1'000u);
  PassMs(1'000);
  EXPECT_EQ(StateOf("o1"), "cancelled");
  EXPECT_EQ(StockOf("cup"), "10 0 10");
  const Order order = OrderNamed("o1");
  EXPECT_TRUE(order.expired());
  EXPECT_EQ(HistoryOf("o1"), "placed stock_reserved cancelled");
  EXPECT_TRUE(order.history(2).expired());
  EXPECT_EQ(CustomerOf("ann").cancelled(), 1u);
  EXPECT_EQ(Pay("o1"), "reservation_expired");
  EXPECT_EQ(Reserve("o1"), "reservation_expired");
  EXPECT_EQ(Cancel("o1"), "already_done");
  EXPECT_EQ(Pack("o1"), "reservation_expired");
}

TEST_F(OrdersTest, AReservationThatIsPaidDoesNotExpire) {
  Bring("o1", {{"cup", 4}}, OrderState::paid);
  PassMs(3'600'000);
  EXPECT_EQ(machine().NextTimer(), std::nullopt);
  EXPECT_EQ(StateOf("o1"), "paid");
  EXPECT_EQ(StockOf("cup"), "10 4 6");
}

TEST_F(OrdersTest, ACancelledReservationLeavesNoTimer) {
  Bring("o1", {{"cup", 4}}, OrderState::stock_reserved);
  EXPECT_NE(machine().NextTimer(), std::nullopt);
  EXPECT_EQ(Cancel("o1", "changed her mind"), "cancelled");
  PassMs(60'000);
  EXPECT_EQ(machine().NextTimer(), std::nullopt);
  EXPECT_EQ(StockOf("cup"), "10 0 10");
  EXPECT_EQ(OrderNamed("o1").history(2).reason(), "changed her mind");
  EXPECT_FALSE(OrderNamed("o1").expired());
}

TEST_F(OrdersTest, AFailoverDoesNotShortenAReservation) {
  Bring("o1", {{"cup", 4}}, OrderState::stock_reserved);
  PassMs(30'000);
  NewLeader();
  PassMs(40'000);  // Nobody led, and the new leader's clock is ahead.
  EXPECT_EQ(StateOf("o1"), "stock_reserved");
  EXPECT_EQ(OrderNamed("o1").reserved_ms(), 30'000u);
  PassMs(29'000);
  EXPECT_EQ(StateOf("o1"), "stock_reserved");
  PassMs(1'000);
  EXPECT_EQ(StateOf("o1"), "cancelled");
}

// More reservations than two entries have timers for: the rest is over all the same.
TEST_F(OrdersTest, AReservationIsOverAlsoBeforeItsTimerFires) {
  const size_t many = 2 * bounds::kTimersPerEntryMax + 1;
  EXPECT_EQ(Receive("cup", 10'000), "received");
  for (size_t i = 0; i < many; ++i) {
    const std::string id = "o" + std::to_string(i);
    EXPECT_EQ(Place(id, {{"cup", 1}}), "placed");
    EXPECT_EQ(Reserve(id, 600), "stock_reserved");
  }
  PassMs(600'000);
  const std::string last = "o" + std::to_string(many - 1);
  ASSERT_EQ(StateOf(last), "stock_reserved") << "its timer has not fired";
  EXPECT_EQ(OrderNamed(last).reserved_ms(), 0u);
  const auto list = [&](OrderState::Code state) {
    ListOrdersRequest request;
    request.set_state(state);
    request.set_limit(1'000);
    request.set_cursor(std::to_string(many - 50));  // By number; the last ones are yet to be told.
    return Read<ListOrdersReply>("orders.ListOrders", request);
  };
  EXPECT_EQ(list(OrderState::stock_reserved)->orders_size(), 0);
  EXPECT_EQ(list(OrderState::stock_reserved)->next_cursor(), "");
  EXPECT_LT(list(OrderState::cancelled)->orders_size(), 51) << "that waits for the timers";
  EXPECT_EQ(Pay(last), "reservation_expired");
  EXPECT_EQ(StateOf(last), "cancelled");
  PassMs(1);
  EXPECT_EQ(ProductOf("cup").reserved(), 0);
}

TEST_F(OrdersTest, WhatIsReservedSurvivesARestart) {
  Bring("o1", {{"cup", 4}}, OrderState::stock_reserved);
  Checkpoint();
  Bring("o2", {{"cup", 2}}, OrderState::paid);
  Restart();
  EXPECT_EQ(StockOf("cup"), "10 6 4");
  PassMs(60'000);
  EXPECT_EQ(StockOf("cup"), "10 2 8");
  EXPECT_EQ(StateOf("o1"), "cancelled");
  EXPECT_EQ(HistoryOf("o2"), "placed stock_reserved paid");
}

TEST_F(OrdersTest, OrdersAreShippedInParts) {
  Bring("o1", {{"cup", 4}, {"pot", 2}}, OrderState::packed);
  EXPECT_EQ(Ship("o1", "s1", {{"cup", 1}, {"pot", 2}}), "shipped");
  EXPECT_EQ(StateOf("o1"), "partly_shipped");
  EXPECT_EQ(StockOf("cup"), "9 3 6");
  EXPECT_EQ(StockOf("pot"), "1 0 1");
  EXPECT_EQ(Cancel("o1"), "wrong_state");
  EXPECT_EQ(Ship("o1", "s1", {{"pot", 2}, {"cup", 1}}), "already_done") << "in whatever order";
  EXPECT_EQ(Ship("o1", "s1"), "already_done");
  EXPECT_EQ(Ship("o1", "s1", {{"cup", 1}}), "exists_with_different_fields");
  EXPECT_EQ(Ship("o1", "s2", {{"jug", 1}}), "not_ordered");
  EXPECT_EQ(Ship("o1", "s2", {{"pot", 1}}), "exceeds_ordered");
  EXPECT_EQ(Ship("o1", "s2", {{"cup", 4}}), "exceeds_ordered");
  EXPECT_EQ(Deliver("o1", "s1"), "delivered");
  EXPECT_EQ(StateOf("o1"), "partly_shipped") << "there is more to come";
  EXPECT_EQ(Deliver("o1", "s1"), "already_done");
  EXPECT_EQ(Deliver("o1"), "already_done") << "nothing is under way";
  EXPECT_EQ(Deliver("o1", "s9"), "shipment_not_found");
  EXPECT_EQ(Ship("o1", "s2", {{"cup", 1}}), "shipped");
  EXPECT_EQ(Ship("o1", "s3"), "shipped");
  EXPECT_EQ(StateOf("o1"), "shipped");
  EXPECT_EQ(Ship("o1", "s4"), "wrong_state");
  EXPECT_EQ(Deliver("o1", "s3"), "delivered");
  EXPECT_EQ(StateOf("o1"), "shipped");
  EXPECT_EQ(Deliver("o1"), "delivered");
  EXPECT_EQ(StateOf("o1"), "delivered");
  EXPECT_EQ(Deliver("o1"), "already_done");
  EXPECT_EQ(
      HistoryOf("o1"),
      "placed stock_reserved paid packed partly_shipped partly_shipped partly_shipped shipped "
      "shipped delivered");
  EXPECT_EQ(OrderNamed("o1").shipments(1).lines(0).quantity(), 1u);
}

TEST_F(OrdersTest, AnOrderHasABoundedNumberOfShipmentsAndCanStillBeFinished) {
  EXPECT_EQ(Receive("cup", 100), "received");
  Bring("o1", {{"cup", 100}}, OrderState::packed);
  for (uint32_t i = 1; i < bounds::kOrderShipmentsMax; ++i) {
    EXPECT_EQ(Ship("o1", "s" + std::to_string(i), {{"cup", 1}}), "shipped");
  }
  EXPECT_EQ(Ship("o1", "last", {{"cup", 1}}), "too_many_shipments");
  EXPECT_EQ(Ship("o1", "last"), "shipped");
  EXPECT_EQ(StateOf("o1"), "shipped");
  EXPECT_EQ(Deliver("o1"), "delivered");
  EXPECT_EQ(OrderNamed("o1").history_size(), 4 + 32 + 32);
}

TEST_F(OrdersTest, WhatComesBackGoesIntoStockUnlessDiscarded) {
  Bring("o1", {{"cup", 4}}, OrderState::shipped);
  Bring("o2", {{"cup", 3}}, OrderState::delivered);
  EXPECT_EQ(StockOf("cup"), "3 0 3");
  EXPECT_EQ(Return("o1"), "returned") << "refused at the door";
  EXPECT_EQ(StockOf("cup"), "7 0 7");
  EXPECT_EQ(Return("o2", true), "returned");
  EXPECT_EQ(StockOf("cup"), "7 0 7");
  EXPECT_EQ(Return("o2", true), "already_done");
  EXPECT_EQ(Return("o2", false), "exists_with_different_fields");
  EXPECT_EQ(ProductOf("cup").returned(), 4);
  EXPECT_EQ(ProductOf("cup").shipped(), 7);
}

// What cannot be sent any more is not kept for an order that is never finished.
TEST_F(OrdersTest, AnOrderThatIsShippedInPartComesBackAndLeavesTheRest) {
  for (const bool discard : {false, true}) {
    const std::string id = discard ? "o2" : "o1";
    Bring(id, {{"cup", 4}, {"pot", 1}}, OrderState::packed);
    EXPECT_EQ(Ship(id, "s1", {{"cup", 1}}), "shipped");
    EXPECT_EQ(StockOf("cup"), "9 3 6");
    EXPECT_EQ(Return(id, discard), "returned");
    EXPECT_EQ(StockOf("cup"), discard ? "9 0 9" : "10 0 10");
    EXPECT_EQ(StockOf("pot"), "3 0 3");
    EXPECT_EQ(Ship(id, "s2"), "wrong_state");
    EXPECT_EQ(Deliver(id), "wrong_state");
    EXPECT_EQ(Return(id, discard), "already_done");
  }
  EXPECT_EQ(CustomerOf("ann").returned(), 2u);
  EXPECT_EQ(CustomerOf("ann").spend(), 0);
}

// Every step in every state: it is done, is a repeat, or is refused and changes nothing.
TEST_F(OrdersTest, EachStepHasItsStates) {
  EXPECT_EQ(Receive("cup", 1'000), "received");
  struct Case {
    const char* state;
    // Reserve, Pay, Pack, Ship, Deliver, Cancel, Return.
    const char* outcomes[7];
  };
  constexpr const char* kWrong = "wrong_state";
  constexpr const char* kDone = "already_done";
  constexpr const char* kOver = "reservation_expired";
  const Case cases[] = {
      {"placed", {"stock_reserved", kWrong, kWrong, kWrong, kWrong, "cancelled", kWrong}},
      {"stock_reserved", {kDone, "paid", kWrong, kWrong, kWrong, "cancelled", kWrong}},
      {"paid", {kDone, kDone, "packed", kWrong, kWrong, "cancelled", kWrong}},
      {"packed", {kDone, kDone, kDone, "shipped", kWrong, "cancelled", kWrong}},
      {"partly_shipped", {kDone, kDone, kDone, "shipped", "delivered", kWrong, "returned"}},
      {"shipped", {kDone, kDone, kDone, kWrong, "delivered", kWrong, "returned"}},
      {"delivered", {kDone, kDone, kDone, kWrong, kDone, kWrong, "returned"}},
      {"cancelled", {kWrong, kWrong, kWrong, kWrong, kWrong, kDone, kWrong}},
      {"returned", {kWrong, kWrong, kWrong, kWrong, kWrong, kWrong, kDone}},
      {"expired", {kOver, kOver, kOver, kOver, kOver, kDone, kOver}},
  };
  int made = 0;
  for (const Case& one : cases) {
    for (int step = 0; step < 7; ++step) {
      const std::string id = "o" + std::to_string(++made);
      const std::string state = one.state;
      SCOPED_TRACE(state + ", step " + std::to_string(step));
      if (state == "placed") Bring(id, {{"cup", 2}}, OrderState::placed);
      if (state == "stock_reserved") Bring(id, {{"cup", 2}}, OrderState::stock_reserved);
      if (state == "paid") Bring(id, {{"cup", 2}}, OrderState::paid);
      if (state == "packed") Bring(id, {{"cup", 2}}, OrderState::packed);
      if (state == "partly_shipped") {
        Bring(id, {{"cup", 2}}, OrderState::packed);
        Ship(id, "s", {{"cup", 1}});
      }
      if (state == "shipped") Bring(id, {{"cup", 2}}, OrderState::shipped);
      if (state == "delivered") Bring(id, {{"cup", 2}}, OrderState::delivered);
      if (state == "cancelled") {
        Bring(id, {{"cup", 2}}, OrderState::stock_reserved);
        Cancel(id);
      }
      if (state == "returned") {
        Bring(id, {{"cup", 2}}, OrderState::shipped);
        Return(id);
      }
      if (state == "expired") {
        Bring(id, {{"cup", 2}}, OrderState::stock_reserved);
        PassMs(60'000);
      }
      const std::string history = HistoryOf(id);
      std::string outcome;
      switch (step) {
        case 0: outcome = Reserve(id); break;
        case 1: outcome = Pay(id, "pay-" + id); break;
        case 2: outcome = Pack(id); break;
        case 3: outcome = Ship(id, "new"); break;
        case 4: outcome = Deliver(id); break;
        case 5: outcome = Cancel(id); break;
        default: outcome = Return(id);
      }
      EXPECT_EQ(outcome, one.outcomes[step]);
      const bool refused = outcome == kWrong || outcome == kDone || outcome == kOver;
      EXPECT_EQ(HistoryOf(id) == history, refused);
      EXPECT_EQ(Broken(kOrders), "");
    }
  }
  EXPECT_EQ(Reserve("nowhere"), "order_not_found");
  EXPECT_EQ(Pay("nowhere"), "order_not_found");
  EXPECT_EQ(Pack("nowhere"), "order_not_found");
  EXPECT_EQ(Ship("nowhere", "s"), "order_not_found");
  EXPECT_EQ(Deliver("nowhere"), "order_not_found");
  EXPECT_EQ(Cancel("nowhere"), "order_not_found");
  EXPECT_EQ(Return("nowhere"), "order_not_found");
}

TEST_F(OrdersTest, AnIdIsOneOrderForEver) {
  PlaceOrderRequest request = OrderOf("o1", {{"cup", 1}, {"pot", 1}});
  (*request.mutable_metadata())["gift"] = "yes";
  EXPECT_EQ(Name(Placed(request).outcome()), "placed");
  UpdateProductRequest dearer;
  dearer.set_sku("cup");
  dearer.set_price(900);
  Write<ProductReply>("orders.UpdateProduct", dearer);
  const OrderReply again = Placed(request);
  EXPECT_EQ(Name(again.outcome()), "already_exists");
  EXPECT_EQ(again.order().total(), 2'500) << "at the prices of then";

  const auto differs = [&](const PlaceOrderRequest& other) {
    const OrderReply reply = Placed(other);
    EXPECT_EQ(Name(reply.outcome()), "exists_with_different_fields");
    EXPECT_EQ(reply.order().id(), "o1");
    return reply.field();
  };
  PlaceOrderRequest other = request;
  other.set_customer("bob");
  EXPECT_EQ(differs(other), "customer");
  other = request;
  other.mutable_lines(0)->set_quantity(2);
  EXPECT_EQ(differs(other), "lines");
  other.mutable_lines()->RemoveLast();
  EXPECT_EQ(differs(other), "lines");
  other = request;
  other.set_total(2'900);
  EXPECT_EQ(differs(other), "total");
  other.set_total(2'500);
  EXPECT_EQ(Name(Placed(other).outcome()), "already_exists");
  other.clear_metadata();
  EXPECT_EQ(differs(other), "metadata");
  EXPECT_EQ(Reserve("o1"), "stock_reserved");
  EXPECT_EQ(Pay("o1", "t1"), "paid");
  EXPECT_EQ(Pay("o1", "t2"), "exists_with_different_fields");
  EXPECT_EQ(CustomerOf("ann").orders(), 1u);
}

TEST_F(OrdersTest, WhatCannotBePlacedIsRefusedInOrderOfPrecedence) {
  EXPECT_EQ(AddProduct("tea", 300, 5, "GBP"), "created");
  EXPECT_EQ(AddProduct("gold", bounds::kPriceMax, 0), "created");
  EXPECT_EQ(Place("o1", {{"jug", 1}}, "bob"), "customer_not_found");
  OrderReply reply = Placed(OrderOf("o1", {{"cup", 1}, {"tea", 1}, {"jug", 1}}));
  EXPECT_EQ(Name(reply.outcome()) + " " + reply.sku(), "currency_mismatch tea") << "line by line";
  reply = Placed(OrderOf("o1", {{"jug", 1}, {"tea", 1}}));
  EXPECT_EQ(Name(reply.outcome()) + " " + reply.sku(), "product_not_found jug");
  EXPECT_FALSE(reply.has_order());
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(AddProduct("gold" + std::to_string(i), bounds::kPriceMax, 0), "created");
  }
  PlaceOrderRequest dear = OrderOf("o1", {{"cup", 1}});
  dear.set_total(1);
  for (int i = 0; i < 10; ++i) {
    Item* item = dear.add_lines();
    item->set_sku("gold" + std::to_string(i));
    item->set_quantity(bounds::kOrderQuantityMax);
  }
  reply = Placed(dear);
  EXPECT_EQ(Name(reply.outcome()) + " " + reply.sku(), "overflow gold9");
  PlaceOrderRequest cheap = OrderOf("o1", {{"cup", 2}});
  cheap.set_total(999);
  reply = Placed(cheap);
  EXPECT_EQ(Name(reply.outcome()), "total_differs");
  EXPECT_EQ(reply.total(), 1'000);
  cheap.set_total(1'000);
  reply = Placed(cheap);
  EXPECT_EQ(Name(reply.outcome()), "placed");
  EXPECT_EQ(reply.total(), 0);
  EXPECT_EQ(reply.order().total(), 1'000);
}

TEST_F(OrdersTest, WhatACustomerSpendsFits64Bits) {
  EXPECT_EQ(AddProduct("gold", bounds::kPriceMax, 100'000'000), "created");
  for (int i = 1; i <= 9; ++i) {
    const std::string id = "o" + std::to_string(i);
    Bring(id, {{"gold", bounds::kOrderQuantityMax}}, OrderState::paid);
  }
  Bring("o10", {{"gold", bounds::kOrderQuantityMax}}, OrderState::stock_reserved);
  EXPECT_EQ(Pay("o10"), "overflow");
  EXPECT_EQ(StateOf("o10"), "stock_reserved");
  EXPECT_EQ(CustomerOf("ann").spend(), 9'000'000'000'000'000'000);
  EXPECT_EQ(Cancel("o1"), "cancelled");
  EXPECT_EQ(Pay("o10"), "paid");
}

TEST_F(OrdersTest, ProductsAndCustomersAreAddedOnce) {
  EXPECT_EQ(AddProduct("cup", 700, 0), "already_exists") << "its price may have been updated";
  EXPECT_EQ(ProductOf("cup").price(), 500);
  EXPECT_EQ(AddProduct("cup", 500, 0, "USD"), "exists_with_different_fields");
  UpdateProductRequest update;
  update.set_sku("cup");
  update.set_name("Cup");
  ProductReply reply = Write<ProductReply>("orders.UpdateProduct", update);
  EXPECT_EQ(Name(reply.outcome()), "updated");
  EXPECT_EQ(reply.product().name(), "Cup");
  EXPECT_EQ(reply.product().price(), 500) << "what is not given stays";
  update.set_name("");
  update.set_price(800);
  reply = Write<ProductReply>("orders.UpdateProduct", update);
  EXPECT_EQ(reply.product().name(), "");
  EXPECT_EQ(reply.product().price(), 800);
  update.set_sku("jug");
  EXPECT_EQ(Name(Write<ProductReply>("orders.UpdateProduct", update).outcome()),
            "product_not_found");
  EXPECT_EQ(Receive("jug", 1), "product_not_found");
  EXPECT_EQ(WriteOff("jug", 1), "product_not_found");
  EXPECT_EQ(AddCustomer("ann"), "already_exists");
  EXPECT_EQ(AddCustomer("ann", "USD"), "exists_with_different_fields");
  GetOrderRequest order;
  order.set_id("nowhere");
  EXPECT_EQ(Read<Order>("orders.GetOrder", order).error().code, ErrorCode::kNotFound);
  GetProductRequest product;
  product.set_sku("jug");
  EXPECT_EQ(Read<Product>("orders.GetProduct", product).error().code, ErrorCode::kNotFound);
  GetCustomerRequest customer;
  customer.set_id("bob");
  EXPECT_EQ(Read<Customer>("orders.GetCustomer", customer).error().code, ErrorCode::kNotFound);
}

// Ids on the pages of a list, and "|" between two pages.
template <class Rows, class IdOf>
void Append(const Rows& rows, IdOf id_of, bool more, std::string* all) {
  for (const auto& row : rows) *all += id_of(row);
  if (more) *all += "|";
}

TEST_F(OrdersTest, ListsGoPageByPage) {
  for (const char* id : {"a", "b", "c", "d", "e"}) EXPECT_EQ(AddCustomer(id), "created");
  const auto customers = [&](const std::string& from, const std::string& to, uint32_t limit) {
    std::string all;
    ListCustomersRequest request;
    request.set_from(from);
    request.set_to(to);
    request.set_limit(limit);
    do {
      const auto page = Read<ListCustomersReply>("orders.ListCustomers", request);
      request.set_cursor(page->next_cursor());
      Append(
          page->customers(), [](const Customer& row) { return row.id(); },
          !page->next_cursor().empty(), &all);
    } while (!request.cursor().empty());
    return all;
  };
  EXPECT_EQ(customers("", "", 0), "aannbcde");
  EXPECT_EQ(customers("", "", 2), "aann|bc|de");
  EXPECT_EQ(customers("b", "d", 0), "bc");
  EXPECT_EQ(customers("aa", "e", 2), "annb|cd");
  EXPECT_EQ(customers("x", "", 0), "");

  for (int i = 1; i <= 5; ++i) Bring("o" + std::to_string(i), {{"cup", 1}}, OrderState::placed);
  EXPECT_EQ(Reserve("o2"), "stock_reserved");
  EXPECT_EQ(Reserve("o4"), "stock_reserved");
  EXPECT_EQ(Place("b1", {{"pot", 1}}, "b"), "placed");
  const auto orders = [&](OrderState::Code state, uint32_t limit) {
    std::string all;
    ListOrdersRequest request;
    request.set_state(state);
    request.set_limit(limit);
    do {
      const auto page = Read<ListOrdersReply>("orders.ListOrders", request);
      request.set_cursor(page->next_cursor());
      Append(
          page->orders(), [](const Order& row) { return row.id(); }, !page->next_cursor().empty(),
          &all);
    } while (!request.cursor().empty());
    return all;
  };
  EXPECT_EQ(orders(OrderState::placed, 0), "o1o3o5b1");
  EXPECT_EQ(orders(OrderState::placed, 3), "o1o3o5|b1");
  EXPECT_EQ(orders(OrderState::stock_reserved, 1), "o2|o4");
  EXPECT_EQ(orders(OrderState::delivered, 0), "");
  ListCustomerOrdersRequest of;
  of.set_customer("ann");
  of.set_limit(4);
  auto page = Read<ListOrdersReply>("orders.ListCustomerOrders", of);
  ASSERT_EQ(page->orders_size(), 4);
  EXPECT_EQ(page->orders(3).history_size(), 0);
  of.set_cursor(page->next_cursor());
  page = Read<ListOrdersReply>("orders.ListCustomerOrders", of);
  ASSERT_EQ(page->orders_size(), 1);
  EXPECT_EQ(page->orders(0).id(), "o5");
  of.set_customer("nobody");
  of.clear_cursor();
  EXPECT_EQ(Read<ListOrdersReply>("orders.ListCustomerOrders", of).error().code,
            ErrorCode::kNotFound);

  ListProductsRequest products;
  products.set_limit(1);
  const auto first = Read<ListProductsReply>("orders.ListProducts", products);
  EXPECT_EQ(first->products(0).sku() + first->next_cursor(), "cuppot");
}

TEST_F(OrdersTest, APageIsBoundedByBytes) {
  PlaceOrderRequest order = OrderOf("", {{"cup", 1}});
  for (int i = 0; i < 16; ++i) {
    (*order.mutable_metadata())[std::string(60, 'k') + std::to_string(i)] = std::string(256, 'v');
  }
  for (int i = 0; i < 600; ++i) {
    order.set_id("o" + std::to_string(i));
    EXPECT_EQ(Name(Placed(order).outcome()), "placed");
  }
  ListOrdersRequest request;
  request.set_state(OrderState::placed);
  request.set_limit(1'000);
  const auto page = Read<ListOrdersReply>("orders.ListOrders", request);
  EXPECT_LT(page->orders_size(), 600);
  EXPECT_LT(page->ByteSizeLong(), bounds::kReplyBytesMax);
  request.set_cursor(page->next_cursor());
  const auto rest = Read<ListOrdersReply>("orders.ListOrders", request);
  EXPECT_EQ(page->orders_size() + rest->orders_size(), 600);
}

// They stand in the way of a list by state until they are written, and a read holds a lock.
TEST_F(OrdersTest, APageIsBoundedByOrdersThatHaveLeftItsState) {
  constexpr size_t kOrders = bounds::kPageStepsMax + 50;
  const auto in_portions = [&](const char* method, auto fill) {
    for (size_t at = 0; at < kOrders;) {
      atomic::ExecuteRequest list;
      for (; at < kOrders && list.writes_size() < 50; ++at) {
        atomic::Write* write = list.add_writes();
        write->set_method(method);
        write->set_request(fill("o" + std::to_string(at)).SerializeAsString());
      }
      const auto done = Write<atomic::ExecuteReply>("atomic.Execute", list);
      ASSERT_EQ(done.outcome(), atomic::ExecuteOutcome::done);
    }
  };
  in_portions("orders.PlaceOrder", [&](const std::string& id) {
    return OrderOf(id, {{"cup", 1}});
  });
  Checkpoint();
  in_portions("orders.CancelOrder", [&](const std::string& id) {
    CancelOrderRequest request;
    request.set_id(id);
    return request;
  });
  EXPECT_EQ(Name(Placed(OrderOf("last", {{"cup", 1}})).outcome()), "placed");

  ListOrdersRequest request;
  request.set_state(OrderState::placed);
  const auto nothing_yet = Read<ListOrdersReply>("orders.ListOrders", request);
  EXPECT_EQ(nothing_yet->orders_size(), 0);
  EXPECT_NE(nothing_yet->next_cursor(), "");
  request.set_cursor(nothing_yet->next_cursor());
  const auto page = Read<ListOrdersReply>("orders.ListOrders", request);
  ASSERT_EQ(page->orders_size(), 1);
  EXPECT_EQ(page->orders(0).id(), "last");
  EXPECT_EQ(page->next_cursor(), "");
}

TEST_F(OrdersTest, AnIdempotencyKeyRepeatsTheAnswer) {
  ReceiveStockRequest request;
  request.set_sku("cup");
  request.set_quantity(5);
  const auto first = Call("orders.ReceiveStock", request, "k1");
  const auto second = Call("orders.ReceiveStock", request, "k1");
  EXPECT_EQ(*first.reply, *second.reply);
  EXPECT_EQ(StockOf("cup"), "15 0 15") << "received once";
}

TEST_F(OrdersTest, MalformedRequestsNameTheField) {
  const std::string control = "a\nb";
  const std::string long_id(129, 'x');
  const std::string long_text(257, 'x');

  CreateProductRequest product;
  product.set_sku("jug");
  product.set_price(1);
  product.set_currency("EUR");
  EXPECT_EQ(FieldOf("orders.CreateProduct", product), "fine");
  for (const std::string& bad : {std::string(), control, long_id}) {
    auto other = product;
    other.set_sku(bad);
    EXPECT_EQ(FieldOf("orders.CreateProduct", other), "sku");
  }
  for (const int64_t bad : {int64_t{0}, int64_t{-1}, bounds::kPriceMax + 1}) {
    auto other = product;
    other.set_price(bad);
    EXPECT_EQ(FieldOf("orders.CreateProduct", other), "price");
  }
  for (const char* bad : {"", "EU", "eur", "EUROSEUROSEUR", "E R"}) {
    auto other = product;
    other.set_currency(bad);
    EXPECT_EQ(FieldOf("orders.CreateProduct", other), "currency");
  }
  auto named = product;
  named.set_name(long_text);
  EXPECT_EQ(FieldOf("orders.CreateProduct", named), "name");
  named.set_name(control);
  EXPECT_EQ(FieldOf("orders.CreateProduct", named), "name");

  UpdateProductRequest update;
  EXPECT_EQ(FieldOf("orders.UpdateProduct", update), "sku");
  update.set_sku("cup");
  EXPECT_EQ(FieldOf("orders.UpdateProduct", update), "fine");
  update.set_price(-1);
  EXPECT_EQ(FieldOf("orders.UpdateProduct", update), "price");
  update.set_price(bounds::kPriceMax + 1);
  EXPECT_EQ(FieldOf("orders.UpdateProduct", update), "price");
  update.set_price(1);
  update.set_name(control);
  EXPECT_EQ(FieldOf("orders.UpdateProduct", update), "name");

  ReceiveStockRequest receive;
  receive.set_sku("cup");
  EXPECT_EQ(FieldOf("orders.ReceiveStock", receive), "quantity");
  receive.set_quantity(bounds::kStockQuantityMax);
  EXPECT_EQ(FieldOf("orders.ReceiveStock", receive), "fine");
  receive.set_quantity(bounds::kStockQuantityMax + 1);
  EXPECT_EQ(FieldOf("orders.ReceiveStock", receive), "quantity");
  receive.clear_sku();
  EXPECT_EQ(FieldOf("orders.ReceiveStock", receive), "sku");
  WriteOffStockRequest write_off;
  EXPECT_EQ(FieldOf("orders.WriteOffStock", write_off), "sku");
  write_off.set_sku("cup");
  EXPECT_EQ(FieldOf("orders.WriteOffStock", write_off), "quantity");
  write_off.set_quantity(bounds::kStockQuantityMax + 1);
  EXPECT_EQ(FieldOf("orders.WriteOffStock", write_off), "quantity");

  CreateCustomerRequest customer;
  EXPECT_EQ(FieldOf("orders.CreateCustomer", customer), "id");
  customer.set_id("bob");
  EXPECT_EQ(FieldOf("orders.CreateCustomer", customer), "currency");
  customer.set_currency("EUR");
  customer.set_name(control);
  EXPECT_EQ(FieldOf("orders.CreateCustomer", customer), "name");
  customer.set_name(long_text);
  EXPECT_EQ(FieldOf("orders.CreateCustomer", customer), "name");
  customer.set_id(control);
  EXPECT_EQ(FieldOf("orders.CreateCustomer", customer), "name") << "options come first";
  customer.clear_name();
  EXPECT_EQ(FieldOf("orders.CreateCustomer", customer), "id");
  ListCustomersRequest range;
  range.set_from("b");
  range.set_to("a");
  EXPECT_EQ(FieldOf("orders.ListCustomers", range), "to");
  range.clear_to();
  range.set_limit(1'001);
  EXPECT_EQ(FieldOf("orders.ListCustomers", range), "limit");
  ListProductsRequest products;
  products.set_limit(1'001);
  EXPECT_EQ(FieldOf("orders.ListProducts", products), "limit");
  products.set_limit(1);
  products.set_cursor(long_id);
  EXPECT_EQ(FieldOf("orders.ListProducts", products), "cursor");

  const PlaceOrderRequest good = OrderOf("o1", {{"cup", 1}, {"pot", 1}});
  EXPECT_EQ(FieldOf("orders.PlaceOrder", good), "fine");
  for (const std::string& bad : {std::string(), control, long_id}) {
    auto other = good;
    other.set_id(bad);
    EXPECT_EQ(FieldOf("orders.PlaceOrder", other), "id");
  }
  auto place = good;
  place.clear_customer();
  EXPECT_EQ(FieldOf("orders.PlaceOrder", place), "customer");
  place = good;
  place.clear_lines();
  EXPECT_EQ(FieldOf("orders.PlaceOrder", place), "lines");
  place = good;
  place.mutable_lines(1)->set_sku("cup");
  EXPECT_EQ(FieldOf("orders.PlaceOrder", place), "lines[1].sku");
  place.mutable_lines(1)->clear_sku();
  EXPECT_EQ(FieldOf("orders.PlaceOrder", place), "lines[1].sku");
  place = good;
  place.mutable_lines(1)->set_quantity(0);
  EXPECT_EQ(FieldOf("orders.PlaceOrder", place), "lines[1].quantity");
  place.mutable_lines(1)->set_quantity(bounds::kOrderQuantityMax + 1);
  EXPECT_EQ(FieldOf("orders.PlaceOrder", place), "lines[1].quantity");
  place = good;
  for (size_t i = 0; i < bounds::kOrderLinesMax - 1; ++i) {
    AddLines({{"x", 1}}, &place);
    place.mutable_lines()->rbegin()->set_sku("x" + std::to_string(i));
  }
  EXPECT_EQ(FieldOf("orders.PlaceOrder", place), "lines");
  place.mutable_lines()->RemoveLast();
  EXPECT_EQ(FieldOf("orders.PlaceOrder", place), "fine");
  place = good;
  place.set_total(-1);
  EXPECT_EQ(FieldOf("orders.PlaceOrder", place), "total");
  place = good;
  (*place.mutable_metadata())[""] = "x";
  EXPECT_EQ(FieldOf("orders.PlaceOrder", place), "metadata");
  place = good;
  (*place.mutable_metadata())["k"] = long_text;
  EXPECT_EQ(FieldOf("orders.PlaceOrder", place), "metadata");
  place = good;
  for (int i = 0; i < 17; ++i) (*place.mutable_metadata())["k" + std::to_string(i)] = "v";
  EXPECT_EQ(FieldOf("orders.PlaceOrder", place), "metadata");

  ReserveOrderRequest reserve;
  EXPECT_EQ(FieldOf("orders.ReserveOrder", reserve), "id");
  reserve.set_id("o1");
  reserve.set_reservation_seconds(bounds::kReservationSecondsMax + 1);
  EXPECT_EQ(FieldOf("orders.ReserveOrder", reserve), "reservation_seconds");
  PayOrderRequest pay;
  EXPECT_EQ(FieldOf("orders.PayOrder", pay), "id");
  pay.set_id("o1");
  EXPECT_EQ(FieldOf("orders.PayOrder", pay), "payment");
  pay.set_payment(control);
  EXPECT_EQ(FieldOf("orders.PayOrder", pay), "payment");
  EXPECT_EQ(FieldOf("orders.PackOrder", PackOrderRequest()), "id");
  ShipOrderRequest ship;
  EXPECT_EQ(FieldOf("orders.ShipOrder", ship), "id");
  ship.set_id("o1");
  EXPECT_EQ(FieldOf("orders.ShipOrder", ship), "shipment");
  ship.set_shipment(control);
  EXPECT_EQ(FieldOf("orders.ShipOrder", ship), "shipment");
  ship.set_shipment("s1");
  EXPECT_EQ(FieldOf("orders.ShipOrder", ship), "fine");
  AddLines({{"cup", 1}, {"cup", 1}}, &ship);
  EXPECT_EQ(FieldOf("orders.ShipOrder", ship), "lines[1].sku");
  ship.mutable_lines(0)->set_quantity(0);
  EXPECT_EQ(FieldOf("orders.ShipOrder", ship), "lines[0].quantity");
  DeliverOrderRequest deliver;
  EXPECT_EQ(FieldOf("orders.DeliverOrder", deliver), "id");
  deliver.set_id("o1");
  deliver.set_shipment(long_id);
  EXPECT_EQ(FieldOf("orders.DeliverOrder", deliver), "shipment");
  CancelOrderRequest cancel;
  EXPECT_EQ(FieldOf("orders.CancelOrder", cancel), "id");
  cancel.set_id("o1");
  cancel.set_reason(control);
  EXPECT_EQ(FieldOf("orders.CancelOrder", cancel), "reason");
  ReturnOrderRequest give_back;
  EXPECT_EQ(FieldOf("orders.ReturnOrder", give_back), "id");
  give_back.set_id("o1");
  give_back.set_reason(long_text);
  EXPECT_EQ(FieldOf("orders.ReturnOrder", give_back), "reason");
  EXPECT_EQ(FieldOf("orders.GetOrder", GetOrderRequest()), "id");
  EXPECT_EQ(FieldOf("orders.GetProduct", GetProductRequest()), "sku");
  EXPECT_EQ(FieldOf("orders.GetCustomer", GetCustomerRequest()), "id");

  ListOrdersRequest list;
  EXPECT_EQ(FieldOf("orders.ListOrders", list), "state");
  list.set_state(static_cast<OrderState::Code>(77));
  EXPECT_EQ(FieldOf("orders.ListOrders", list), "state");
  list.set_state(OrderState::placed);
  for (const char* bad : {"x", "1x", "01", "-1", "99999999999999999999"}) {
    list.set_cursor(bad);
    EXPECT_EQ(FieldOf("orders.ListOrders", list), "cursor") << bad;
  }
  ListCustomerOrdersRequest of;
  EXPECT_EQ(FieldOf("orders.ListCustomerOrders", of), "customer");
  of.set_customer("ann");
  of.set_cursor("x");
  EXPECT_EQ(FieldOf("orders.ListCustomerOrders", of), "cursor");

  CheckOrderRequest check;
  EXPECT_EQ(FieldOf("orders.CheckOrder", check), "id");
  check.set_id("o1");
  EXPECT_EQ(FieldOf("orders.CheckOrder", check), "states");
  check.add_states(OrderState::placed);
  EXPECT_EQ(FieldOf("orders.CheckOrder", check), "fine");
  check.add_states(static_cast<OrderState::Code>(77));
  EXPECT_EQ(FieldOf("orders.CheckOrder", check), "states[1]");
  check.set_absent(true);
  EXPECT_EQ(FieldOf("orders.CheckOrder", check), "absent");
  CheckStockRequest stock;
  EXPECT_EQ(FieldOf("orders.CheckStock", stock), "sku");
  stock.set_sku("cup");
  EXPECT_EQ(FieldOf("orders.CheckStock", stock), "at_least");
  stock.set_at_least(-1);
  EXPECT_EQ(FieldOf("orders.CheckStock", stock), "at_least");
}

}  // namespace
}  // namespace holdfast::orders
