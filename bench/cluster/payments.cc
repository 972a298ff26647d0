// Payments: transfers over pipe, gRPC and HTTP, batches, reads; PostgreSQL with one synchronous
// standby beside them.
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "bench/cluster/peers.h"
#include "bench/cluster/stage.h"
#include "services/ledger/ledger.pb.h"

namespace holdfast::bench {
namespace {

using namespace holdfast::ledger;  // NOLINT: the messages of this one service.

constexpr int kHotAccounts = 10;

// The batch in a loop checks each payment as ours does; the set-based one checks the sum only, and
// is the faster: that one we compare with.
const PeerCases kCases = {{"pay_uniform_10k", {"uniform singles", "SQL function"}},
                          {"pay_hot_10", {"hot singles", "SQL function"}},
                          {"pay_batch1000_set", {"uniform batches", "SQL, as a set"}},
                          {"pay_batch1000_loop", {"uniform batches", "SQL, in a loop"}}};

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

class Payers {
 public:
  Payers(Stage& stage, int accounts, int batch)
      : stage_(stage), accounts_(accounts), batch_(batch) {}

  void Run() {
    OpenAccounts();
    const std::vector<int> counts = stage_.Counts(
        stage_.settings().quick ? std::vector<int>{1, 64} : std::vector<int>{1, 16, 64, 256});
    for (const char* door : {"pipe", "gRPC", "HTTP"}) {
      for (int clients : counts) Singles(door, accounts_, clients);
    }
    for (const char* door : {"pipe", "gRPC", "HTTP"}) Singles(door, kHotAccounts, 64);
    for (int clients : {1, 4}) Batches(accounts_, clients);
    for (int clients : {1, 4}) Batches(kHotAccounts, clients);
    for (Consistency consistency :
         {Consistency::kStale, Consistency::kSession, Consistency::kLinearizable}) {
      for (int clients : stage_.Counts({64})) {
        Reads(consistency, stage_.leader(), "leader", clients);
        if (stage_.follower() == stage_.leader()) continue;
        Reads(consistency, stage_.follower(), "follower", clients);
      }
    }
    Mixed();
  }

 private:
  void OpenAccounts() {
    const auto client = stage_.NewClient();
    for (int first = 0; first < accounts_;) {
      CreateAccountsRequest request;
      for (; first < accounts_ && request.accounts_size() < 5'000; ++first) {
        auto* account = request.add_accounts();
        account->set_id(Account(static_cast<uint64_t>(first)));
        account->set_currency("EUR");
        account->set_overdraft(std::numeric_limits<int64_t>::max());
      }
      MustCall<CreateAccountsReply>(*client, "/holdfast.ledger.Ledger/CreateAccounts", request);
    }
  }

  static const char* Spread(int accounts) { return accounts == kHotAccounts ? "hot" : "uniform"; }

  void Singles(const std::string& door, int accounts, int clients) {
    const std::string run = stage_.NextRun();
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
    stage_.Line(std::string(Spread(accounts)) + " singles", door, clients,
                SingleCalls(make, judge));
  }

  void Batches(int accounts, int clients) {
    const std::string run = stage_.NextRun();
    const MakeDraw make = [&](int client) -> Draw {
      return [payments = std::make_shared<Payments>(accounts, run, client), batch = batch_] {
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
    stage_.Line(std::string(Spread(accounts)) + " batches", "pipe", clients,
                SingleCalls(make, judge));
  }

  static Ask ReadOf(Payments& payments, int accounts, Consistency consistency) {
    GetAccountRequest request;
    request.set_id(Account(payments.Random() % static_cast<uint64_t>(accounts)));
    return Ask{"/holdfast.ledger.Ledger/GetAccount", request.SerializeAsString(), consistency};
  }

  void Reads(Consistency consistency, int node, const std::string& where, int clients) {
    static constexpr const char* kNames[] = {"session", "linearizable", "stale"};
    const std::string door = std::string(kNames[static_cast<int>(consistency)]) + ", " + where;
    if (!stage_.Wanted("reads", door)) return;
    const std::string run = stage_.NextRun();
    const MakeDraw make = [&](int client) -> Draw {
      return [payments = std::make_shared<Payments>(accounts_, run, client), accounts = accounts_,
              consistency] { return ReadOf(*payments, accounts, consistency); };
    };
    const Judge judge = [](const std::string& body) { return body.empty() ? 0 : 1; };
    stage_.Add(Measure("reads", door,
                       OverPipe({stage_.cluster().grpc(node)}, clients, SingleCalls(make, judge)),
                       stage_.settings().seconds, stage_.cluster()));
  }

  // Four reads of a session to one transfer.
  void Mixed() {
    const std::string run = stage_.NextRun();
    const MakeDraw make = [&](int client) -> Draw {
      return [payments = std::make_shared<Payments>(accounts_, run, client), accounts = accounts_] {
        if (payments->Random() % 5 != 0) {
          return ReadOf(*payments, accounts, Consistency::kSession);
        }
        CreateTransferRequest request;
        payments->Next(&request);
        return Ask{"/holdfast.ledger.Ledger/CreateTransfer", request.SerializeAsString()};
      };
    };
    const Judge judge = [](const std::string& body) { return body.empty() ? 0 : 1; };
    stage_.Line("4 reads, 1 transfer", "pipe", 64, SingleCalls(make, judge));
  }

  Stage& stage_;
  const int accounts_;
  const int batch_;
};

}  // namespace

int RunPayments(const Settings& settings, int accounts, int batch) {
  Stage stage(settings, MeasurePeers(settings.peers, {"pg.sh repl"}, kCases, settings.seconds));
  if (!stage.Begin(", " + std::to_string(accounts) + " accounts")) return EXIT_FAILURE;
  Payers(stage, accounts, batch).Run();
  stage.End();
  double transfers = 0;
  for (const Row& row : stage.rows()) {
    if (row.workload != "reads") transfers += row.per_second * settings.seconds;
  }
  if (transfers == 0) return EXIT_SUCCESS;
  std::printf("%.1f million transfers: %.0f bytes of store each\n", transfers / 1e6,
              static_cast<double>(DiskBytes(stage.cluster(), 1, "store")) / transfers);
  return EXIT_SUCCESS;
}

}  // namespace holdfast::bench
