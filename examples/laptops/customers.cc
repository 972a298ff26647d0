#include "customers.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace laptops {
namespace {

using holdfast::ErrorCode;
namespace client = holdfast::client;

// A request is given so long, and is sent again, until the customer's patience is out: longer than
// it takes the servers to elect another primary.
constexpr auto kAttempt = std::chrono::seconds(5);
constexpr auto kPatience = std::chrono::seconds(40);

// What the client library gave up when its time was over. An order carries its id: whatever became
// of it, the same once more is done once.
bool MayBeSentAgain(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kDeadlineExceeded ||
         code == ErrorCode::kOutcomeUnknown;
}

}  // namespace

Customers::Customers(client::Client& servers, Work work, uint64_t customers, uint64_t each)
    : servers_(servers),
      work_(std::move(work)),
      each_(each),
      customers_(customers),
      running_(customers) {
  for (Customer& customer : customers_) customer.latencies_us.reserve(each_);
}

Outcome Customers::Run() {
  const auto begun = Clock::now();
  for (uint64_t number = 0; number < customers_.size(); ++number) Next(number);
  {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return running_ == 0; });
  }
  Outcome outcome;
  outcome.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  for (const Customer& customer : customers_) {
    std::ranges::copy(customer.latencies_us, std::back_inserter(outcome.latencies_us));
    outcome.failed += customer.failed;
    outcome.sent_again += customer.sent_again;
    if (outcome.first_failure.empty()) outcome.first_failure = customer.failure;
  }
  std::ranges::sort(outcome.latencies_us);
  return outcome;
}

void Customers::Next(uint64_t number) {
  Customer& customer = customers_[number];
  if (customer.made == each_) {
    std::lock_guard lock(mutex_);
    if (--running_ == 0) ended_.notify_all();
    return;
  }
  customer.request = work_.ask(number, customer.made++);
  customer.begun = Clock::now();
  Send(number);
}

void Customers::Send(uint64_t number) {
  client::CallOptions options;
  options.timeout = kAttempt;
  const Request& request = customers_[number].request;
  servers_.CallAsync(
      request.method, request.body, options,
      [this, number](holdfast::Result<client::Reply> reply) { Answered(number, reply); });
}

void Customers::Answered(uint64_t number, const holdfast::Result<client::Reply>& reply) {
  Customer& customer = customers_[number];
  const auto taken = Clock::now() - customer.begun;
  if (!reply && MayBeSentAgain(reply.error().code) && taken < kPatience) {
    ++customer.sent_again;
    Send(number);
    return;
  }
  const std::string wrong =
      reply ? work_.judge(number, reply->body)
            : std::string(holdfast::ToString(reply.error().code)) + ": " + reply.error().message;
  if (wrong.empty()) {
    customer.latencies_us.push_back(std::chrono::duration<double, std::micro>(taken).count());
  } else {
    ++customer.failed;
    if (customer.failure.empty()) customer.failure = wrong;
  }
  Next(number);
}

}  // namespace laptops
