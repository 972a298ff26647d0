#include "storefront.h"

#include <utility>

#include "services/ledger/ledger.pb.h"
#include "services/queues/queues.pb.h"

namespace shop {
namespace {

namespace ledger = holdfast::ledger;
namespace queues = holdfast::queues;
using holdfast::Fail;

constexpr char kTill[] = "till";
constexpr char kParcels[] = "parcels";
constexpr char kCurrency[] = "EUR";
constexpr uint32_t kPage = 1'000;

Result<void> Refused(const std::string& what, const std::string& outcome) {
  return Fail(holdfast::InvalidArgument("", what + ": " + outcome));
}

}  // namespace

// Reads are linearizable: what anybody was told is seen.
template <class Reply>
Result<Reply> Storefront::Call(const std::string& method, const google::protobuf::Message& request,
                               const std::string& key) {
  client::CallOptions options;
  options.idempotency_key = key;
  options.consistency = client::Consistency::kLinearizable;
  auto reply = nodes_.Call<Reply>(method, request, options);
  if (!reply) return Fail(std::move(reply.error()));
  return std::move(reply->message);
}

Result<void> Storefront::Open() {
  ledger::CreateAccountRequest till;
  till.set_id(kTill);
  till.set_currency(kCurrency);
  const auto account = Call<ledger::AccountReply>("/holdfast.ledger.Ledger/CreateAccount", till);
  if (!account) return Fail(account.error());
  queues::CreateRequest queue;
  queue.set_name(kParcels);
  const auto parcels = Call<queues::QueueReply>("/holdfast.queues.Queues/Create", queue);
  if (!parcels) return Fail(parcels.error());
  return {};
}

Result<void> Storefront::Stock(const std::string& sku, int64_t price, uint32_t quantity,
                               const std::string& delivery) {
  orders::CreateProductRequest product;
  product.set_sku(sku);
  product.set_price(price);
  product.set_currency(kCurrency);
  const auto added = Call<orders::ProductReply>("/holdfast.orders.Orders/CreateProduct", product);
  if (!added) return Fail(added.error());
  orders::ReceiveStockRequest goods;
  goods.set_sku(sku);
  goods.set_quantity(quantity);
  const auto received =
      Call<orders::ProductReply>("/holdfast.orders.Orders/ReceiveStock", goods, delivery);
  if (!received) return Fail(received.error());
  if (received->outcome() != orders::ProductOutcome::received) {
    return Refused(sku, orders::ProductOutcome::Code_Name(received->outcome()));
  }
  return {};
}

Result<void> Storefront::AddCustomer(const std::string& id) {
  orders::CreateCustomerRequest customer;
  customer.set_id(id);
  customer.set_currency(kCurrency);
  const auto added =
      Call<orders::CustomerReply>("/holdfast.orders.Orders/CreateCustomer", customer);
  if (!added) return Fail(added.error());
  ledger::CreateAccountRequest account;
  account.set_id(id);
  account.set_currency(kCurrency);
  account.set_overdraft(INT64_MAX);
  const auto opened = Call<ledger::AccountReply>("/holdfast.ledger.Ledger/CreateAccount", account);
  if (!opened) return Fail(opened.error());
  return {};
}

Result<std::vector<orders::Product>> Storefront::Products() {
  std::vector<orders::Product> products;
  orders::ListProductsRequest request;
  request.set_limit(kPage);
  do {
    const auto page =
        Call<orders::ListProductsReply>("/holdfast.orders.Orders/ListProducts", request);
    if (!page) return Fail(page.error());
    products.insert(products.end(), page->products().begin(), page->products().end());
    request.set_cursor(page->next_cursor());
  } while (!request.cursor().empty());
  return products;
}

Result<Sale> Storefront::Buy(const std::string& order, const std::string& customer,
                             const orders::Product& product, uint32_t quantity) {
  orders::CheckoutRequest checkout;
  checkout.set_id(order);
  checkout.set_customer(customer);
  auto* line = checkout.add_lines();
  line->set_sku(product.sku());
  line->set_quantity(quantity);
  checkout.set_total(product.price() * quantity);
  checkout.mutable_payment()->set_from(customer);
  checkout.mutable_payment()->set_to(kTill);
  checkout.mutable_message()->set_queue(kParcels);
  // Without a key: the order's id suffices, and what was refused may be asked for again.
  const auto reply = Call<orders::CheckoutReply>("/holdfast.orders.Orders/Checkout", checkout);
  if (!reply) return Fail(reply.error());
  return Sale{reply->outcome() != orders::CheckoutOutcome::rejected, reply->reason()};
}

Result<orders::Order> Storefront::Status(const std::string& order) {
  orders::GetOrderRequest request;
  request.set_id(order);
  return Call<orders::Order>("/holdfast.orders.Orders/GetOrder", request);
}

Result<orders::Product> Storefront::Find(const std::string& sku) {
  orders::GetProductRequest request;
  request.set_sku(sku);
  return Call<orders::Product>("/holdfast.orders.Orders/GetProduct", request);
}

Result<Books> Storefront::Audit() {
  Books books;
  auto products = Products();
  if (!products) return Fail(products.error());
  books.products = std::move(*products);

  for (const orders::Product& product : books.products) {
    books.goods += product.price() * product.reserved();
  }

  orders::ListCustomersRequest request;
  request.set_limit(kPage);
  do {
    const auto page =
        Call<orders::ListCustomersReply>("/holdfast.orders.Orders/ListCustomers", request);
    if (!page) return Fail(page.error());
    for (const orders::Customer& customer : page->customers()) {
      books.spent += customer.spend();
      books.orders += customer.orders();
    }
    request.set_cursor(page->next_cursor());
  } while (!request.cursor().empty());

  ledger::GetAccountRequest till;
  till.set_id(kTill);
  const auto account = Call<ledger::Account>("/holdfast.ledger.Ledger/GetAccount", till);
  if (!account) return Fail(account.error());
  books.till = account->balance();
  queues::StatsRequest parcels;
  parcels.set_queue(kParcels);
  const auto stats = Call<queues::StatsReply>("/holdfast.queues.Queues/Stats", parcels);
  if (!stats) return Fail(stats.error());
  books.parcels = stats->messages();
  return books;
}

}  // namespace shop
