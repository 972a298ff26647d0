// Clients that ask several services, and for several things in one step.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/cache_requests.h"
#include "sim/chat_requests.h"
#include "sim/coordination_requests.h"
#include "sim/journal_requests.h"
#include "sim/ledger_requests.h"
#include "sim/order_requests.h"
#include "sim/queue_requests.h"
#include "sim/requests.h"
#include "sim/rounds_requests.h"
#include "sim/todo_requests.h"

namespace holdfast::sim {

// How much of what clients ask is for each; at least one is not 0.
struct Shares {
  uint64_t ledger = 1;
  uint64_t coordination = 0;  // Sessions and locks.
  uint64_t queues = 0;
  uint64_t cache = 0;
  uint64_t todo = 0;
  uint64_t execute = 0;  // Lists of writes of all that have a share.
  uint64_t orders = 0;   // With what they need of the ledger and of queues.
  uint64_t rounds = 0;
  uint64_t journal = 0;
  uint64_t chat = 0;
};

class Mix : public Requests {
 public:
  // `random` must outlive this.
  Mix(Random& random, const Shares& shares, size_t accounts);
  // Of sources that have clocks.
  void SetClock(std::function<int64_t()> true_us) { journal_.SetClock(std::move(true_us)); }

  Asked Make() override;
  Asked MakeRead(int64_t from_us, int64_t to_us) override;
  std::optional<Asked> NextPage(const Asked& asked, const std::string& reply) override;
  void Learn(const std::string& method, const google::protobuf::Message& request,
             const std::string& reply) override;

 private:
  uint64_t Services() const {
    return shares_.ledger + shares_.coordination + shares_.queues + shares_.cache + shares_.todo +
           shares_.orders + shares_.rounds + shares_.journal + shares_.chat;
  }
  Requests& AService();
  void UnderALock(Asked& checkout);
  Asked Execute();
  Asked OneOf();

  Random& random_;
  const Shares shares_;
  LedgerRequests ledger_;
  CoordinationRequests coordination_;
  QueueRequests queues_;
  CacheRequests cache_;
  TodoRequests todo_;
  OrderRequests orders_;
  RoundsRequests rounds_;
  JournalRequests journal_;
  ChatRequests chat_;
};

}  // namespace holdfast::sim
