// What an amount of one currency makes in another, at the terms of an exchange.
#pragma once

#include <cstdint>
#include <optional>

#include "services/ledger/ledger.pb.h"
#include "services/ledger/tables.h"

namespace holdfast::ledger {

// At least 1, or why not. Of a rate that was validated and of currencies that have minor units of
// so many digits.
struct Converted {
  TransferOutcome::Code refused = TransferOutcome::unspecified;
  int64_t amount = 0;
};
Converted Convert(int64_t amount, const ExchangeRow& terms, uint32_t from_digits,
                  uint32_t to_digits);

}  // namespace holdfast::ledger
