// The proof: waits until the queue is empty, then reads the ledger and compares it with what the
// producers had to send. Every message paid once, the right sum, from the right account, nothing
// else, and no message left.
//
//   prove HOST:PORT,... PRODUCERS COUNT PATIENCE_SECONDS
//
// Exit code 0: proven. 1: not, and why.
#include <chrono>
#include <map>
#include <thread>

#include "payments.h"
#include "services/ledger/ledger.pb.h"
#include "services/queues/queues.pb.h"

namespace client = holdfast::client;
namespace ledger = holdfast::ledger;
namespace queues = holdfast::queues;
using namespace exactly_once;  // NOLINT: of this program alone.

namespace {

struct Payment {
  std::string from;
  int64_t amount = 0;
};

class Proof {
 public:
  explicit Proof(std::vector<std::string> endpoints) : nodes_(std::move(endpoints)) {}

  bool WaitUntilEmpty(std::chrono::seconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    queues::StatsRequest request;
    request.set_queue(kQueue);
    while (true) {
      const auto stats = Read<queues::StatsReply>("/holdfast.queues.Queues/Stats", request);
      if (stats && stats->messages() == 0) return true;
      if (std::chrono::steady_clock::now() > deadline) {
        Wrong("the queue is not empty: " + std::to_string(stats ? stats->messages() : 0) + " left");
        return false;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }

  void CheckPayments(uint64_t producers, uint64_t count) {
    const std::multimap<std::string, Payment> paid = Paid();
    int64_t sum = 0;
    std::map<std::string, int64_t> by_payer;
    for (uint64_t producer = 1; producer <= producers; ++producer) {
      for (uint64_t number = 0; number < count; ++number) {
        const std::string id = MessageId(producer, number);
        const int64_t amount = AmountOf(producer, number);
        sum += amount;
        by_payer[PayerOf(number)] += amount;
        if (paid.count(id) != 1) {
          Wrong(id + " was paid " + std::to_string(paid.count(id)) + " times");
          continue;
        }
        const Payment& payment = paid.find(id)->second;
        if (payment.amount != amount || payment.from != PayerOf(number)) {
          Wrong(id + " was paid with " + std::to_string(payment.amount) + " from " + payment.from);
        }
      }
    }
    if (paid.size() != producers * count) {
      Wrong(std::to_string(paid.size()) + " payments, " + std::to_string(producers * count) +
            " messages");
    }
    ExpectBalance(kShop, sum);
    for (const auto& [payer, amount] : by_payer) ExpectBalance(payer, -amount);
    if (wrong_ == 0) {
      std::cout << paid.size() << " messages, each paid once, " << sum
                << " in all; the queue is empty\n";
    }
  }

  int wrong() const { return wrong_; }

 private:
  // As of now: what any node has acknowledged is seen.
  template <class Reply>
  std::optional<Reply> Read(const std::string& method, const google::protobuf::Message& request) {
    client::CallOptions options;
    options.consistency = client::Consistency::kLinearizable;
    auto reply = nodes_.Call<Reply>(method, request, options);
    if (reply) return std::move(reply->message);
    std::cerr << method << ": " << reply.error().message << "\n";
    return std::nullopt;
  }

  // Everything that the shop was ever paid, by the message that it was for.
  std::multimap<std::string, Payment> Paid() {
    std::multimap<std::string, Payment> paid;
    ledger::ListAccountTransfersRequest request;
    request.set_id(kShop);
    request.set_limit(1'000);
    do {
      const auto page = Read<ledger::ListAccountTransfersReply>(
          "/holdfast.ledger.Ledger/ListAccountTransfers", request);
      if (!page) {
        Wrong("the ledger cannot be read");
        return paid;
      }
      for (const auto& entry : page->transfers()) {
        const ledger::Transfer& transfer = entry.transfer();
        const std::string& id = transfer.id();  // "p1-17", or "p1-17@" and an attempt.
        paid.emplace(id.substr(0, id.find('@')), Payment{transfer.from(), transfer.amount()});
      }
      request.set_cursor(page->next_cursor());
    } while (!request.cursor().empty());
    return paid;
  }

  void ExpectBalance(const std::string& account, int64_t expected) {
    ledger::GetAccountRequest request;
    request.set_id(account);
    const auto found = Read<ledger::Account>("/holdfast.ledger.Ledger/GetAccount", request);
    if (!found || found->balance() != expected) {
      Wrong(account + " has " + (found ? std::to_string(found->balance()) : "no account") +
            " and should have " + std::to_string(expected));
    }
  }

  void Wrong(const std::string& what) {
    if (++wrong_ <= 10) std::cerr << "wrong: " << what << "\n";
  }

  client::Client nodes_;
  int wrong_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const auto endpoints = client::ParseEndpoints(argc == 5 ? argv[1] : "");
  const auto producers = ParseNumber(argc == 5 ? argv[2] : "");
  const auto count = ParseNumber(argc == 5 ? argv[3] : "");
  const auto patience = ParseNumber(argc == 5 ? argv[4] : "");
  if (!endpoints || !producers || !count || !patience) {
    std::cerr << "usage: prove HOST:PORT,... PRODUCERS COUNT PATIENCE_SECONDS\n";
    return 64;
  }
  Proof proof(*endpoints);
  if (proof.WaitUntilEmpty(std::chrono::seconds(*patience))) {
    proof.CheckPayments(*producers, *count);
  }
  if (proof.wrong() > 10) std::cerr << "... and " << proof.wrong() - 10 << " more\n";
  return proof.wrong() == 0 ? 0 : 1;
}
