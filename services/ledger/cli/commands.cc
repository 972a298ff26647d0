#include "services/ledger/cli/commands.h"

#include "services/ledger/cli/branches.h"
#include "services/ledger/cli/import.h"
#include "services/ledger/cli/outcome.h"
#include "services/ledger/cli/verify.h"

namespace holdfast::ledger {
namespace {

constexpr char kImportFooter[] = R"(Example:
  holdfast ledger import --format berka trans.asc

A row of trans.asc (Berka bank, PKDD'99) becomes the transfer berka-<trans_id> in CZK, with its day
as metadata. The customer's account is berka-<account_id>, with unlimited overdraft. PRIJEM goes to
it, VYDAJ and VYBER come from it; the other side is, by operation:
  VKLAD, VYBER, VYBER KARTOU       berka-cash       deposits and withdrawals
  PREVOD Z UCTU, PREVOD NA UCET    berka-bank       transfers from and to other banks
  (none)                           berka-interest   interest
Koruna with decimals become hundredths, exactly.

Run it as often as you like: what is there already stays as it is. When it was interrupted, or no
node could be reached, run it again. A malformed line is named, and then nothing is imported.)";

constexpr char kVerifyFooter[] = R"(Example:
  holdfast ledger verify

Reads all accounts and the whole journal, recomputes every balance (holds, posts, voids, expiries,
transactions and reversals included), compares it with what the account says, and checks that per
currency debits equal credits. Works on a live cluster. Exit code 0: OK, 1: differences, listed.
Sums are in minor units.)";

constexpr char kBranchesFooter[] = R"(Example:
  holdfast branches run input.json --output output.json

INPUT is a list of customers with their events, and of branches with their balance:
  [{"id": 1, "type": "customer", "events": [
      {"id": 1, "interface": "deposit", "branch": 1, "money": 400},
      {"id": 2, "interface": "query", "branch": 2}]},
   {"id": 1, "type": "branch", "balance": 0}, {"id": 2, "type": "branch", "balance": 0}]

All branches keep one account, in the ledger; a run opens a new one. Branch b is the node at place
(b-1) mod n of --endpoints. Customers come one after the other; each carries the log position of what
it wrote and read last, so that the next branch answers with no less (--consistency session). -v
shows the position of every event. What each event came to is written as
  {"id":1,"recv":[{"interface":"query","branch":2,"balance":400}]}

--hold-back makes one follower apply everything so much later. The balances stay right; with
--consistency stale one sees what would be wrong without the guarantee. Exit code 0: every query saw
what had been written before it, 1: one did not.)";

void RegisterBranches(cli::Commands& commands) {
  auto flags = std::make_shared<BranchesFlags>();
  commands.AddGroup("branches", "Deposits, withdrawals and queries at the branches of a bank");
  CLI::App* run = commands.Add("branches", "run", "Carries out a file of events at the branches");
  run->footer(kBranchesFooter);
  run->add_option("INPUT", flags->input, "The file of events, as JSON")->required();
  run->add_option("--output", flags->output, "Where the results go; -: the standard output")
      ->type_name("FILE")
      ->capture_default_str();
  run->add_option("--hold-back", flags->hold_back_ms,
                  "A follower applies everything so many milliseconds later, at most 5000")
      ->type_name("MS")
      ->check(CLI::Range(1, 5'000).description(""));
  commands.OnRun(run, [flags](cli::Context& context) { return RunBranches(*flags, context); });
  commands.AddExample("branches", "holdfast branches run input.json --output output.json");
  commands.AddExample("branches",
                      "holdfast branches run input.json --hold-back 300 --consistency stale");
}

}  // namespace

void RegisterCommands(cli::Commands& commands) {
  struct ImportFlags {
    std::string format;
    std::string file;
  };
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* import =
      commands.Add("ledger", "import", "Replays a file of transactions; twice changes nothing");
  import->footer(kImportFooter);
  import->add_option("--format", flags->format, "What the file is: berka")
      ->type_name("WORD")
      ->required()
      ->check(CLI::IsMember({"berka"}).description(""));
  import->add_option("FILE", flags->file, "The file to import")->required();
  commands.OnRun(import,
                 [flags](cli::Context& context) { return ImportBerka(flags->file, context); });

  CLI::App* verify =
      commands.Add("ledger", "verify", "Recomputes every balance from the journal, and compares");
  verify->footer(kVerifyFooter);
  commands.OnRun(verify, Verify);

  RegisterBranches(commands);

  commands.AddOutcome("--transfer", "ID", "The id of a transfer, hold, transaction or reversal",
                      TransferOutcomeById);

  for (const char* line :
       {"holdfast ledger pay --transaction-id p1 --from-account alice --to-account bob --amount 5",
        "holdfast ledger create-account --id shop --currency EUR --overdraft true",
        "holdfast ledger create-account --id ann --currency EUR --metadata tier=gold",
        "holdfast ledger create-transfer --id t1 --from shop --to ann --amount 2500",
        "holdfast ledger create-transfer --id h1 --from ann --to shop --amount 900 --pending",
        "holdfast ledger post-transfer --id h1 --amount 650",
        "holdfast ledger get-account --id ann", "holdfast ledger verify"}) {
    commands.AddExample("ledger", line);
  }
}

}  // namespace holdfast::ledger
