// A consumer: pays for each message, once, and may be killed at any time.
//
//   consumer HOST:PORT,... --with execute
//   consumer HOST:PORT,... --dedup local FILE
//
// `--with execute`: the payment and the ack are one request, done both or neither. A message that
// comes again was not paid. Nothing has to be remembered, and the payment needs no id that says
// which message it is for; here each attempt to pay even has another one.
//
// `--dedup local`: the ids of processed messages are kept in FILE, which the consumers of this
// machine share, and a message that comes again is discarded before it is processed. Between the
// payment and the record of it a consumer may be killed; then the file says that it does not know,
// and this consumer pays under the message's own id, which the ledger takes once.
//
// Ends with 3 if the file took a message for new that was paid before: it must not.
#include "src/client/consumer.h"

#include <csignal>
#include <memory>
#include <thread>

#include "payments.h"
#include "services/ledger/ledger.pb.h"
#include "services/queues/queues.pb.h"
#include "src/client/processed_ids.h"

namespace client = holdfast::client;
namespace ledger = holdfast::ledger;
namespace queues = holdfast::queues;
using namespace exactly_once;  // NOLINT: of this program alone.

namespace {

constexpr char kCreateTransfer[] = "/holdfast.ledger.Ledger/CreateTransfer";

volatile std::sig_atomic_t stopping = 0;

std::optional<ledger::CreateTransferRequest> PaymentFor(const queues::Message& message,
                                                        const std::string& id) {
  const std::string& order = message.payload();  // "payer-3 417"
  const size_t space = order.find(' ');
  const auto amount = ParseNumber(space == order.npos ? "" : order.substr(space + 1));
  if (!amount) return std::nullopt;
  ledger::CreateTransferRequest payment;
  payment.set_id(id);
  payment.set_from(order.substr(0, space));
  payment.set_to(kShop);
  payment.set_amount(static_cast<int64_t>(*amount));
  return payment;
}

client::Handled PayWithAck(const queues::Message& message) {
  const auto payment = PaymentFor(message, message.message_id() + "@" + message.delivery());
  if (!payment) return client::Retry("the payload is no order to pay");
  return client::AckWith({client::MakeWrite("ledger.CreateTransfer", *payment)});
}

client::Handled PayOnce(client::Client& nodes, client::ProcessedIds& processed,
                        const queues::Message& message) {
  const auto header = message.headers().find("message_id");
  const std::string id = header == message.headers().end() ? "" : header->second;
  auto claim = processed.Begin(id);
  if (!claim) return client::Retry(claim.error().message);
  switch (claim->seen()) {
    case client::Seen::kDone: std::cout << "discarded " << id << std::endl; return client::Ack();
    case client::Seen::kBusy: return client::Retry("another consumer is at it");
    case client::Seen::kUnknown: std::cout << "unknown " << id << std::endl; break;
    case client::Seen::kNever: break;
  }
  const auto payment = PaymentFor(message, id);
  if (!payment) return client::Retry("the payload is no order to pay");
  const auto paid = nodes.Call<ledger::TransferReply>(kCreateTransfer, *payment);
  if (!paid) return client::Retry(paid.error().message);  // Unknown to whoever gets it next.
  const auto outcome = paid->message.outcome();
  if (outcome == ledger::TransferOutcome::already_exists && claim->seen() == client::Seen::kNever) {
    std::cerr << id << " was taken for new, and was paid before\n";
    std::exit(3);
  }
  if (outcome != ledger::TransferOutcome::created &&
      outcome != ledger::TransferOutcome::already_exists) {
    return client::Retry(ledger::TransferOutcome::Code_Name(outcome));
  }
  if (const auto committed = claim->Commit(); !committed) {
    return client::Retry(committed.error().message);
  }
  return client::Ack();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc >= 4 ? std::string(argv[2]) + " " + argv[3] : "";
  const bool local = mode == "--dedup local" && argc == 5;
  const auto endpoints = client::ParseEndpoints(argc >= 4 ? argv[1] : "");
  if (!endpoints || (!local && !(mode == "--with execute" && argc == 4))) {
    std::cerr << "usage: consumer HOST:PORT,... --with execute | --dedup local FILE\n";
    return 64;
  }
  std::signal(SIGTERM, [](int) { stopping = 1; });

  std::unique_ptr<client::ProcessedIds> processed;
  if (local) {
    auto opened = client::ProcessedIds::Open(argv[4]);
    if (!opened) {
      std::cerr << opened.error().message << "\n";
      return 1;
    }
    processed = std::move(*opened);
  }
  client::Client nodes(*endpoints);
  const client::ConsumeOptions options{.queue = kQueue,
                                       .max = 4,
                                       .wait = std::chrono::milliseconds(500),
                                       .visibility = std::chrono::seconds(2)};
  while (stopping == 0) {
    const auto consumed = client::Consume(nodes, options, [&](const queues::Message& message) {
      return local ? PayOnce(nodes, *processed, message) : PayWithAck(message);
    });
    if (!consumed) {  // No queue yet, or no node.
      std::cerr << consumed.error().message << "\n";
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    } else if (consumed->done < consumed->pulled) {
      std::cerr << consumed->error.message << "\n";
    }
  }
  return 0;
}
