// Checkouts: an order with its stock, its money and its message in one request; the same as one
// transaction of PostgreSQL, with one synchronous standby, beside them.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/cluster/peers.h"
#include "bench/cluster/stage.h"
#include "services/ledger/ledger.pb.h"
#include "services/orders/orders.pb.h"
#include "services/queues/queues.pb.h"
#include "src/client/consumer.h"

namespace holdfast::bench {
namespace {

using client::MakeWrite;

constexpr char kUniform[] = "checkout";
constexpr char kOneProduct[] = "checkout, one product";

// As many as pg_checkout.sh has. Each product is sold by a merchant of its own.
constexpr uint64_t kCustomers = 10'000;
constexpr uint64_t kProducts = 1'000;
constexpr int64_t kPrice = 500;
constexpr uint32_t kStock = 1'000'000'000;

const PeerCases kCases = {{"checkout_uniform", {kUniform, "SQL function"}},
                          {"checkout_one_product", {kOneProduct, "SQL function"}}};

std::string Customer(uint64_t number) { return "customer-" + std::to_string(number); }
std::string Product(uint64_t number) { return "sku-" + std::to_string(number); }
std::string Merchant(uint64_t number) { return "merchant-" + std::to_string(number); }

// Draws checkouts of one piece, with order ids that no other client draws.
class Cart {
 public:
  Cart(uint64_t products, std::string run, int client)
      : products_(products),
        prefix_(run + "-" + std::to_string(client) + "-"),
        queue_(std::move(run)),
        random_(static_cast<uint32_t>(client) + 1) {}

  Ask Next() {
    const uint64_t product = random_() % products_;
    orders::CheckoutRequest request;
    request.set_id(prefix_ + std::to_string(++number_));
    request.set_customer(Customer(random_() % kCustomers));
    auto* line = request.add_lines();
    line->set_sku(Product(product));
    line->set_quantity(1);
    request.set_total(kPrice);
    request.mutable_payment()->set_from(request.customer());
    request.mutable_payment()->set_to(Merchant(product));
    request.mutable_message()->set_queue(queue_);
    return Ask{"/holdfast.orders.Orders/Checkout", request.SerializeAsString()};
  }

 private:
  const uint64_t products_;
  const std::string prefix_;
  const std::string queue_;
  std::mt19937 random_;
  uint64_t number_ = 0;
};

class Shop {
 public:
  explicit Shop(Stage& stage) : stage_(stage), client_(stage.NewClient()) {}

  void Open() {
    ledger::CreateAccountsRequest accounts;
    const auto account = [&](const std::string& id) {
      auto* one = accounts.add_accounts();
      one->set_id(id);
      one->set_currency("EUR");
      one->set_overdraft(std::numeric_limits<int64_t>::max());
      if (accounts.accounts_size() < 5'000) return;
      MustCall<ledger::CreateAccountsReply>(*client_, "/holdfast.ledger.Ledger/CreateAccounts",
                                            accounts);
      accounts.Clear();
    };
    for (uint64_t i = 0; i < kCustomers; ++i) {
      orders::CreateCustomerRequest customer;
      customer.set_id(Customer(i));
      customer.set_currency("EUR");
      Do(MakeWrite("orders.CreateCustomer", customer));
      account(Customer(i));
    }
    for (uint64_t i = 0; i < kProducts; ++i) {
      orders::CreateProductRequest product;
      product.set_sku(Product(i));
      product.set_price(kPrice);
      product.set_currency("EUR");
      Do(MakeWrite("orders.CreateProduct", product));
      orders::ReceiveStockRequest stock;
      stock.set_sku(Product(i));
      stock.set_quantity(kStock);
      Do(MakeWrite("orders.ReceiveStock", stock));
      account(Merchant(i));
    }
    Flush();
    if (accounts.accounts_size() > 0) {
      MustCall<ledger::CreateAccountsReply>(*client_, "/holdfast.ledger.Ledger/CreateAccounts",
                                            accounts);
    }
  }

  void Line(const std::string& workload, uint64_t products, int clients) {
    const std::string run = stage_.NextRun();
    // Nobody takes the messages: they are counted in the end.
    queues::CreateRequest queue;
    queue.set_name(run);
    queue.set_max_messages(100'000'000);
    queue.set_max_bytes(uint64_t{1} << 40);
    MustCall<queues::QueueReply>(*client_, "/holdfast.queues.Queues/Create", queue);
    const MakeDraw make = [&](int client) -> Draw {
      return [cart = std::make_shared<Cart>(products, run, client)] { return cart->Next(); };
    };
    const Judge judge = [](const std::string& body) {
      orders::CheckoutReply reply;
      return reply.ParseFromString(body) && reply.outcome() == orders::CheckoutOutcome::done ? 1
                                                                                             : 0;
    };
    stage_.Line(workload, "pipe", clients, SingleCalls(make, judge));
    queues_.push_back(run);
  }

  // What was sold, what was paid for and what was sent must be the same.
  bool Agrees() {
    SeeEverything();
    int64_t sold = 0;
    int64_t paid = 0;
    uint64_t messages = 0;
    for (uint64_t i = 0; i < kProducts; ++i) {
      orders::GetProductRequest product;
      product.set_sku(Product(i));
      sold += MustCall<orders::Product>(*client_, "/holdfast.orders.Orders/GetProduct", product)
                  .reserved();
      ledger::GetAccountRequest account;
      account.set_id(Merchant(i));
      paid += MustCall<ledger::Account>(*client_, "/holdfast.ledger.Ledger/GetAccount", account)
                  .balance();
    }
    for (const std::string& queue : queues_) {
      queues::StatsRequest request;
      request.set_queue(queue);
      messages += MustCall<queues::StatsReply>(*client_, "/holdfast.queues.Queues/Stats", request)
                      .messages();
    }
    std::printf("%lld pieces sold, paid for with %lld, %llu messages\n",
                static_cast<long long>(sold), static_cast<long long>(paid),
                static_cast<unsigned long long>(messages));
    return paid == sold * kPrice && static_cast<uint64_t>(sold) == messages;
  }

 private:
  // A linearizable read takes our session to where the load's have been.
  void SeeEverything() {
    orders::GetProductRequest product;
    product.set_sku(Product(0));
    client::CallOptions options;
    options.consistency = Consistency::kLinearizable;
    if (!client_->Call<orders::Product>("/holdfast.orders.Orders/GetProduct", product, options)) {
      std::fprintf(stderr, "the shop cannot be read\n");
      std::exit(EXIT_FAILURE);
    }
  }
  void Do(atomic::Write write) {
    *list_.add_writes() = std::move(write);
    if (list_.writes_size() == kList) Flush();
  }
  void Flush() {
    if (list_.writes().empty()) return;
    const auto reply =
        MustCall<atomic::ExecuteReply>(*client_, "/holdfast.atomic.Atomic/Execute", list_);
    if (reply.outcome() != atomic::ExecuteOutcome::done) {
      std::fprintf(stderr, "the shop cannot be opened: %s\n", reply.results(0).outcome().c_str());
      std::exit(EXIT_FAILURE);
    }
    list_.Clear();
  }

  static constexpr int kList = 250;

  Stage& stage_;
  const std::unique_ptr<client::Client> client_;
  atomic::ExecuteRequest list_;
  std::vector<std::string> queues_;  // One a line.
};

// The script is ours; how a peer is run, and beside what, the peers' folder says.
std::vector<Row> MeasurePostgres(const Settings& settings) {
  std::string folder = settings.peers;
  if (!folder.empty() && folder != "none") {
    setenv("PEERS", std::filesystem::absolute(folder).c_str(), 1);
    folder = HOLDFAST_SOURCE_FOLDER "/bench/cluster";
  }
  return MeasurePeers(folder, {"pg_checkout.sh"}, kCases, settings.seconds);
}

}  // namespace

int RunCheckout(const Settings& settings) {
  Stage stage(settings, MeasurePostgres(settings));
  if (!stage.Begin(", " + std::to_string(kProducts) + " products, " + std::to_string(kCustomers) +
                   " customers")) {
    return EXIT_FAILURE;
  }
  Shop shop(stage);
  shop.Open();
  const std::vector<int> counts =
      settings.quick ? std::vector<int>{1, 64} : std::vector<int>{1, 16, 64, 256};
  for (const int clients : counts) shop.Line(kUniform, kProducts, clients);
  shop.Line(kOneProduct, 1, 64);
  stage.End();
  if (shop.Agrees()) return EXIT_SUCCESS;
  std::fprintf(stderr, "THESE DO NOT AGREE\n");
  return EXIT_FAILURE;
}

}  // namespace holdfast::bench
