// Customers: each makes its requests one after another, all of them at the same time.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "src/client/client.h"

namespace laptops {

struct Request {
  std::string method;
  std::string body;
};

// What a customer asks for in its `number`-th request, and whether the answer is what it wanted:
// empty, or what is wrong with it. Called by one thread at a time for each customer.
struct Work {
  std::function<Request(uint64_t customer, uint64_t number)> ask;
  std::function<std::string(uint64_t customer, const std::string& reply)> judge;
};

struct Outcome {
  std::vector<double> latencies_us;  // Of each request that was answered, in ascending order.
  uint64_t failed = 0;
  uint64_t sent_again = 0;  // By us; the client library's own repeats are not told.
  std::string first_failure;
  double seconds = 0;
};

class Customers {
 public:
  Customers(holdfast::client::Client& servers, Work work, uint64_t customers, uint64_t each);
  // Blocks until all have made all of their requests. Once.
  Outcome Run();

 private:
  using Clock = std::chrono::steady_clock;
  struct Customer {
    uint64_t made = 0;
    Request request;
    Clock::time_point begun;  // Of the request under way, however often it is sent.
    uint64_t sent_again = 0;
    std::vector<double> latencies_us;
    uint64_t failed = 0;
    std::string failure;
  };

  void Next(uint64_t number);
  void Send(uint64_t number);
  void Answered(uint64_t number, const holdfast::Result<holdfast::client::Reply>& reply);

  holdfast::client::Client& servers_;
  const Work work_;
  const uint64_t each_;
  std::vector<Customer> customers_;  // Each touched by its one request under way.
  std::mutex mutex_;
  std::condition_variable ended_;
  uint64_t running_;
};

}  // namespace laptops
