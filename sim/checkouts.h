// What a checkout stands for, in words of the simulator's own (services/orders/README.md): judges
// and promises look at each of its writes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "services/orders/orders.pb.h"

namespace holdfast::sim {

struct CheckoutStep {
  orders::CheckoutPart::Code part = orders::CheckoutPart::unspecified;
  std::string method;
  std::string request;
};

std::vector<CheckoutStep> StepsOf(const orders::CheckoutRequest& request);

}  // namespace holdfast::sim
