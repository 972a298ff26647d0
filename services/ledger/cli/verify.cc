#include "services/ledger/cli/verify.h"

#include <array>
#include <ostream>

#include "services/ledger/cli/replay.h"
#include "src/base/bounds.h"
#include "src/cli/progress.h"
#include "src/cli/text.h"

namespace holdfast::ledger {
namespace {

using cli::Grouped;

Result<std::string> NextCursor(const std::string& cursor, const std::string& next) {
  if (!next.empty() && next == cursor) {
    return Fail(Error{ErrorCode::kInternal, "the node gave the same page twice", "", "", 0});
  }
  return next;
}

Result<void> ListAccounts(client::Client& client, const client::CallOptions& options,
                          Replay* replay) {
  ListAccountsRequest request;
  request.set_limit(bounds::kPageRowsMax);
  while (true) {
    const auto reply =
        client.Call<ListAccountsReply>("/holdfast.ledger.Ledger/ListAccounts", request, options);
    if (!reply) return Fail(reply.error());
    for (const Account& account : reply->message.accounts()) replay->List(account);
    const auto next = NextCursor(request.cursor(), reply->message.next_cursor());
    if (!next) return Fail(next.error());
    if (next->empty()) return {};
    request.set_cursor(*next);
  }
}

Result<void> ReplayJournal(client::Client& client, const client::CallOptions& options,
                           cli::Progress& progress, Replay* replay) {
  ListTransfersRequest request;
  request.set_limit(bounds::kPageRowsMax);
  while (replay->last_applied() < replay->last_needed()) {
    const auto reply =
        client.Call<ListTransfersReply>("/holdfast.ledger.Ledger/ListTransfers", request, options);
    if (!reply) return Fail(reply.error());
    for (const Transfer& entry : reply->message.transfers()) {
      if (entry.sequence() <= replay->last_needed()) replay->Apply(entry);
    }
    progress.Update(replay->last_applied());
    const auto next = NextCursor(request.cursor(), reply->message.next_cursor());
    if (!next) return Fail(next.error());
    if (next->empty()) return {};
    request.set_cursor(*next);
  }
  return {};
}

void ShowTable(const Replay& replay, std::ostream& out) {
  using Row = std::array<std::string, 7>;
  std::vector<Row> rows{
      {"currency", "accounts", "entries", "debits", "credits", "sum of balances", "pending"}};
  for (const auto& [name, currency] : replay.currencies()) {
    rows.push_back({name, Grouped(currency.accounts), Grouped(currency.entries),
                    Grouped(currency.debits), Grouped(currency.credits), Grouped(currency.sum),
                    Grouped(currency.pending_out)});
  }
  Row::size_type column = 0;
  std::array<size_t, 7> widths{};
  for (const Row& row : rows) {
    for (column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], row[column].size());
    }
  }
  for (const Row& row : rows) {
    out << row[0] << std::string(widths[0] - row[0].size(), ' ');
    for (column = 1; column < row.size(); ++column) {
      out << "  " << std::string(widths[column] - row[column].size(), ' ') << row[column];
    }
    out << "\n";
  }
}

}  // namespace

int Verify(cli::Context& context) {
  const auto options = context.CallOptions();
  if (!options) return context.Tell(options.error());
  if (options->consistency == client::Consistency::kStale) {
    // A node that lags would show a journal older than the accounts.
    return context.Tell(InvalidArgument("consistency", "verify needs session or linearizable"));
  }
  const auto client = context.Client();
  if (!client) return context.Tell(client.error());

  Replay replay;
  std::chrono::milliseconds time{0};
  if (auto listed = ListAccounts(**client, *options, &replay); !listed) {
    return context.Tell(listed.error());
  }
  {
    cli::Progress progress(context.err(), context.err_is_terminal(), "verify",
                           replay.last_needed());
    if (auto read = ReplayJournal(**client, *options, progress, &replay); !read) {
      return context.Tell(read.error());
    }
    time = progress.elapsed();
  }
  replay.Finish();

  auto& out = context.out();
  ShowTable(replay, out);
  const std::string what = Grouped(replay.accounts()) + " accounts, " +
                           Grouped(replay.last_applied()) + " journal entries, " +
                           cli::ToText(time);
  if (replay.differences() == 0) {
    out << "OK: every balance is the sum of its history (" << what << ")" << std::endl;
    return cli::kExitOk;
  }
  out << "NOT OK: " << Grouped(replay.differences()) << " differences (" << what << ")\n";
  for (const std::string& line : replay.shown()) out << "  " << line << "\n";
  if (replay.differences() > replay.shown().size()) {
    out << "  and " << Grouped(replay.differences() - replay.shown().size()) << " more\n";
  }
  out << std::flush;
  return cli::kExitRefused;
}

}  // namespace holdfast::ledger
