// A checkout is a list of writes, carried out as Execute carries one out (docs/atomic.md), whose
// parts must belong together: all of them new, or all of them repeats.
#pragma once

#include <google/protobuf/arena.h>

#include <string_view>
#include <vector>

#include "services/orders/orders.pb.h"
#include "src/base/error.h"
#include "src/state_machine/registry.h"

namespace holdfast::orders {

struct CheckoutWrite {
  CheckoutPart::Code part = CheckoutPart::unspecified;
  std::string_view prefix;  // Of the fields of the checkout that are this write's: "payment.".
  std::string_view method;
  const google::protobuf::Message* request = nullptr;
};

// What the request stands for, in order, made in the arena. Follows from the request alone.
std::vector<CheckoutWrite> WritesOf(const CheckoutRequest& request, google::protobuf::Arena& arena);

// Refuses what one of the writes would be refused with, naming the field of the checkout.
Result<void> ValidateCheckout(const CheckoutRequest& request,
                              const state_machine::Registry& registry);

}  // namespace holdfast::orders
