// A producer: sends its messages one after another, each an order to pay, and may be killed at any
// time. Started again it goes on where it knows that it was, so it sends some twice.
//
//   producer HOST:PORT,... PRODUCER COUNT PER_SECOND PROGRESS_FILE queue|consumer
//
// `queue`: the queue knows messages by their ids and keeps each once. `consumer`: the id is a
// header that the queue does not look at, as with a queue that does not deduplicate; what is sent
// twice is delivered twice, and the consumer has to see to it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>

#include "payments.h"
#include "services/ledger/ledger.pb.h"
#include "services/queues/queues.pb.h"

namespace client = holdfast::client;
namespace ledger = holdfast::ledger;
namespace queues = holdfast::queues;
using namespace exactly_once;  // NOLINT: of this program alone.

namespace {

constexpr uint64_t kBatch = 10;

void CreateQueueAndAccounts(client::Client& nodes) {
  queues::CreateRequest queue;
  queue.set_name(kQueue);
  queue.set_visibility_seconds(2);  // Soon again, when a consumer is killed.
  CallUntilAnswered<queues::QueueReply>(nodes, "/holdfast.queues.Queues/Create", queue);
  ledger::CreateAccountsRequest accounts;
  for (uint64_t i = 0; i <= kPayers; ++i) {
    auto* account = accounts.add_accounts();
    account->set_id(i == kPayers ? kShop : PayerOf(i));
    account->set_currency("EUR");
    account->set_overdraft(INT64_MAX);
  }
  CallUntilAnswered<ledger::CreateAccountsReply>(nodes, "/holdfast.ledger.Ledger/CreateAccounts",
                                                 accounts);
}

// The next message to send, as far as it was written down; those after it may have been sent.
uint64_t ReadProgress(const std::string& path) {
  uint64_t next = 0;
  std::ifstream(path) >> next;
  return next;
}
void WriteProgress(const std::string& path, uint64_t next) {
  std::ofstream(path + ".new") << next << "\n";
  std::rename((path + ".new").c_str(), path.c_str());  // The old number or the new one, whole.
}

}  // namespace

int main(int argc, char** argv) {
  const auto endpoints = client::ParseEndpoints(argc == 7 ? argv[1] : "");
  const auto producer = ParseNumber(argc == 7 ? argv[2] : "");
  const auto count = ParseNumber(argc == 7 ? argv[3] : "");
  const auto per_second = ParseNumber(argc == 7 ? argv[4] : "");
  const std::string dedup = argc == 7 ? argv[6] : "";
  if (!endpoints || !producer || !count || per_second.value_or(0) == 0 ||
      (dedup != "queue" && dedup != "consumer")) {
    std::cerr << "usage: producer HOST:PORT,... PRODUCER COUNT PER_SECOND PROGRESS_FILE "
                 "queue|consumer\n";
    return 64;
  }
  const std::string progress = argv[5];
  client::Client nodes(*endpoints);
  CreateQueueAndAccounts(nodes);

  for (uint64_t next = ReadProgress(progress); next < *count;) {
    queues::PublishBatchRequest batch;
    batch.set_queue(kQueue);
    const uint64_t end = std::min(next + kBatch, *count);
    for (; next < end; ++next) {
      auto* message = batch.add_messages();
      message->set_payload(PayerOf(next) + " " + std::to_string(AmountOf(*producer, next)));
      if (dedup == "queue") {
        message->set_message_id(MessageId(*producer, next));
      } else {
        (*message->mutable_headers())["message_id"] = MessageId(*producer, next);
      }
    }
    const auto reply = CallUntilAnswered<queues::PublishBatchReply>(
        nodes, "/holdfast.queues.Queues/PublishBatch", batch);
    for (const auto& result : reply.results()) {
      if (result.outcome() != queues::PublishOutcome::published &&
          result.outcome() != queues::PublishOutcome::already_published) {
        std::cerr << queues::PublishOutcome::Code_Name(result.outcome()) << "\n";
        return 1;
      }
    }
    // Killed here, it sends this batch once more.
    WriteProgress(progress, next);
    std::this_thread::sleep_for(std::chrono::milliseconds(1'000 * kBatch / *per_second));
  }
  return 0;
}
