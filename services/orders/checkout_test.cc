// A checkout, and lists of writes with orders in them: all of it or nothing, and the first part
// that is refused is named.

#include "services/orders/checkout.h"

#include "services/ledger/ledger.pb.h"
#include "services/locks/locks.pb.h"
#include "services/orders/testing.h"
#include "services/queues/queues.pb.h"
#include "src/base/bounds.h"

namespace holdfast::orders {
namespace {

// 10 cups at 500; ann has 10,000 and pays to the shop; `parcels` is the queue of who packs.
class CheckoutTest : public OrdersFixture {
 protected:
  CheckoutTest() {
    EXPECT_EQ(AddProduct("cup", 500, 10), "created");
    EXPECT_EQ(AddCustomer("ann"), "created");
    OpenAccount("bank", true);
    OpenAccount("ann", false);
    OpenAccount("shop", false);
    Transfer("seed", "bank", "ann", 10'000);
    queues::CreateRequest queue;
    queue.set_name("parcels");
    Write<queues::QueueReply>("queues.Create", queue);
  }
  ~CheckoutTest() override {
    EXPECT_EQ(Broken(kOrders), "");
    EXPECT_EQ(Broken(2), "");
    EXPECT_EQ(Broken(5), "");
  }

  void OpenAccount(const std::string& id, bool overdraft, const std::string& currency = "EUR") {
    ledger::CreateAccountRequest request;
    request.set_id(id);
    request.set_currency(currency);
    if (overdraft) request.set_overdraft(std::numeric_limits<int64_t>::max());
    Write<ledger::AccountReply>("ledger.CreateAccount", request);
  }
  void Transfer(const std::string& id, const std::string& from, const std::string& to,
                int64_t amount) {
    ledger::CreateTransferRequest request;
    request.set_id(id);
    request.set_from(from);
    request.set_to(to);
    request.set_amount(amount);
    EXPECT_EQ(Name(Write<ledger::TransferReply>("ledger.CreateTransfer", request).outcome()),
              "created");
  }

  static CheckoutRequest CheckoutOf(const std::string& id, uint32_t cups) {
    CheckoutRequest request;
    request.set_id(id);
    request.set_customer("ann");
    Item* item = request.add_lines();
    item->set_sku("cup");
    item->set_quantity(cups);
    request.set_total(500 * cups);
    request.mutable_payment()->set_from("ann");
    request.mutable_payment()->set_to("shop");
    request.mutable_message()->set_queue("parcels");
    request.mutable_message()->set_key("ann");
    return request;
  }
  CheckoutReply Checkout(const CheckoutRequest& request) {
    return Write<CheckoutReply>("orders.Checkout", request);
  }
  // "rejected stock insufficient_stock"
  static std::string Told(const CheckoutReply& reply) {
    std::string told = Name(reply.outcome());
    if (reply.outcome() == CheckoutOutcome::rejected) {
      told += " " + Name(reply.failed()) + " " + reply.reason();
    }
    return told;
  }

  // --- All that a checkout may change
  ledger::Account AccountOf(const std::string& id) {
    ledger::GetAccountRequest request;
    request.set_id(id);
    return *Read<ledger::Account>("ledger.GetAccount", request);
  }
  uint64_t Messages() {
    queues::StatsRequest request;
    request.set_queue("parcels");
    return Read<queues::StatsReply>("queues.Stats", request)->messages();
  }
  bool Exists(const std::string& id) {
    GetOrderRequest request;
    request.set_id(id);
    return Read<Order>("orders.GetOrder", request).has_value();
  }
  // Stock, ann's and the shop's money, what ann holds, messages, orders.
  std::string World() {
    const ledger::Account ann = AccountOf("ann");
    return StockOf("cup") + " | " + std::to_string(ann.balance()) + " " +
           std::to_string(AccountOf("shop").balance()) + " " + std::to_string(ann.pending_out()) +
           " | " + std::to_string(Messages()) + " | " + std::to_string(CustomerOf("ann").orders());
  }

  template <class Request>
  static void Add(const char* method, const Request& request, atomic::ExecuteRequest* list) {
    atomic::Write* write = list->add_writes();
    write->set_method(method);
    write->set_request(request.SerializeAsString());
  }
};

TEST_F(CheckoutTest, ItTakesTheMoneyReservesTheStockAndPublishesTheMessage) {
  EXPECT_EQ(World(), "10 0 10 | 10000 0 0 | 0 | 0");
  const CheckoutReply reply = Checkout(CheckoutOf("o1", 3));
  EXPECT_EQ(Told(reply), "done");
  EXPECT_EQ(World(), "10 3 7 | 8500 1500 0 | 1 | 1");
  EXPECT_EQ(HistoryOf("o1"), "placed stock_reserved paid");
  EXPECT_EQ(OrderNamed("o1").payment(), "o1") << "the transfer has the order's id";
  EXPECT_EQ(CustomerOf("ann").spend(), 1'500);
  ASSERT_EQ(reply.results_size(), 5);
  EXPECT_EQ(reply.results(0).method(), "orders.PlaceOrder");
  EXPECT_EQ(reply.results(1).outcome(), "stock_reserved");
  EXPECT_EQ(reply.results(2).method(), "ledger.CreateTransfer");
  EXPECT_EQ(reply.results(3).outcome(), "paid");
  EXPECT_EQ(reply.results(4).outcome(), "published");
  OrderReply paid;
  ASSERT_TRUE(paid.ParseFromString(reply.results(3).reply()));
  EXPECT_EQ(Name(paid.order().state()), "paid");

  queues::PullRequest pull;
  pull.set_queue("parcels");
  const auto pulled = Write<queues::PullReply>("queues.Pull", pull);
  ASSERT_EQ(pulled.messages_size(), 1);
  EXPECT_EQ(pulled.messages(0).payload(), "o1");
  EXPECT_EQ(pulled.messages(0).message_id(), "o1");
  EXPECT_EQ(pulled.messages(0).key(), "ann");
}

TEST_F(CheckoutTest, ItHoldsTheMoneyUntilTheOrderIsPaid) {
  CheckoutRequest request = CheckoutOf("o1", 3);
  request.mutable_payment()->set_hold(true);
  request.mutable_payment()->set_id("hold-1");
  request.set_reservation_seconds(60);
  EXPECT_EQ(Told(Checkout(request)), "done");
  EXPECT_EQ(World(), "10 3 7 | 10000 0 1500 | 1 | 1");
  EXPECT_EQ(HistoryOf("o1"), "placed stock_reserved");

  // Who packs it takes the money, in one step.
  ledger::PostTransferRequest post;
  post.set_id("hold-1");
  PayOrderRequest pay;
  pay.set_id("o1");
  pay.set_payment("hold-1");
  PackOrderRequest pack;
  pack.set_id("o1");
  atomic::ExecuteRequest list;
  Add("ledger.PostTransfer", post, &list);
  Add("orders.PayOrder", pay, &list);
  Add("orders.PackOrder", pack, &list);
  EXPECT_EQ(Name(Write<atomic::ExecuteReply>("atomic.Execute", list).outcome()), "done");
  EXPECT_EQ(World(), "10 3 7 | 8500 1500 0 | 1 | 1");
  EXPECT_EQ(StateOf("o1"), "packed");
  EXPECT_EQ(Told(Checkout(request)), "already_done") << "also when it has gone on";
}

TEST_F(CheckoutTest, WhatIsHeldAndNotPaidComesBack) {
  CheckoutRequest request = CheckoutOf("o1", 3);
  request.mutable_payment()->set_hold(true);
  request.set_reservation_seconds(60);
  EXPECT_EQ(Told(Checkout(request)), "done");
  PassMs(60'000);
  EXPECT_EQ(World(), "10 0 10 | 10000 0 0 | 1 | 1");
  EXPECT_EQ(StateOf("o1"), "cancelled");
  EXPECT_EQ(Told(Checkout(request)), "rejected stock reservation_expired");

  ledger::PostTransferRequest post;
  post.set_id("o1");
  PayOrderRequest pay;
  pay.set_id("o1");
  pay.set_payment("o1");
  atomic::ExecuteRequest list;
  Add("ledger.PostTransfer", post, &list);
  Add("orders.PayOrder", pay, &list);
  const auto late = Write<atomic::ExecuteReply>("atomic.Execute", list);
  EXPECT_EQ(Name(late.outcome()), "rejected");
  EXPECT_EQ(late.results(0).outcome(), "hold_expired");
}

// Each part in turn is refused; nothing of any of them remains.
TEST_F(CheckoutTest, AllOrNothingWithTheFirstFailingPartNamed) {
  const std::string before = World();
  const auto refused = [&](const CheckoutRequest& request) {
    const std::string told = Told(Checkout(request));
    EXPECT_EQ(World(), before) << told;
    EXPECT_FALSE(Exists(request.id())) << told;
    return told;
  };
  CheckoutRequest request = CheckoutOf("o1", 3);
  request.mutable_lock()->set_name("cart");
  request.mutable_lock()->set_token(7);
  EXPECT_EQ(refused(request), "rejected lock fenced_off");
  request = CheckoutOf("o1", 3);
  request.set_customer("bob");
  EXPECT_EQ(refused(request), "rejected order customer_not_found");
  request = CheckoutOf("o1", 3);
  request.mutable_lines(0)->set_sku("jug");
  EXPECT_EQ(refused(request), "rejected order product_not_found");
  request = CheckoutOf("o1", 3);
  request.set_total(1'499);
  EXPECT_EQ(refused(request), "rejected order total_differs");
  EXPECT_EQ(refused(CheckoutOf("o1", 11)), "rejected stock insufficient_stock");
  request = CheckoutOf("o1", 3);
  request.mutable_payment()->set_from("nobody");
  EXPECT_EQ(refused(request), "rejected payment account_not_found");
  Transfer("poor", "ann", "bank", 9'000);
  const std::string poor = World();
  EXPECT_EQ(Told(Checkout(CheckoutOf("o1", 3))), "rejected payment insufficient_funds");
  EXPECT_EQ(World(), poor);
  Transfer("rich", "bank", "ann", 9'000);
  request = CheckoutOf("o1", 3);
  request.mutable_message()->set_queue("nowhere");
  EXPECT_EQ(refused(request), "rejected message queue_not_found");
  PassMs(2 * 1'000 * int64_t{bounds::kReservationSecondsDefault});
  EXPECT_EQ(machine().NextTimer(), std::nullopt) << "no reservation waits for its end";
  EXPECT_EQ(World(), before);
  EXPECT_EQ(Told(Checkout(CheckoutOf("o1", 3))), "done") << "no id was burnt";
}

TEST_F(CheckoutTest, AFencingTokenIsCheckedFirst) {
  locks::AcquireRequest acquire;
  acquire.set_name("cart-ann");
  acquire.set_owner("web-1");
  const uint64_t token = Write<locks::AcquireReply>("locks.Acquire", acquire).token();
  CheckoutRequest request = CheckoutOf("o1", 1);
  request.mutable_lock()->set_name("cart-ann");
  request.mutable_lock()->set_token(token);
  const CheckoutReply reply = Checkout(request);
  EXPECT_EQ(Told(reply), "done");
  EXPECT_EQ(reply.results(0).outcome(), "valid");
  PassMs(bounds::kLockTtlMsDefault);
  request.set_id("o2");
  EXPECT_EQ(Told(Checkout(request)), "rejected lock fenced_off");
}

TEST_F(CheckoutTest, ARepeatDoesNothingTwice) {
  const CheckoutRequest request = CheckoutOf("o1", 3);
  EXPECT_EQ(Told(Checkout(request)), "done");
  const std::string after = World();
  EXPECT_EQ(Told(Checkout(request)), "already_done");
  EXPECT_EQ(World(), after);
  CheckoutRequest other = request;
  other.mutable_lines(0)->set_quantity(2);
  other.set_total(1'000);
  EXPECT_EQ(Told(Checkout(other)), "rejected order exists_with_different_fields");
  other = request;
  other.mutable_payment()->set_to("bank");
  EXPECT_EQ(Told(Checkout(other)), "rejected payment exists_with_different_to");
  other = request;
  other.mutable_payment()->set_id("another");
  EXPECT_EQ(Told(Checkout(other)), "rejected order exists_with_different_fields")
      << "a second transfer for one order";
  EXPECT_EQ(World(), after);

  const auto first = Call("orders.Checkout", CheckoutOf("o2", 1), "k1");
  const auto second = Call("orders.Checkout", CheckoutOf("o2", 1), "k1");
  EXPECT_EQ(*first.reply, *second.reply);
  EXPECT_EQ(Call("orders.Checkout", CheckoutOf("o2", 2), "k1").reply.error().code,
            ErrorCode::kIdempotencyKeyReused);
  EXPECT_EQ(World(), "10 4 6 | 8000 2000 0 | 2 | 2");
}

// Money and messages that were there before the order are not its own.
TEST_F(CheckoutTest, OneTransferPaysForOneOrder) {
  CheckoutRequest request = CheckoutOf("o1", 3);
  request.mutable_payment()->set_id("p1");
  EXPECT_EQ(Told(Checkout(request)), "done");
  const auto refused = [&](const CheckoutRequest& of) {
    const std::string before = World();
    const std::string told = Told(Checkout(of));
    EXPECT_EQ(World(), before) << told;
    EXPECT_FALSE(Exists(of.id())) << told;
    return told;
  };
  request.set_id("o2");
  EXPECT_EQ(refused(request), "rejected payment already_exists");
  const CheckoutReply reply = Checkout(request);
  ASSERT_EQ(reply.results_size(), 1);
  EXPECT_EQ(reply.results(0).method(), "ledger.CreateTransfer");
  EXPECT_EQ(reply.results(0).outcome(), "already_exists");
  ledger::ReverseTransferRequest reverse;
  reverse.set_id("p1");
  reverse.set_reversal_id("p1-back");
  Write<ledger::TransferReply>("ledger.ReverseTransfer", reverse);
  EXPECT_EQ(refused(request), "rejected payment already_exists") << "it was given back";

  Transfer("o3", "ann", "shop", 1'500);
  EXPECT_EQ(refused(CheckoutOf("o3", 3)), "rejected payment already_exists") << "unrelated";

  request = CheckoutOf("o4", 1);
  request.mutable_payment()->set_hold(true);
  request.mutable_payment()->set_id("h1");
  request.set_reservation_seconds(60);
  EXPECT_EQ(Told(Checkout(request)), "done");
  request.set_id("o5");
  EXPECT_EQ(refused(request), "rejected payment already_exists") << "a hold of another order";
  PassMs(60'000);
  EXPECT_EQ(refused(request), "rejected payment already_exists") << "a hold that is over";

  request = CheckoutOf("o6", 1);
  request.mutable_message()->set_payload("pack it");
  request.mutable_message()->set_message_id("m1");
  EXPECT_EQ(Told(Checkout(request)), "done");
  request.set_id("o7");
  EXPECT_EQ(refused(request), "rejected message already_published");
  request.mutable_message()->set_message_id("m2");
  EXPECT_EQ(Told(Checkout(request)), "done");
}

// Nor does an order that is there get money, goods or messages from a checkout.
TEST_F(CheckoutTest, AnOrderThatIsThereIsNotCheckedOutAgain) {
  EXPECT_EQ(Told(Checkout(CheckoutOf("o1", 3))), "done");
  const auto refused = [&](const CheckoutRequest& request) {
    const std::string before = World();
    const std::string told = Told(Checkout(request));
    EXPECT_EQ(World(), before) << told;
    return told;
  };
  CheckoutRequest request = CheckoutOf("o1", 3);
  request.mutable_payment()->set_hold(true);
  request.mutable_payment()->set_id("p2");
  EXPECT_EQ(refused(request), "rejected order already_exists") << "money held for nobody";
  request = CheckoutOf("o1", 3);
  request.mutable_message()->set_message_id("m2");
  EXPECT_EQ(refused(request), "rejected order already_exists") << "a second message";

  EXPECT_EQ(Place("o2", {{"cup", 2}}), "placed");
  EXPECT_EQ(refused(CheckoutOf("o2", 2)), "rejected order already_exists");
  EXPECT_EQ(StateOf("o2"), "placed");
  EXPECT_EQ(Reserve("o2", 60), "stock_reserved");
  request = CheckoutOf("o2", 2);
  EXPECT_EQ(refused(request), "rejected order already_exists");
  request.mutable_payment()->set_hold(true);
  request.set_reservation_seconds(900);
  EXPECT_EQ(refused(request), "rejected order already_exists") << "the goods go at 60 s";
  EXPECT_EQ(StateOf("o2"), "stock_reserved");
  // With money of another order, which PayOrder alone would take.
  request = CheckoutOf("o3", 2);
  request.mutable_payment()->set_id("p3");
  EXPECT_EQ(Told(Checkout(request)), "done");
  request.set_id("o2");
  EXPECT_EQ(refused(request), "rejected order already_exists");
  EXPECT_EQ(StateOf("o2"), "stock_reserved");
  PassMs(60'000);
  EXPECT_EQ(StateOf("o2"), "cancelled");
  EXPECT_EQ(StockOf("cup"), "10 5 5");
}

TEST_F(CheckoutTest, TheMoneyIsOfTheOrdersCurrency) {
  OpenAccount("ann-jpy", true, "JPY");
  OpenAccount("shop-jpy", false, "JPY");
  CheckoutRequest request = CheckoutOf("o1", 3);
  request.mutable_payment()->set_from("ann-jpy");
  request.mutable_payment()->set_to("shop-jpy");
  const std::string before = World();
  for (const bool hold : {false, true}) {
    request.mutable_payment()->set_hold(hold);
    EXPECT_EQ(Told(Checkout(request)), "rejected payment currency_mismatch");
  }
  EXPECT_EQ(World(), before);
  EXPECT_EQ(AccountOf("shop-jpy").balance(), 0);
  EXPECT_FALSE(Exists("o1"));
  EXPECT_EQ(Told(Checkout(CheckoutOf("o1", 3))), "done") << "no id was burnt";
}

// The same list sent to Execute leaves the same rows: the digest is taken of every change.
class TwinNode : public OrdersFixture {
 public:
  void TestBody() override {}
  using OrdersFixture::AddCustomer;
  using OrdersFixture::AddProduct;
  using OrdersFixture::Call;
  using OrdersFixture::machine;
};

TEST(CheckoutAsListTest, IsWhatExecuteDoesWithTheSameList) {
  for (const uint32_t cups : {3u, 11u}) {
    for (const bool hold : {false, true}) {
      uint64_t digests[2];
      for (const bool as_list : {false, true}) {
        TwinNode node;
        node.AddProduct("cup", 500, 10);
        node.AddCustomer("ann");
        for (const char* id : {"ann", "shop"}) {
          ledger::CreateAccountRequest account;
          account.set_id(id);
          account.set_currency("EUR");
          account.set_overdraft(100'000);
          node.Call("ledger.CreateAccount", account);
        }
        queues::CreateRequest queue;
        queue.set_name("parcels");
        node.Call("queues.Create", queue);
        CheckoutRequest request;
        request.set_id("o1");
        request.set_customer("ann");
        Item* item = request.add_lines();
        item->set_sku("cup");
        item->set_quantity(cups);
        request.set_total(500 * cups);
        request.mutable_payment()->set_from("ann");
        request.mutable_payment()->set_to("shop");
        request.mutable_payment()->set_hold(hold);
        request.mutable_message()->set_queue("parcels");
        if (!as_list) {
          node.Call("orders.Checkout", request);
        } else {
          PlaceOrderRequest place;
          place.set_id("o1");
          place.set_customer("ann");
          *place.mutable_lines() = request.lines();
          place.set_total(request.total());
          ReserveOrderRequest reserve;
          reserve.set_id("o1");
          ledger::CreateTransferRequest transfer;
          transfer.set_id("o1");
          transfer.set_from("ann");
          transfer.set_to("shop");
          transfer.set_amount(request.total());
          transfer.set_pending(hold);
          if (hold) transfer.set_timeout_seconds(900);
          PayOrderRequest pay;
          pay.set_id("o1");
          pay.set_payment("o1");
          queues::PublishRequest publish;
          publish.set_queue("parcels");
          publish.set_payload("o1");
          publish.set_message_id("o1");
          atomic::ExecuteRequest list;
          const auto add = [&](const char* method, const google::protobuf::Message& body) {
            atomic::Write* write = list.add_writes();
            write->set_method(method);
            write->set_request(body.SerializeAsString());
          };
          add("orders.PlaceOrder", place);
          add("orders.ReserveOrder", reserve);
          add("ledger.CreateTransfer", transfer);
          if (!hold) add("orders.PayOrder", pay);
          add("queues.Publish", publish);
          node.Call("atomic.Execute", list);
        }
        digests[as_list ? 1 : 0] = node.machine().position().digest;
      }
      EXPECT_EQ(digests[0], digests[1]) << cups << " cups, hold " << hold;
    }
  }
}

TEST_F(CheckoutTest, ACheckoutMayBePartOfAList) {
  const std::string before = World();
  CheckStockRequest check;
  check.set_sku("cup");
  check.set_at_least(8);
  atomic::ExecuteRequest list;
  Add("orders.Checkout", CheckoutOf("o1", 3), &list);
  Add("orders.CheckStock", check, &list);
  auto reply = Write<atomic::ExecuteReply>("atomic.Execute", list);
  EXPECT_EQ(Name(reply.outcome()), "rejected");
  EXPECT_EQ(reply.failed(), 1u);
  EXPECT_EQ(World(), before);
  list.mutable_writes()->RemoveLast();
  Add("orders.Checkout", CheckoutOf("o2", 8), &list);
  reply = Write<atomic::ExecuteReply>("atomic.Execute", list);
  EXPECT_EQ(reply.results(0).outcome(), "rejected") << "the second has too little";
  EXPECT_EQ(World(), before);
}

TEST_F(CheckoutTest, PreconditionsOfOrdersAndStock) {
  const auto outcome = [&](const CheckOrderRequest& request) {
    return Name(Write<CheckReply>("orders.CheckOrder", request).outcome());
  };
  CheckOrderRequest absent;
  absent.set_id("o1");
  absent.set_absent(true);
  CheckOrderRequest open;
  open.set_id("o1");
  open.add_states(OrderState::stock_reserved);
  open.add_states(OrderState::paid);
  EXPECT_EQ(outcome(absent), "valid");
  EXPECT_EQ(outcome(open), "order_not_found");
  EXPECT_EQ(Place("o1", {{"cup", 1}}), "placed");
  EXPECT_EQ(outcome(absent), "order_exists");
  EXPECT_EQ(outcome(open), "wrong_state");
  EXPECT_EQ(Reserve("o1"), "stock_reserved");
  EXPECT_EQ(outcome(open), "valid");
  PassMs(60'000);
  EXPECT_EQ(outcome(open), "wrong_state");

  CheckStockRequest stock;
  stock.set_sku("jug");
  stock.set_at_least(10);
  EXPECT_EQ(Name(Write<CheckReply>("orders.CheckStock", stock).outcome()), "product_not_found");
  stock.set_sku("cup");
  CheckReply reply = Write<CheckReply>("orders.CheckStock", stock);
  EXPECT_EQ(Name(reply.outcome()), "valid");
  stock.set_at_least(11);
  reply = Write<CheckReply>("orders.CheckStock", stock);
  EXPECT_EQ(Name(reply.outcome()), "insufficient_stock");
  EXPECT_EQ(reply.available(), 10);
}

TEST_F(CheckoutTest, MalformedRequestsNameTheFieldOfTheCheckout) {
  const auto field = [&](const CheckoutRequest& request) {
    return FieldOf("orders.Checkout", request);
  };
  const std::string control = "a\nb";
  const CheckoutRequest good = CheckoutOf("o1", 3);
  EXPECT_EQ(field(good), "fine");
  CheckoutRequest request = good;
  request.clear_id();
  EXPECT_EQ(field(request), "id");
  request.set_id(control);
  EXPECT_EQ(field(request), "id");
  request = good;
  request.clear_customer();
  EXPECT_EQ(field(request), "customer");
  request = good;
  request.clear_lines();
  EXPECT_EQ(field(request), "lines");
  request = good;
  *request.add_lines() = request.lines(0);
  EXPECT_EQ(field(request), "lines[1].sku");
  request.mutable_lines(1)->set_quantity(bounds::kOrderQuantityMax + 1);
  EXPECT_EQ(field(request), "lines[1].quantity");
  for (const int64_t bad : {0, -1}) {
    request = good;
    request.set_total(bad);
    EXPECT_EQ(field(request), "total");
  }
  request = good;
  (*request.mutable_metadata())[""] = "x";
  EXPECT_EQ(field(request), "metadata");
  request = good;
  request.set_reservation_seconds(60);
  EXPECT_EQ(field(request), "reservation_seconds") << "goes only with payment.hold";
  request.mutable_payment()->set_hold(true);
  EXPECT_EQ(field(request), "fine");
  request.set_reservation_seconds(bounds::kReservationSecondsMax + 1);
  EXPECT_EQ(field(request), "reservation_seconds");
  request = good;
  request.clear_payment();
  EXPECT_EQ(field(request), "payment");
  request.mutable_payment()->set_to("shop");
  EXPECT_EQ(field(request), "payment.from");
  request = good;
  request.mutable_payment()->set_to(control);
  EXPECT_EQ(field(request), "payment.to");
  request = good;
  request.mutable_payment()->set_id(control);
  EXPECT_EQ(field(request), "payment.id");
  request.mutable_payment()->set_id(std::string(129, 'x'));
  EXPECT_EQ(field(request), "payment.id");
  request = good;
  request.clear_message();
  EXPECT_EQ(field(request), "message");
  request.mutable_message();
  EXPECT_EQ(field(request), "message.queue");
  request = good;
  request.mutable_message()->set_payload("x");
  request.mutable_message()->set_data("y");
  EXPECT_EQ(field(request), "message.data");
  request = good;
  request.mutable_message()->set_payload(std::string((256 << 10) + 1, 'x'));
  EXPECT_EQ(field(request), "message.payload");
  request = good;
  request.mutable_message()->set_message_id(control);
  EXPECT_EQ(field(request), "message.message_id");
  request = good;
  (*request.mutable_message()->mutable_headers())["h"] = std::string(257, 'x');
  EXPECT_EQ(field(request), "message.headers");
  request = good;
  request.mutable_lock()->set_name("cart");
  EXPECT_EQ(field(request), "lock.token");
  request.mutable_lock()->set_token(1);
  request.mutable_lock()->set_name(control);
  EXPECT_EQ(field(request), "lock.name");
  // Every checkout that is let pass stands for writes that are.
  google::protobuf::Arena arena;
  EXPECT_EQ(WritesOf(good, arena).size(), 5u);
}

}  // namespace
}  // namespace holdfast::orders
