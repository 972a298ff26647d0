// The ledger service: its methods, as ledger.proto declares them. README.md is the reference page.
//
// Double entry: every journal entry takes from one account what it gives to another, so the sum of
// all balances of a currency is 0 at all times. Writes run on the apply thread; reads on any thread
// under the store's shared lock.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "services/ledger/ledger.pb.h"
#include "services/ledger/posting.h"
#include "services/ledger/tables.h"
#include "src/state_machine/service.h"

namespace holdfast::ledger {

using state_machine::ReadContext;
using state_machine::WriteContext;

class Ledger : public state_machine::Service {
 public:
  explicit Ledger(store::Store& store) : tables_(store) {}

  // --- Writes (ledger.cc)
  Result<void> CreateAccount(const CreateAccountRequest& request, WriteContext& context,
                             AccountReply* reply);
  Result<void> CreateAccounts(const CreateAccountsRequest& request, WriteContext& context,
                              CreateAccountsReply* reply);
  Result<void> CloseAccount(const CloseAccountRequest& request, WriteContext& context,
                            AccountReply* reply);
  Result<void> ReopenAccount(const ReopenAccountRequest& request, WriteContext& context,
                             AccountReply* reply);
  Result<void> CreateTransfer(const CreateTransferRequest& request, WriteContext& context,
                              TransferReply* reply);
  Result<void> CreateTransfers(const CreateTransfersRequest& request, WriteContext& context,
                               CreateTransfersReply* reply);
  Result<void> PostTransfer(const PostTransferRequest& request, WriteContext& context,
                            TransferReply* reply);
  Result<void> VoidTransfer(const VoidTransferRequest& request, WriteContext& context,
                            TransferReply* reply);
  Result<void> CreateTransaction(const CreateTransactionRequest& request, WriteContext& context,
                                 TransferReply* reply);
  Result<void> ReverseTransfer(const ReverseTransferRequest& request, WriteContext& context,
                               TransferReply* reply);
  Result<void> Pay(const PayRequest& request, WriteContext& context, TransferReply* reply);
  // exchange.cc
  Result<void> CreateExchange(const CreateExchangeRequest& request, WriteContext& context,
                              TransferReply* reply);
  // A precondition: it changes nothing.
  Result<void> CheckAccount(const CheckAccountRequest& request, WriteContext& context,
                            CheckAccountReply* reply);

  // --- Reads (reads.cc)
  Result<void> GetAccount(const GetAccountRequest& request, const ReadContext& context,
                          Account* reply) const;
  Result<void> ListAccounts(const ListAccountsRequest& request, const ReadContext& context,
                            ListAccountsReply* reply) const;
  Result<void> GetTransfer(const GetTransferRequest& request, const ReadContext& context,
                           Transfer* reply) const;
  Result<void> ListTransfers(const ListTransfersRequest& request, const ReadContext& context,
                             ListTransfersReply* reply) const;
  Result<void> ListAccountTransfers(const ListAccountTransfersRequest& request,
                                    const ReadContext& context,
                                    ListAccountTransfersReply* reply) const;

  // A hold's timeout; the key is its id.
  void OnTimer(WriteContext& context, std::string_view key) override;

  // invariants.cc
  std::optional<std::string> CheckInvariants() const override;

 private:
  AccountOutcome::Code OpenAccount(const CreateAccountRequest& request, Posting& posting);
  void ReplyAccount(const std::string& id, AccountOutcome::Code outcome, AccountReply* reply) const;
  // Carries out a single-leg order and replies with all there is to say.
  void ReplySingle(const Order& order, WriteContext& context, TransferReply* reply);
  void ReplyResolved(const std::string& id, const Verdict& verdict, LogTime now,
                     TransferReply* reply) const;
  void ReplyLegs(const Order& order, const Verdict& verdict, LogTime now,
                 TransferReply* reply) const;
  void ReplyTransfer(const std::string& id, LogTime now, TransferReply* reply) const;

  Tables tables_;
};

}  // namespace holdfast::ledger
