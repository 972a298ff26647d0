#include "services/ledger/cli/outcome.h"

#include "services/ledger/ledger.pb.h"
#include "src/cli/outcome.h"

namespace holdfast::ledger {

int TransferOutcomeById(cli::Context& context, const std::string& id) {
  const auto options = cli::OutcomeOptions(context);
  if (!options) return context.Tell(options.error());
  const auto client = context.Client();
  if (!client) return context.Tell(client.error());
  GetTransferRequest request;
  request.set_id(id);
  const auto reply =
      (*client)->Call<Transfer>("/holdfast.ledger.Ledger/GetTransfer", request, *options);
  if (!reply && reply.error().code == ErrorCode::kNotFound) {
    return cli::ShowOutcome(context, "never_seen", nullptr);
  }
  if (!reply) return context.Tell(reply.error());
  const bool burnt = reply->message.state() == TransferState::failed;
  return cli::ShowOutcome(context, burnt ? "rejected" : "committed", &reply->message);
}

}  // namespace holdfast::ledger
