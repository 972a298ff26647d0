// The customers of the laptop shop, and what their requests took.
//
//   client HOST PORT CUSTOMERS ORDERS TYPE [HOST:PORT,...]
//
//   TYPE 1   each of so many customers orders so many laptops, one after another
//   TYPE 2   each reads its own record so many times
//   TYPE 3   each reads the records of the first ORDERS customers, up to 1,000 in one request
//
// It asks the server that it is given for the others, finds the primary by itself, and goes on with
// another one when that fails. When the given server itself may be down, name others as well.
//
// Exit code 0: every request was answered as it should be. 1: not. 64: it was called wrongly.
#include "src/client/client.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <set>

#include "customers.h"
#include "holdfast/cluster.pb.h"
#include "laptops.h"
#include "services/orders/orders.pb.h"

namespace client = holdfast::client;
namespace orders = holdfast::orders;
using namespace laptops;  // NOLINT: of this program alone.

namespace {

constexpr uint64_t kCustomersMax = 10'000;
constexpr uint64_t kOrdersMax = 1'000'000;
constexpr uint64_t kPage = 1'000;
constexpr char kLaptop[] = "laptop";
constexpr char kCurrency[] = "EUR";
constexpr int64_t kPrice = 99'900;

struct Arguments {
  std::vector<std::string> servers;
  uint64_t customers = 0;
  uint64_t orders = 0;
  uint64_t type = 0;
};

std::optional<Arguments> Parse(int argc, char** argv) {
  if (argc != 6 && argc != 7) return std::nullopt;
  const auto port = ParseNumber(argv[2], 1, kPortMax);
  const auto customers = ParseNumber(argv[3], 1, kCustomersMax);
  const auto orders = ParseNumber(argv[4], 1, kOrdersMax);
  const auto type = ParseNumber(argv[5], 1, 3);
  const std::string host = HostOf(argv[1]);
  if (!port || !customers || !orders || !type || host.empty()) return std::nullopt;
  Arguments arguments{{host + ":" + std::to_string(*port)}, *customers, *orders, *type};
  if (argc == 7) {
    const auto others = client::ParseEndpoints(argv[6]);
    if (!others) return std::nullopt;
    arguments.servers.insert(arguments.servers.end(), others->begin(), others->end());
  }
  return arguments;
}

// Those that were named and those that they know, each once; none when nobody answers. A server
// tells at which address it reaches the others; the port that clients dial follows from it.
std::vector<std::string> WithTheOthers(const std::vector<std::string>& named) {
  client::Client servers(named, {.timeout = std::chrono::seconds(5)});
  const auto status = servers.Call<holdfast::cluster::StatusReply>(
      "/holdfast.cluster.Cluster/Status", holdfast::cluster::StatusRequest());
  if (!status) {
    std::cerr << "no server: " << status.error().message
              << "\nIs it down? Name another one as well: client HOST PORT CUSTOMERS ORDERS TYPE "
                 "HOST:PORT\n";
    return {};
  }
  std::vector<std::string> all = named;
  std::set<std::string> known(named.begin(), named.end());
  for (const auto& peer : status->message.peers()) {
    const size_t colon = peer.address().rfind(':');
    if (colon == std::string::npos) continue;
    const auto port = ParseNumber(peer.address().substr(colon + 1), kPeerPortAfter + 1, 65'535);
    if (!port) continue;
    const std::string address =
        peer.address().substr(0, colon + 1) + std::to_string(*port - kPeerPortAfter);
    if (known.insert(address).second) all.push_back(address);
  }
  return all;
}

// Sorted as they are counted.
std::string CustomerId(uint64_t customer) {
  const std::string digits = std::to_string(customer);
  return "customer-" + std::string(7 - std::min<size_t>(digits.size(), 7), '0') + digits;
}

// Of this run alone, so that its orders are not those of another.
std::string NewRun() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(now).count()) + "-" +
         std::to_string(getpid());
}

template <class Message>
Message Parsed(const std::string& bytes) {
  Message message;
  message.ParseFromString(bytes);  // Otherwise without an outcome, which is judged as wrong.
  return message;
}

// --- What customers ask for

Work OpenAccounts() {
  return {[](uint64_t customer, uint64_t) {
            orders::CreateCustomerRequest request;
            request.set_id(CustomerId(customer));
            request.set_currency(kCurrency);
            return Request{"/holdfast.orders.Orders/CreateCustomer", request.SerializeAsString()};
          },
          [](uint64_t, const std::string& reply) -> std::string {
            const auto outcome = Parsed<orders::CustomerReply>(reply).outcome();
            if (outcome == orders::CustomerOutcome::created) return "";
            if (outcome == orders::CustomerOutcome::already_exists) return "";
            return orders::CustomerOutcome::Code_Name(outcome);
          }};
}

Work OrderLaptops(const std::string& run) {
  return {[run](uint64_t customer, uint64_t number) {
            orders::PlaceOrderRequest request;
            request.set_id(run + "-" + std::to_string(customer) + "-" + std::to_string(number));
            request.set_customer(CustomerId(customer));
            auto* line = request.add_lines();
            line->set_sku(kLaptop);
            line->set_quantity(1);
            request.set_total(kPrice);
            return Request{"/holdfast.orders.Orders/PlaceOrder", request.SerializeAsString()};
          },
          [](uint64_t, const std::string& reply) -> std::string {
            const auto outcome = Parsed<orders::OrderReply>(reply).outcome();
            if (outcome == orders::OrderOutcome::placed) return "";
            if (outcome == orders::OrderOutcome::already_exists) return "";  // By us, before.
            return orders::OrderOutcome::Code_Name(outcome);
          }};
}

void Show(const orders::Customer& customer) {
  std::printf("%s  %llu orders, last %s\n", customer.id().c_str(),
              static_cast<unsigned long long>(customer.orders()),
              customer.last_order().empty() ? "none" : customer.last_order().c_str());
}

// One customer that asks once is told what it says; of many only the time is told.
Work ReadOwnRecord(bool show) {
  return {[](uint64_t customer, uint64_t) {
            orders::GetCustomerRequest request;
            request.set_id(CustomerId(customer));
            return Request{"/holdfast.orders.Orders/GetCustomer", request.SerializeAsString()};
          },
          [show](uint64_t customer, const std::string& reply) -> std::string {
            const auto record = Parsed<orders::Customer>(reply);
            if (record.id() != CustomerId(customer)) return "the record of another customer";
            if (show) Show(record);
            return "";
          }};
}

// Pages of the records of the first `count` customers; `rows` counts what is on them. Where there
// are fewer customers, the pages behind the last are empty.
Work ReadRecords(uint64_t count, bool show, std::atomic<uint64_t>& rows) {
  return {[count](uint64_t, uint64_t page) {
            orders::ListCustomersRequest request;
            request.set_from(CustomerId(page * kPage));
            request.set_to(CustomerId(count));
            request.set_limit(kPage);
            return Request{"/holdfast.orders.Orders/ListCustomers", request.SerializeAsString()};
          },
          [show, &rows](uint64_t, const std::string& reply) -> std::string {
            const auto page = Parsed<orders::ListCustomersReply>(reply);
            rows += static_cast<uint64_t>(page.customers_size());
            for (const auto& record : page.customers()) {
              if (show) Show(record);
            }
            return "";
          }};
}

// --- What it took

// The smallest that `share` of all are not above.
double Percentile(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<size_t>(share * static_cast<double>(sorted.size()) + 0.999'999);
  return sorted[std::min(std::max<size_t>(rank, 1), sorted.size()) - 1];
}

void Report(const char* what, const Outcome& outcome) {
  const std::vector<double>& us = outcome.latencies_us;
  std::printf("%-11s %zu answered, %llu failed, %llu sent again\n", what, us.size(),
              static_cast<unsigned long long>(outcome.failed),
              static_cast<unsigned long long>(outcome.sent_again));
  if (!outcome.first_failure.empty()) {
    std::printf("the first failure: %s\n", outcome.first_failure.c_str());
  }
  if (us.empty()) return;
  const auto count = static_cast<double>(us.size());
  const double under = static_cast<double>(std::ranges::lower_bound(us, 1'000.0) - us.begin());
  std::printf("latency us  average %.0f, min %.0f, max %.0f, p50 %.0f, p99 %.0f\n",
              std::accumulate(us.begin(), us.end(), 0.0) / count, us.front(), us.back(),
              Percentile(us, 0.5), Percentile(us, 0.99));
  std::printf("under 1 ms  %.1f %%\n", 100 * under / count);
  std::printf("throughput  %.0f a second, %.3f s in all\n", count / outcome.seconds,
              outcome.seconds);
}

// The laptop is in the catalogue, and the customers are known. Not measured.
bool PrepareOrders(client::Client& servers, uint64_t customers) {
  orders::CreateProductRequest laptop;
  laptop.set_sku(kLaptop);
  laptop.set_name("Laptop, built to order");
  laptop.set_price(kPrice);
  laptop.set_currency(kCurrency);
  const auto added =
      servers.Call<orders::ProductReply>("/holdfast.orders.Orders/CreateProduct", laptop);
  if (!added) {
    std::cerr << "no laptop: " << added.error().message << "\n";
    return false;
  }
  const Outcome opened = Customers(servers, OpenAccounts(), customers, 1).Run();
  if (opened.failed > 0) std::cerr << "no customer: " << opened.first_failure << "\n";
  return opened.failed == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = Parse(argc, argv);
  if (!arguments) {
    std::cerr << "usage: client HOST PORT CUSTOMERS ORDERS TYPE [HOST:PORT,...]\n"
                 "TYPE 1: orders, 2: a customer's record, 3: many records; up to "
              << kCustomersMax << " customers\n";
    return 64;
  }
  const auto& [named, customers, count, type] = *arguments;
  const std::vector<std::string> all = WithTheOthers(named);
  if (all.empty()) return 1;
  client::Client servers(all);
  if (type == 1 && !PrepareOrders(servers, customers)) return 1;
  const bool is_one = customers == 1 && count == 1;
  std::printf("customers   %llu\n", static_cast<unsigned long long>(customers));
  Outcome outcome;
  if (type == 1) {
    outcome = Customers(servers, OrderLaptops(NewRun()), customers, count).Run();
    Report("orders", outcome);
  } else if (type == 2) {
    outcome = Customers(servers, ReadOwnRecord(is_one), customers, count).Run();
    Report("records", outcome);
  } else {
    const uint64_t pages = (count + kPage - 1) / kPage;
    std::atomic<uint64_t> rows = 0;
    outcome = Customers(servers, ReadRecords(count, customers == 1, rows), customers, pages).Run();
    Report("bulk reads", outcome);
    std::printf("rows        %llu of %llu that were asked for\n",
                static_cast<unsigned long long>(rows),
                static_cast<unsigned long long>(customers * count));
    if (rows == 0) {
      std::printf("there are no such customers: order first (type 1)\n");
      return 1;
    }
  }
  return outcome.failed == 0 ? 0 : 1;
}
