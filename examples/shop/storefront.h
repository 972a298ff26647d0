// The back end of a small shop: what is for sale, buying it, and what became of an order. It keeps
// nothing itself: products, orders, money and messages are Holdfast's.
//
// Thread-safe. Every operating error comes back as an Error, and everything may be called again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "services/orders/orders.pb.h"
#include "src/client/client.h"

namespace shop {

namespace client = holdfast::client;
namespace orders = holdfast::orders;
using holdfast::Result;

struct Sale {
  bool sold = false;
  std::string reason;  // When not: "insufficient_stock", "insufficient_funds", ...
};

// What must agree while nobody buys and nothing has been packed yet.
struct Books {
  std::vector<orders::Product> products;
  int64_t goods = 0;     // What is reserved, at its price.
  int64_t spent = 0;     // By all customers, as their records say.
  int64_t till = 0;      // What the shop's account holds.
  uint64_t orders = 0;   // Of all customers.
  uint64_t parcels = 0;  // Messages for whoever packs them.

  bool Agree() const { return goods == till && spent == till && orders == parcels; }
};

class Storefront {
 public:
  explicit Storefront(client::Client& nodes) : nodes_(nodes) {}

  // The account that is paid, and the queue of those who pack.
  Result<void> Open();
  // Puts a product into the catalogue, and `quantity` of it on the shelf. Under the same `delivery`
  // the goods come in once, within a day.
  Result<void> Stock(const std::string& sku, int64_t price, uint32_t quantity,
                     const std::string& delivery);
  // With an account that may be overdrawn: this shop sells on credit.
  Result<void> AddCustomer(const std::string& id);

  Result<std::vector<orders::Product>> Products();
  // What the customer was shown is what it costs, or nothing is sold. The same order again is the
  // same sale.
  Result<Sale> Buy(const std::string& order, const std::string& customer,
                   const orders::Product& product, uint32_t quantity);
  Result<orders::Order> Status(const std::string& order);
  Result<orders::Product> Find(const std::string& sku);
  Result<Books> Audit();

 private:
  template <class Reply>
  Result<Reply> Call(const std::string& method, const google::protobuf::Message& request,
                     const std::string& key = "");

  client::Client& nodes_;
};

}  // namespace shop
