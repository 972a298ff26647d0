// What clients ask of a ledger when they mean to get into one another's way: few accounts, ids that
// repeat, holds that run out, amounts at the limits.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "services/ledger/ledger.pb.h"
#include "sim/world.h"

namespace holdfast::sim {

// The same requests from the same numbers. Not thread-safe.
class Requests {
 public:
  // Of the accounts "a1" to "a<accounts>". `random` must outlive this.
  Requests(Random& random, size_t accounts) : random_(random), accounts_(accounts) {}

  // A method ("CreateTransfer") and its request.
  using Made = std::pair<std::string, std::shared_ptr<google::protobuf::Message>>;
  Made Make();
  // A read, of now or of a time in [from_us, to_us): "GetAccount", "ListTransfers", ...
  Made MakeRead(int64_t from_us, int64_t to_us);
  std::string AccountId();

 private:
  std::string TransferId();
  int64_t Amount();
  ledger::CreateAccountRequest Account();
  ledger::CreateTransferRequest Transfer();

  Random& random_;
  const size_t accounts_;
  uint64_t progress_ = 0;
};

}  // namespace holdfast::sim
