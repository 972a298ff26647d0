// Takes messages from a queue, has them handled, and acks them; what a handler wants to have done
// is done in one step with the ack (docs/atomic.md): both or neither, so exactly once, whenever
// this process, the node or the connection dies.
//
//   while (!stopping) {
//     auto consumed = Consume(client, {.queue = "orders"}, [](const queues::Message& message) {
//       ledger::CreateTransferRequest pay = PaymentOf(message);
//       return AckWith({MakeWrite("ledger.CreateTransfer", pay)});
//     });
//     if (!consumed) pause();  // No node could be reached, or there is no such queue.
//   }
#pragma once

#include <absl/functional/function_ref.h>

#include <chrono>
#include <string>
#include <vector>

#include "holdfast/atomic.pb.h"
#include "services/queues/queues.pb.h"
#include "src/client/client.h"

namespace holdfast::client {

struct ConsumeOptions {
  std::string queue;
  std::string group;     // Empty: the group `default`.
  std::string consumer;  // For people, in the history of dead letters.
  uint32_t max = 1;      // Messages taken at once, handled one after another; up to 1,000.
  // For the first one, up to 60 s. Beyond the client's attempt_timeout the next node is asked too.
  std::chrono::milliseconds wait{2'000};
  // How soon a message comes again when this process dies; 0: as the queue says. While it lives it
  // asks for more time.
  std::chrono::seconds visibility{30};
  std::chrono::milliseconds retry_delay{1'000};  // When the writes were refused.
};

// What is to become of a message.
struct Handled {
  bool done = true;
  std::vector<atomic::Write> writes;         // Of `done`: carried out together with the ack.
  std::chrono::milliseconds retry_after{0};  // Otherwise: it comes again, after so long ...
  std::string error;                         // ... and this is kept in its history.
};
inline Handled Ack() { return {}; }
inline Handled AckWith(std::vector<atomic::Write> writes) { return {true, std::move(writes)}; }
inline Handled Retry(std::string error, std::chrono::milliseconds after = {}) {
  return {false, {}, after, std::move(error)};
}
// `method`: "ledger.CreateTransfer".
atomic::Write MakeWrite(std::string method, const google::protobuf::Message& request);

// What became of the messages of one Consume.
struct Consumed {
  int pulled = 0;
  int done = 0;
  int retried = 0;  // The handler said so, or its writes were refused; error says why.
  int expired = 0;  // The delivery was over before the ack. Nothing of the writes was done.
  int unknown = 0;  // No answer. It is done, or the message comes again and nothing was done.
  Error error;      // Of the last one that was not done.
};

// Waits for messages, calls `handler` with each, and acks it; returns when all of them are handled,
// or when none has come. Deliveries that are not done are extended meanwhile, so a handler may take
// as long as it needs. Blocks; call it on as many threads as messages are to be handled at once.
//
// The handler may see a message more than once: its writes are done once, other effects of its own
// are not (ProcessedIds is for these). When the state refuses the writes, nothing is done, and the
// message comes again after retry_delay, or is a dead letter if that is what the queue does.
// Failure: an error of the pull; a message that it took nevertheless comes again.
Result<Consumed> Consume(Client& client, const ConsumeOptions& options,
                         absl::FunctionRef<Handled(const queues::Message&)> handler);

}  // namespace holdfast::client
