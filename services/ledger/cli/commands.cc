#include "services/ledger/cli/commands.h"

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
