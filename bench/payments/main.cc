// Measures payments on a cluster of three real processes on loopback, every acknowledgement fsynced
// by a majority, and beside it, in the same run, PostgreSQL with one synchronous standby.
#include <absl/synchronization/mutex.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "bench/payments/doors.h"
#include "bench/payments/load.h"
#include "bench/payments/postgres.h"
#include "bench/payments/report.h"
#include "services/ledger/ledger.pb.h"
#include "src/client/client.h"
#include "tests/support/process_cluster.h"

namespace holdfast::bench {
namespace {

using namespace holdfast::ledger;  // NOLINT: the messages of this one service.

constexpr int kHotAccounts = 10;

struct Settings {
  int seconds = 5;
  int accounts = 10'000;
  int batch = 1'000;
  bool quick = false;
  std::string only;
  std::string postgres;
  std::string csv;
  std::string svg;
};

std::string Account(uint64_t number) { return "account-" + std::to_string(number); }

// Draws transfers between random accounts, with ids that no other client draws.
class Payments {
 public:
  Payments(int accounts, const std::string& run, int client)
      : accounts_(accounts),
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
  uint64_t Random() { return random_(); }

 private:
  int accounts_;
  std::string prefix_;
  std::mt19937 random_;
  uint64_t number_ = 0;
};

class Bench {
 public:
  Bench(const Settings& settings, std::vector<Row> peers)
      : settings_(settings), peers_(std::move(peers)), cluster_(3) {}

  bool Begin() {
    cluster_.StartAll();
    if (!cluster_.WaitHealthy()) {
      std::fprintf(stderr, "the cluster did not become healthy:\n%s", cluster_.LogOf(1).c_str());
      return false;
    }
    leader_ = cluster_.WaitLeader();
    follower_ = leader_ % 3 + 1;
    return OpenAccounts();
  }

  void Run() {
    PrintHead();
    for (const Row& peer : peers_) {
      Row row = peer;
      row.door = peer.system + ", " + peer.door;
      PrintRow(row, nullptr);
    }
    const std::vector<int> counts =
        settings_.quick ? std::vector<int>{1, 64} : std::vector<int>{1, 16, 64, 256};
    for (int clients : counts) Singles("pipe", settings_.accounts, clients);
    for (int clients : counts) Singles("gRPC", settings_.accounts, clients);
    for (int clients : counts) Singles("HTTP", settings_.accounts, clients);
    for (const char* door : {"pipe", "gRPC", "HTTP"}) Singles(door, kHotAccounts, 64);
    for (int clients : {1, 4}) Batches(settings_.accounts, clients);
    for (int clients : {1, 4}) Batches(kHotAccounts, clients);
    for (Consistency consistency :
         {Consistency::kStale, Consistency::kSession, Consistency::kLinearizable}) {
      Reads(consistency, leader_, "leader");
      Reads(consistency, follower_, "follower");
    }
    Mixed();
    std::printf(
        "\nNode memory at most %.0f MiB; node 1 holds %.0f MiB of log and %.0f MiB of store"
        " after %.1f million transfers: %.0f bytes of store each.\n",
        Mebibytes(MemoryBytesMax(cluster_)), Mebibytes(DiskBytes(cluster_, "log")),
        Mebibytes(DiskBytes(cluster_, "store")), transfers_ / 1e6,
        static_cast<double>(DiskBytes(cluster_, "store")) / transfers_);
    if (!settings_.csv.empty()) WriteCsv(settings_.csv, rows_, peers_);
    if (!settings_.svg.empty()) WriteSvg(settings_.svg, rows_, peers_);
  }

 private:
  static double Mebibytes(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

  bool OpenAccounts() {
    client::Client client({"127.0.0.1:" + std::to_string(cluster_.grpc(leader_))});
    for (int first = 0; first < settings_.accounts;) {
      CreateAccountsRequest request;
      for (; first < settings_.accounts && request.accounts_size() < 5'000; ++first) {
        auto* account = request.add_accounts();
        account->set_id(Account(static_cast<uint64_t>(first)));
        account->set_currency("EUR");
        account->set_overdraft(std::numeric_limits<int64_t>::max());
      }
      const auto reply =
          client.Call<CreateAccountsReply>("/holdfast.ledger.Ledger/CreateAccounts", request);
      if (!reply) {
        std::fprintf(stderr, "cannot open accounts: %s\n", reply.error().message.c_str());
        return false;
      }
    }
    return true;
  }

  std::string NextRun() { return "r" + std::to_string(++run_); }
  static const char* Spread(int accounts) { return accounts == kHotAccounts ? "hot" : "uniform"; }

  void Add(Row row) {
    if (row.workload != "reads") transfers_ += row.per_second * settings_.seconds;
    PrintRow(row, PeerOf(row, peers_));
    rows_.push_back(std::move(row));
  }

  // Whether this line was asked for.
  bool Wanted(const std::string& workload, const std::string& door) const {
    return (workload + ", " + door).find(settings_.only) != std::string::npos;
  }

  Callers Through(const std::string& door, int clients, const MakeDraw& make, const Judge& judge) {
    if (door == "pipe") return OverPipe({cluster_.grpc(leader_)}, clients, make, judge);
    if (door == "gRPC") return OverGrpc(cluster_.grpc(leader_), clients, make, judge);
    return OverHttp(cluster_.http(leader_), clients, make, judge);
  }

  void Singles(const std::string& door, int accounts, int clients) {
    if (!Wanted(std::string(Spread(accounts)) + " singles", door)) return;
    const std::string run = NextRun();
    const bool http = door == "HTTP";
    const MakeDraw make = [&, http](int client) -> Draw {
      return [payments = std::make_shared<Payments>(accounts, run, client), http] {
        CreateTransferRequest request;
        payments->Next(&request);
        if (!http) {
          return Ask{"/holdfast.ledger.Ledger/CreateTransfer", request.SerializeAsString()};
        }
        return Ask{"/v1/ledger/transfers",
                   R"({"id":")" + request.id() + R"(","from":")" + request.from() + R"(","to":")" +
                       request.to() + R"(","amount":)" + std::to_string(request.amount()) + "}"};
      };
    };
    const Judge judge = [http](const std::string& body) {
      if (http) return body.find("\"created\"") != std::string::npos ? 1 : 0;
      TransferReply reply;
      return reply.ParseFromString(body) && reply.outcome() == TransferOutcome::created ? 1 : 0;
    };
    Add(Measure(std::string(Spread(accounts)) + " singles", door,
                Through(door, clients, make, judge), settings_.seconds, cluster_));
  }

  void Batches(int accounts, int clients) {
    if (!Wanted(std::string(Spread(accounts)) + " batches", "pipe")) return;
    const std::string run = NextRun();
    const MakeDraw make = [&](int client) -> Draw {
      return
          [payments = std::make_shared<Payments>(accounts, run, client), batch = settings_.batch] {
            CreateTransfersRequest request;
            for (int i = 0; i < batch; ++i) payments->Next(request.add_transfers());
            return Ask{"/holdfast.ledger.Ledger/CreateTransfers", request.SerializeAsString()};
          };
    };
    const Judge judge = [](const std::string& body) {
      CreateTransfersReply reply;
      if (!reply.ParseFromString(body)) return 0;
      int created = 0;
      for (const auto& result : reply.results()) {
        created += result.outcome() == TransferOutcome::created ? 1 : 0;
      }
      return created;
    };
    Add(Measure(std::string(Spread(accounts)) + " batches", "pipe",
                Through("pipe", clients, make, judge), settings_.seconds, cluster_));
  }

  static Ask ReadOf(Payments& payments, int accounts, Consistency consistency) {
    GetAccountRequest request;
    request.set_id(Account(payments.Random() % static_cast<uint64_t>(accounts)));
    return Ask{"/holdfast.ledger.Ledger/GetAccount", request.SerializeAsString(), consistency};
  }

  void Reads(Consistency consistency, int node, const std::string& where) {
    static constexpr const char* kNames[] = {"session", "linearizable", "stale"};
    const std::string door = std::string(kNames[static_cast<int>(consistency)]) + ", " + where;
    if (!Wanted("reads", door)) return;
    const std::string run = NextRun();
    const MakeDraw make = [&](int client) -> Draw {
      return [payments = std::make_shared<Payments>(settings_.accounts, run, client),
              accounts = settings_.accounts,
              consistency] { return ReadOf(*payments, accounts, consistency); };
    };
    const Judge judge = [](const std::string& body) { return body.empty() ? 0 : 1; };
    Add(Measure("reads", door, OverPipe({cluster_.grpc(node)}, 64, make, judge), settings_.seconds,
                cluster_));
  }

  // Four reads of a session to one transfer.
  void Mixed() {
    if (!Wanted("4 reads, 1 transfer", "pipe")) return;
    const std::string run = NextRun();
    const MakeDraw make = [&](int client) -> Draw {
      return [payments = std::make_shared<Payments>(settings_.accounts, run, client),
              accounts = settings_.accounts] {
        if (payments->Random() % 5 != 0) {
          return ReadOf(*payments, accounts, Consistency::kSession);
        }
        CreateTransferRequest request;
        payments->Next(&request);
        return Ask{"/holdfast.ledger.Ledger/CreateTransfer", request.SerializeAsString()};
      };
    };
    const Judge judge = [](const std::string& body) { return body.empty() ? 0 : 1; };
    Add(Measure("4 reads, 1 transfer", "pipe", Through("pipe", 64, make, judge), settings_.seconds,
                cluster_));
  }

  const Settings settings_;
  const std::vector<Row> peers_;
  testing::ProcessCluster cluster_;
  int leader_ = 0;
  int follower_ = 0;
  int run_ = 0;
  double transfers_ = 0;
  std::vector<Row> rows_;
};

int RunPayments(const Settings& settings) {
  std::vector<Row> peers;
  if (settings.postgres.empty() || settings.postgres == "none") {
    std::fprintf(stderr, "PostgreSQL is not measured.\n");
  } else if (!std::filesystem::exists(settings.postgres)) {
    std::fprintf(stderr, "PostgreSQL is not measured: there is no %s (--postgres)\n",
                 settings.postgres.c_str());
  } else {
    std::fprintf(stderr, "Measuring PostgreSQL first; this takes some minutes.\n");
    peers = MeasurePostgres(settings.postgres, settings.seconds);
    if (peers.empty()) std::fprintf(stderr, "PostgreSQL could not be measured.\n");
  }
  Bench bench(settings, std::move(peers));
  if (!bench.Begin()) return EXIT_FAILURE;
  std::printf(
      "three nodes on loopback, %d accounts, %d s a line, every acknowledgement fsynced by a "
      "majority; pause: the longest time without an answer to anybody; cpu: of all nodes, for one "
      "transfer or read\n\n",
      settings.accounts, settings.seconds);
  bench.Run();
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // As the program's main.
  CLI::App app{"Measures Holdfast on this machine"};
  app.require_subcommand(1);
  std::string program;
  app.add_option("--holdfast", program,
                 "The program to measure; default: the one built beside this");
  holdfast::bench::Settings settings;
  CLI::App* payments = app.add_subcommand(
      "payments", "Transfers over pipe, gRPC and HTTP, batches, reads; and PostgreSQL beside them");
  payments->add_option("--seconds", settings.seconds, "Of each line, after 1 s of warming up")
      ->check(CLI::Range(1, 600))
      ->capture_default_str();
  payments->add_option("--accounts", settings.accounts)
      ->check(CLI::Range(2, 1'000'000))
      ->capture_default_str();
  payments->add_option("--batch", settings.batch)
      ->check(CLI::Range(1, 8'192))
      ->capture_default_str();
  payments->add_flag("--quick", settings.quick, "Only 1 and 64 clients");
  payments->add_option("--only", settings.only,
                       "Only lines whose \"workload, door\" holds this text");
  payments->add_option("--postgres", settings.postgres,
                       "Script that measures PostgreSQL; none: without");
  payments->add_option("--csv", settings.csv, "Also write the table to this file");
  payments->add_option("--svg", settings.svg, "Also draw pictures in this folder")
      ->check(CLI::ExistingDirectory);
  int exit_code = EXIT_SUCCESS;
  payments->callback([&] {
    if (!program.empty()) setenv("HOLDFAST_PROGRAM", program.c_str(), 1);
    exit_code = holdfast::bench::RunPayments(settings);
  });
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
