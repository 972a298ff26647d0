// Checkouts: two lines of 1,000 products, the money of one of 10,000 customers, and a message.
#include "bench/machine/workload.h"
#include "services/ledger/ledger.pb.h"
#include "services/orders/orders.pb.h"
#include "services/queues/queues.pb.h"
#include "src/base/check.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kProducts = 1'000;
constexpr int64_t kPrice = 500;
constexpr char kShop[] = "shop";
constexpr char kParcels[] = "parcels";

std::string Sku(uint64_t number) { return "product-" + std::to_string(number % kProducts); }

class Checkouts : public Workload {
 public:
  explicit Checkouts(Node& node) : entry_(node.registry()) {}

  void Prepare(Node& node, uint64_t history, uint64_t /*total*/) override {
    for (uint64_t i = 0; i < kProducts; ++i) {
      orders::CreateProductRequest product;
      product.set_sku(Sku(i));
      product.set_price(kPrice);
      product.set_currency("EUR");
      entry_.Add("/holdfast.orders.Orders/CreateProduct", product);
      orders::ReceiveStockRequest stock;
      stock.set_sku(Sku(i));
      stock.set_quantity(1'000'000'000);
      entry_.Add("/holdfast.orders.Orders/ReceiveStock", stock);
    }
    node.Apply(entry_.Finish());
    AddAccount(kShop);
    for (uint64_t i = 0; i < kAccounts; ++i) {
      orders::CreateCustomerRequest customer;
      customer.set_id(Account(i));
      customer.set_currency("EUR");
      entry_.Add("/holdfast.orders.Orders/CreateCustomer", customer);
      AddAccount(Account(i));
      if (i % 1'000 == 999) node.Apply(entry_.Finish());
    }
    queues::CreateRequest queue;
    queue.set_name(kParcels);
    queue.set_max_messages(100'000'000);
    entry_.Add("/holdfast.queues.Queues/Create", queue);
    node.Apply(entry_.Finish());
    for (uint64_t done = 0; done < history; done += 1'000) Run(node, 1'000);
  }

  double Run(Node& node, uint64_t count) override {
    for (uint64_t i = 0; i < count; ++i) Add();
    const double took = node.Apply(entry_.Finish());
    orders::CheckoutReply reply;
    HOLDFAST_CHECK(reply.ParseFromString(*node.outcomes().back().reply) &&
                       reply.outcome() == orders::CheckoutOutcome::done,
                   "a checkout was refused: " + reply.reason());
    return took;
  }

 private:
  void AddAccount(const std::string& id) {
    ledger::CreateAccountRequest account;
    account.set_id(id);
    account.set_currency("EUR");
    account.set_overdraft(INT64_MAX);
    entry_.Add("/holdfast.ledger.Ledger/CreateAccount", account);
  }
  void Add() {
    ++number_;
    orders::CheckoutRequest request;
    request.set_id("order-" + std::to_string(number_));
    // Far apart from one to the next, and all of them in the end.
    request.set_customer(Account(number_ * 7'919 % kAccounts));
    for (uint64_t line = 0; line < 2; ++line) {
      orders::Item* item = request.add_lines();
      item->set_sku(Sku(number_ * 31 + line * 7));
      item->set_quantity(1);
    }
    request.set_total(2 * kPrice);
    request.mutable_payment()->set_from(request.customer());
    request.mutable_payment()->set_to(kShop);
    request.mutable_message()->set_queue(kParcels);
    request.mutable_message()->set_key(request.customer());
    entry_.Add("/holdfast.orders.Orders/Checkout", request);
  }

  EntryMaker entry_;
  uint64_t number_ = 0;
};

}  // namespace

std::unique_ptr<Workload> NewCheckouts(Node& node) { return std::make_unique<Checkouts>(node); }

}  // namespace holdfast::bench
