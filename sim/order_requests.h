// What clients ask of orders: few products with little stock, orders that are placed, reserved,
// paid and shipped in parts, or left to expire; and checkouts, whose money, goods and message
// belong together, so that only lists of writes touch them.
#pragma once

#include <deque>
#include <string>
#include <utility>

#include "services/orders/orders.pb.h"
#include "services/queues/queues.pb.h"
#include "sim/requests.h"

namespace holdfast::sim {

// Orders that begin with "k" are checkouts': paid from "buyer" to "shop" under their own id, with a
// message in "parcels". Those that begin with "o" are not paid with money.
inline constexpr char kBuyer[] = "buyer";
inline constexpr char kShop[] = "shop";
inline constexpr char kParcels[] = "parcels";

class OrderRequests : public Requests {
 public:
  // `random` must outlive this.
  explicit OrderRequests(Random& random) : random_(random) {}

  Asked Make() override;
  Asked MakeRead(int64_t from_us, int64_t to_us) override;
  void Learn(const std::string& method, const google::protobuf::Message& request,
             const std::string& reply) override;

  orders::CheckoutRequest Checkout();
  orders::CheckStockRequest CheckStock();

 private:
  orders::CheckoutRequest CheckoutOf(const std::string& id, uint64_t number);
  orders::CheckoutRequest Mixed();
  // What there has to be, one after the other.
  Asked Setup(uint64_t step);
  Asked OfStock();
  Asked OfOrder(const std::string& id);
  Asked OfCheckout();
  // What comes next for an order that somebody was told of.
  Asked Next(const std::string& id, orders::OrderState::Code state);
  void Know(const std::string& id, orders::OrderState::Code state);
  std::string OrderId();
  std::string CheckoutId();
  std::string Sku();
  queues::PullRequest Pull();

  Random& random_;
  uint64_t made_ = 0;
  uint64_t orders_ = 0;
  uint64_t checkouts_ = 0;
  uint64_t refunds_ = 0;
  std::deque<std::pair<std::string, std::string>> parcels_;                    // (delivery, order)
  std::deque<std::pair<std::string, orders::OrderState::Code>> on_their_way_;  // As last told.
};

}  // namespace holdfast::sim
