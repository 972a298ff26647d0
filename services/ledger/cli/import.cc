#include "services/ledger/cli/import.h"

#include <fstream>
#include <map>
#include <ostream>

#include "holdfast/cluster.pb.h"
#include "services/ledger/cli/berka.h"
#include "services/ledger/tables.h"
#include "src/base/bounds.h"
#include "src/cli/progress.h"
#include "src/cli/text.h"

namespace holdfast::ledger {
namespace {

using cli::Grouped;
using cli::GroupedHundredths;

// After which a person wonders what the command waits for.
constexpr std::chrono::milliseconds kFirstAnswerTime{2'000};
constexpr size_t kLinesShownMax = 10;

// What a first reading of the file finds out.
struct Survey {
  std::map<std::string, cli::Wide> balances;  // By account: what the file alone comes to.
  uint64_t rows = 0;
  uint64_t empty = 0;  // Rows of amount 0.
  uint64_t malformed = 0;
  std::vector<std::string> shown;  // The first malformed lines.
};

Survey Read(std::istream& in) {
  Survey survey;
  BerkaReader reader(in);
  while (true) {
    const auto row = reader.Next();
    if (!row) {
      if (++survey.malformed <= kLinesShownMax) survey.shown.push_back(cli::OneLine(row.error()));
      continue;
    }
    if (!*row) return survey;
    ++survey.rows;
    if ((*row)->amount == 0) ++survey.empty;
    survey.balances[(*row)->account] += (*row)->credit ? (*row)->amount : -(*row)->amount;
  }
}

// How many of a kind ended how.
struct Tally {
  uint64_t created = 0;
  uint64_t already_there = 0;
  uint64_t refused = 0;
  std::vector<std::string> shown;  // The first refusals.

  void Refuse(const std::string& what) {
    if (++refused <= kLinesShownMax) shown.push_back(what);
  }
  std::string ToText() const {
    return Grouped(created) + " created, " + Grouped(already_there) + " already there, " +
           Grouped(refused) + " refused";
  }
};

class Import {
 public:
  explicit Import(client::Client& client) : client_(client) {
    // Longer than any failover. Each batch gets a key of the client's, so that a batch whose answer
    // was lost is answered again rather than done again; the ids guard whole runs.
    options_.timeout = std::chrono::milliseconds(bounds::kDeadlineMsMax);
  }

  Result<void> OpenAccounts(const Survey& survey) {
    CreateAccountsRequest batch;
    const auto add = [&](const std::string& id) -> Result<void> {
      CreateAccountRequest* account = batch.add_accounts();
      account->set_id(id);
      account->set_currency(kBerkaCurrency);
      account->set_overdraft(kUnlimited);
      return batch.accounts_size() < bounds::kImportBatchRows ? Result<void>()
                                                              : SendAccounts(&batch);
    };
    for (const char* other : kBerkaOtherSides) {
      if (auto added = add(other); !added) return added;
    }
    for (const auto& [id, balance] : survey.balances) {
      if (auto added = add(id); !added) return added;
    }
    return SendAccounts(&batch);
  }

  Result<void> Replay(std::istream& in, cli::Progress& progress) {
    CreateTransfersRequest batch;
    BerkaReader reader(in);
    uint64_t rows = 0;
    while (true) {
      const auto row = reader.Next();
      if (!row) return Fail(row.error());  // The file changed under us.
      if (*row) {
        ++rows;
        if ((*row)->amount > 0) *batch.add_transfers() = (*row)->ToTransfer();
      }
      if (!*row || batch.transfers_size() == bounds::kImportBatchRows) {
        if (auto sent = SendTransfers(&batch); !sent) return sent;
        progress.Update(rows);
      }
      if (!*row) return {};
    }
  }

  // What the ledger says of the accounts now; also counts those that are not as in the file.
  Result<cli::Wide> Sum(const Survey& survey, uint64_t* different) {
    cli::Wide sum = 0;
    for (const auto& [id, balance] : survey.balances) {
      GetAccountRequest request;
      request.set_id(id);
      const auto reply =
          client_.Call<Account>("/holdfast.ledger.Ledger/GetAccount", request, options_);
      if (!reply) return Fail(reply.error());
      sum += reply->message.balance();
      if (reply->message.balance() != balance) ++*different;
    }
    return sum;
  }

  const Tally& accounts() const { return accounts_; }
  const Tally& transfers() const { return transfers_; }

 private:
  Result<void> SendAccounts(CreateAccountsRequest* batch) {
    if (batch->accounts_size() == 0) return {};
    const auto reply = client_.Call<CreateAccountsReply>("/holdfast.ledger.Ledger/CreateAccounts",
                                                         *batch, options_);
    if (!reply) return Fail(reply.error());
    for (int i = 0; i < reply->message.results_size(); ++i) {
      const auto outcome = reply->message.results(i).outcome();
      if (outcome == AccountOutcome::created) {
        ++accounts_.created;
      } else if (outcome == AccountOutcome::already_exists) {
        ++accounts_.already_there;
      } else {
        accounts_.Refuse("account " + batch->accounts(i).id() + ": " +
                         AccountOutcome::Code_Name(outcome));
      }
    }
    batch->Clear();
    return {};
  }

  Result<void> SendTransfers(CreateTransfersRequest* batch) {
    if (batch->transfers_size() == 0) return {};
    const auto reply = client_.Call<CreateTransfersReply>("/holdfast.ledger.Ledger/CreateTransfers",
                                                          *batch, options_);
    if (!reply) return Fail(reply.error());
    for (int i = 0; i < reply->message.results_size(); ++i) {
      const TransferResult& result = reply->message.results(i);
      if (result.outcome() == TransferOutcome::created) {
        ++transfers_.created;
      } else if (result.outcome() == TransferOutcome::already_exists) {
        ++transfers_.already_there;
      } else {
        transfers_.Refuse("transfer " + batch->transfers(i).id() + ": " +
                          TransferOutcome::Code_Name(result.outcome()) +
                          (result.account().empty() ? "" : ", account " + result.account()));
      }
    }
    batch->Clear();
    return {};
  }

  client::Client& client_;
  client::CallOptions options_;
  Tally accounts_;
  Tally transfers_;
};

void Show(const Tally& tally, std::ostream& err) {
  for (const std::string& line : tally.shown) err << "  " << line << "\n";
  if (tally.refused > tally.shown.size()) {
    err << "  and " << Grouped(tally.refused - tally.shown.size()) << " more\n";
  }
}

// The import itself waits for its nodes with patience; whoever watches should know what for.
void SayIfNobodyAnswers(client::Client& client, cli::Context& context) {
  client::CallOptions quick;
  quick.timeout = kFirstAnswerTime;
  const auto answer = client.Call<cluster::LeaderReply>("/holdfast.cluster.Cluster/Leader",
                                                        cluster::LeaderRequest(), quick);
  if (answer) return;
  context.err() << "import: no node answers at " << context.flags().endpoints << " ("
                << answer.error().message << "); trying for up to "
                << bounds::kDeadlineMsMax / 1'000 << " s" << std::endl;
}

int Stopped(Error error, cli::Context& context) {
  error.hint = "run the same command again: it goes on where it stopped, and does nothing twice";
  return context.Tell(error);
}

}  // namespace

int ImportBerka(const std::string& path, cli::Context& context) {
  if (!context.flags().idempotency_key.empty()) {
    return context.Tell(InvalidArgument(
        "idempotency-key", "does not go with import: it is many requests, each safe by its ids"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return context.Tell(InvalidArgument("", "cannot open " + path + ": " + std::strerror(errno)));
  }
  const Survey survey = Read(file);
  if (file.bad()) return context.Tell(InvalidArgument("", "cannot read " + path));
  if (survey.malformed > 0) {
    context.err() << "holdfast: " << path << " has " << Grouped(survey.malformed)
                  << " malformed line" << (survey.malformed == 1 ? "" : "s")
                  << "; nothing was imported\n";
    for (const std::string& line : survey.shown) context.err() << "  " << line << "\n";
    return cli::kExitUsage;
  }
  const auto client = context.Client();
  if (!client) return context.Tell(client.error());

  SayIfNobodyAnswers(**client, context);
  Import import(**client);
  if (auto opened = import.OpenAccounts(survey); !opened) return Stopped(opened.error(), context);
  if (import.accounts().refused > 0) {
    // Transfers that are refused for their accounts would burn their ids.
    context.err()
        << "holdfast: accounts of these names are of another kind; no transfer was made\n";
    Show(import.accounts(), context.err());
    return cli::kExitRefused;
  }
  std::chrono::milliseconds time{0};
  {
    cli::Progress progress(context.err(), context.err_is_terminal(), "import", survey.rows);
    file.clear();
    file.seekg(0);
    if (auto replayed = import.Replay(file, progress); !replayed) {
      return Stopped(replayed.error(), context);
    }
    time = progress.elapsed();
  }
  uint64_t different = 0;
  const auto sum = import.Sum(survey, &different);
  if (!sum) return Stopped(sum.error(), context);

  cli::Wide expected = 0;
  for (const auto& [id, balance] : survey.balances) expected += balance;
  auto& out = context.out();
  out << "file       " << Grouped(survey.rows) << " transactions of "
      << Grouped(survey.balances.size()) << " accounts";
  if (survey.empty > 0) out << ", " << Grouped(survey.empty) << " of them over 0.00 left out";
  out << "\naccounts   " << import.accounts().ToText() << " (" << std::size(kBerkaOtherSides)
      << " for the other side)\n"
      << "transfers  " << import.transfers().ToText() << "\n"
      << "sum        " << GroupedHundredths(*sum) << " " << kBerkaCurrency
      << " over all accounts; by the file " << GroupedHundredths(expected) << "\n"
      << "balances   ";
  if (different == 0) {
    out << "as in the file for every account\n";
  } else {
    out << "not as in the file for " << Grouped(different)
        << (different == 1 ? " account" : " accounts")
        << ": other transfers, or some were refused\n";
  }
  out << "time       " << cli::ToText(time) << ", " << Grouped(cli::RateOf(survey.rows, time))
      << " transfers/s" << std::endl;
  if (import.transfers().refused == 0) return cli::kExitOk;
  context.err() << "holdfast: " << Grouped(import.transfers().refused)
                << " transfers were refused\n";
  Show(import.transfers(), context.err());
  return cli::kExitRefused;
}

}  // namespace holdfast::ledger
