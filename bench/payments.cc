// Measures payments on a cluster of three real processes on loopback, every acknowledgement fsynced
// by a majority: single transfers over the pipe, gRPC and HTTP, and batches.
#include <absl/synchronization/blocking_counter.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "services/ledger/ledger.pb.h"
#include "src/client/client.h"
#include "tests/support/grpc_client.h"
#include "tests/support/http_client.h"
#include "tests/support/process_cluster.h"

namespace holdfast::bench {
namespace {

using Clock = std::chrono::steady_clock;
using ledger::CreateAccountsReply;
using ledger::CreateAccountsRequest;
using ledger::CreateTransferRequest;
using ledger::CreateTransfersReply;
using ledger::CreateTransfersRequest;
using ledger::TransferOutcome;
using ledger::TransferReply;

struct Settings {
  int seconds = 5;
  int accounts = 10'000;
  int batch = 1'000;
  std::string csv;
};

struct Row {
  std::string what;
  int clients = 0;
  double per_second = 0;  // Transfers.
  double p50_us = 0;      // Of a call.
  double p99_us = 0;
};

// One client's part of a workload: makes a call, says how many transfers it acknowledged.
using Call = std::function<int()>;
using MakeClient = std::function<Call(int client)>;

std::string Account(uint64_t number) { return "account-" + std::to_string(number); }

// Draws transfers between random accounts, with ids that no other client draws.
class Payments {
 public:
  Payments(const Settings& settings, const std::string& run, int client)
      : accounts_(settings.accounts),
        prefix_(run + "-" + std::to_string(client) + "-"),
        random_(static_cast<uint32_t>(client) + 1) {}

  void Next(CreateTransferRequest* transfer) {
    const uint64_t from = random_() % static_cast<uint64_t>(accounts_);
    const uint64_t step = 1 + random_() % static_cast<uint64_t>(accounts_ - 1);
    transfer->set_id(prefix_ + std::to_string(++number_));
    transfer->set_from(Account(from));
    transfer->set_to(Account((from + step) % static_cast<uint64_t>(accounts_)));
    transfer->set_amount(static_cast<int64_t>(1 + random_() % 1'000));
  }

 private:
  int accounts_;
  std::string prefix_;
  std::mt19937 random_;
  uint64_t number_ = 0;
};

// The latencies of one client, of the calls that count.
struct Tally {
  std::atomic<int64_t> done{0};
  std::atomic<int64_t> failed{0};
  std::atomic<bool> counting{false};
  std::atomic<bool> stop{false};

  void Count(Clock::time_point begin, int transfers, std::vector<float>* latencies) {
    const std::chrono::duration<float, std::micro> took = Clock::now() - begin;
    if (transfers == 0) ++failed;
    if (!counting.load(std::memory_order_relaxed)) return;
    done += transfers;
    latencies->push_back(took.count());
  }
};

// Lets the clients run for a second, counts for the time that is set, and stops them.
Row Watch(const Settings& settings, const std::string& what, int clients, Tally& tally,
          const std::function<void()>& join, std::vector<std::vector<float>>& latencies) {
  std::this_thread::sleep_for(std::chrono::seconds(1));  // Warm.
  tally.counting = true;
  const auto begin = Clock::now();
  std::this_thread::sleep_for(std::chrono::seconds(settings.seconds));
  tally.counting = false;
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  tally.stop = true;
  join();
  std::vector<float> all;
  for (const auto& part : latencies) all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  if (all.empty() || tally.failed > 0) {
    std::fprintf(stderr, "%s, %d clients: %ld calls failed\n", what.c_str(), clients,
                 static_cast<long>(tally.failed));
    if (all.empty()) std::exit(EXIT_FAILURE);
  }
  Row row{what, clients, static_cast<double>(tally.done) / seconds, all[all.size() / 2],
          all[all.size() * 99 / 100]};
  std::printf("%-34s %7d %14.0f %10.0f %10.0f\n", row.what.c_str(), row.clients, row.per_second,
              row.p50_us, row.p99_us);
  std::fflush(stdout);
  return row;
}

// Each client is a thread that blocks.
Row Measure(const Settings& settings, const std::string& what, int clients,
            const MakeClient& make) {
  std::vector<Call> calls;
  for (int client = 0; client < clients; ++client) calls.push_back(make(client));
  std::vector<std::vector<float>> latencies(calls.size());
  Tally tally;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < calls.size(); ++i) {
    threads.emplace_back([&, i] {
      while (!tally.stop.load(std::memory_order_relaxed)) {
        const auto begin = Clock::now();
        const int transfers = calls[i]();
        tally.Count(begin, transfers, &latencies[i]);
      }
    });
  }
  const auto join = [&] {
    for (std::thread& thread : threads) thread.join();
  };
  return Watch(settings, what, clients, tally, join, latencies);
}

// A pipe of its own to one node.
std::shared_ptr<client::Client> PipeClient(uint16_t port) {
  client::Options options;
  options.auto_key = false;  // Transfers have ids of their own.
  return std::make_shared<client::Client>(
      std::vector<std::string>{"127.0.0.1:" + std::to_string(port)}, options);
}

void OpenAccounts(const Settings& settings, uint16_t port) {
  const auto client = PipeClient(port);
  for (int first = 0; first < settings.accounts;) {
    CreateAccountsRequest request;
    for (; first < settings.accounts && request.accounts_size() < 5'000; ++first) {
      auto* account = request.add_accounts();
      account->set_id(Account(static_cast<uint64_t>(first)));
      account->set_currency("EUR");
      account->set_overdraft(std::numeric_limits<int64_t>::max());
    }
    const auto reply =
        client->Call<CreateAccountsReply>("/holdfast.ledger.Ledger/CreateAccounts", request);
    if (!reply) {
      std::fprintf(stderr, "cannot open accounts: %s\n", reply.error().message.c_str());
      std::exit(EXIT_FAILURE);
    }
  }
}

// Each client is a chain of asynchronous calls; all share one pipe.
Row MeasurePipe(const Settings& settings, const std::string& what, int clients,
                const std::string& run, uint16_t port) {
  const auto client = PipeClient(port);
  std::vector<std::vector<float>> latencies(static_cast<size_t>(clients));
  std::vector<std::unique_ptr<Payments>> payments;
  for (int i = 0; i < clients; ++i) {
    payments.push_back(std::make_unique<Payments>(settings, run, i));
  }
  Tally tally;
  absl::BlockingCounter running(clients);
  std::function<void(size_t)> next = [&](size_t number) {
    if (tally.stop.load(std::memory_order_relaxed)) {
      running.DecrementCount();
      return;
    }
    CreateTransferRequest request;
    payments[number]->Next(&request);
    client->CallAsync<TransferReply>(
        "/holdfast.ledger.Ledger/CreateTransfer", request, {},
        [&, number, begin = Clock::now()](Result<client::TypedReply<TransferReply>> reply) {
          const bool created = reply && reply->message.outcome() == TransferOutcome::created;
          tally.Count(begin, created ? 1 : 0, &latencies[number]);
          next(number);
        });
  };
  for (size_t i = 0; i < latencies.size(); ++i) next(i);
  return Watch(
      settings, what, clients, tally, [&] { running.Wait(); }, latencies);
}

// Threads that share a pipe.
MakeClient OverPipe(const Settings& settings, const std::string& run, uint16_t port) {
  const auto client = PipeClient(port);
  return [=](int number) -> Call {
    auto payments = std::make_shared<Payments>(settings, run, number);
    return [=] {
      CreateTransferRequest request;
      payments->Next(&request);
      const auto reply =
          client->Call<TransferReply>("/holdfast.ledger.Ledger/CreateTransfer", request);
      return reply && reply->message.outcome() == TransferOutcome::created ? 1 : 0;
    };
  };
}

MakeClient OverGrpc(const Settings& settings, const std::string& run, uint16_t port) {
  return [=](int number) -> Call {
    auto client = std::make_shared<testing::GrpcClient>(port);
    auto payments = std::make_shared<Payments>(settings, run, number);
    return [=] {
      CreateTransferRequest request;
      payments->Next(&request);
      const auto reply =
          client->Call("/holdfast.ledger.Ledger/CreateTransfer", request.SerializeAsString());
      TransferReply message;
      const bool read = reply.ok && message.ParseFromString(reply.body);
      return read && message.outcome() == TransferOutcome::created ? 1 : 0;
    };
  };
}

MakeClient OverHttp(const Settings& settings, const std::string& run, uint16_t port) {
  return [=](int number) -> Call {
    auto client = std::make_shared<testing::HttpClient>(port);
    auto payments = std::make_shared<Payments>(settings, run, number);
    return [=] {
      CreateTransferRequest request;
      payments->Next(&request);
      const std::string body = R"({"id":")" + request.id() + R"(","from":")" + request.from() +
                               R"(","to":")" + request.to() + R"(","amount":)" +
                               std::to_string(request.amount()) + "}";
      return client->Post("/v1/ledger/transfers", body).status == 201 ? 1 : 0;
    };
  };
}

MakeClient Batches(const Settings& settings, const std::string& run, uint16_t port) {
  return [=](int number) -> Call {
    auto client = PipeClient(port);
    auto payments = std::make_shared<Payments>(settings, run, number);
    return [=] {
      CreateTransfersRequest request;
      for (int i = 0; i < settings.batch; ++i) payments->Next(request.add_transfers());
      const auto reply =
          client->Call<CreateTransfersReply>("/holdfast.ledger.Ledger/CreateTransfers", request);
      if (!reply) return 0;
      int created = 0;
      for (const auto& result : reply->message.results()) {
        created += result.outcome() == TransferOutcome::created ? 1 : 0;
      }
      return created;
    };
  };
}

void WriteCsv(const std::string& path, const std::vector<Row>& rows) {
  std::ofstream out(path);
  out << "workload,clients,transfers_per_second,p50_us,p99_us\n";
  for (const Row& row : rows) {
    out << row.what << ',' << row.clients << ',' << row.per_second << ',' << row.p50_us << ','
        << row.p99_us << '\n';
  }
}

int RunPayments(const Settings& settings) {
  testing::ProcessCluster cluster(3);
  cluster.StartAll();
  if (!cluster.WaitHealthy()) {
    std::fprintf(stderr, "the cluster did not become healthy:\n%s", cluster.LogOf(1).c_str());
    return EXIT_FAILURE;
  }
  const int leader = cluster.WaitLeader();
  const int follower = leader % 3 + 1;
  OpenAccounts(settings, cluster.grpc(leader));
  std::printf(
      "three nodes on loopback, %d accounts, %d s a line, every acknowledgement fsynced by a "
      "majority\n\n%-34s %7s %14s %10s %10s\n",
      settings.accounts, settings.seconds, "workload", "clients", "transfers/s", "p50 us",
      "p99 us");
  std::vector<Row> rows;
  int run = 0;
  const auto measure = [&](const std::string& what, int clients, auto workload, uint16_t port) {
    const std::string name = "r" + std::to_string(++run);
    rows.push_back(Measure(settings, what, clients, workload(settings, name, port)));
  };
  for (int clients : {1, 16, 64, 256}) {
    rows.push_back(MeasurePipe(settings, "single, pipe, leader", clients,
                               "r" + std::to_string(++run), cluster.grpc(leader)));
  }
  measure("single, pipe, leader, threads", 64, OverPipe, cluster.grpc(leader));
  for (int clients : {1, 16, 64}) {
    measure("single, gRPC, leader", clients, OverGrpc, cluster.grpc(leader));
  }
  for (int clients : {1, 16, 64}) {
    measure("single, HTTP, leader", clients, OverHttp, cluster.http(leader));
  }
  measure("single, gRPC, follower", 64, OverGrpc, cluster.grpc(follower));
  measure("single, HTTP, follower", 64, OverHttp, cluster.http(follower));
  const std::string batch = "batches of " + std::to_string(settings.batch) + ", pipe, leader";
  for (int clients : {1, 4}) measure(batch, clients, Batches, cluster.grpc(leader));
  if (!settings.csv.empty()) WriteCsv(settings.csv, rows);
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  CLI::App app{"Measures Holdfast on this machine; takes about a minute"};
  app.require_subcommand(1);
  std::string program;
  app.add_option("--holdfast", program,
                 "The program to measure; default: the one built beside this");
  holdfast::bench::Settings settings;
  CLI::App* payments =
      app.add_subcommand("payments", "Transfers over the pipe, gRPC and HTTP, and batches");
  payments->add_option("--seconds", settings.seconds, "Of each line, after 1 s of warming up")
      ->check(CLI::Range(1, 600))
      ->capture_default_str();
  payments->add_option("--accounts", settings.accounts)
      ->check(CLI::Range(2, 1'000'000))
      ->capture_default_str();
  payments->add_option("--batch", settings.batch)
      ->check(CLI::Range(1, 8'192))
      ->capture_default_str();
  payments->add_option("--csv", settings.csv, "Also write the table to this file");
  int exit_code = EXIT_SUCCESS;
  payments->callback([&] {
    if (!program.empty()) setenv("HOLDFAST_PROGRAM", program.c_str(), 1);
    exit_code = holdfast::bench::RunPayments(settings);
  });
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
