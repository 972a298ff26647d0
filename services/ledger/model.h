// What the ledger must do, plain and obvious: a list of what happened, and every balance as the sum
// of its entries. It knows no tables, no store and no log, and shares no code with the service.
// Tests and the simulator run both and compare every reply.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "services/ledger/ledger.pb.h"

namespace holdfast::ledger {

// Requests must be valid. Times are those of the log, in microseconds. Not thread-safe.
class Model {
 public:
  // Begins an entry of the log: holds that are due by now expire, earliest first.
  void Advance(int64_t now_us);

  AccountReply CreateAccount(const CreateAccountRequest& request);
  CreateAccountsReply CreateAccounts(const CreateAccountsRequest& request);
  AccountReply CloseAccount(const CloseAccountRequest& request);
  AccountReply ReopenAccount(const ReopenAccountRequest& request);
  TransferReply CreateTransfer(const CreateTransferRequest& request);
  CreateTransfersReply CreateTransfers(const CreateTransfersRequest& request);
  TransferReply PostTransfer(const PostTransferRequest& request);
  TransferReply VoidTransfer(const VoidTransferRequest& request);
  TransferReply CreateTransaction(const CreateTransactionRequest& request);
  TransferReply ReverseTransfer(const ReverseTransferRequest& request);
  TransferReply Pay(const PayRequest& request);
  TransferReply CreateExchange(const CreateExchangeRequest& request);
  CheckAccountReply CheckAccount(const CheckAccountRequest& request);

  // nullopt when there is no such account, or was none at the time.
  std::optional<Account> GetAccount(const std::string& id,
                                    std::optional<int64_t> at_us = std::nullopt) const;
  std::optional<Transfer> GetTransfer(const std::string& id) const;
  std::vector<Account> Accounts() const;
  std::vector<Transfer> Transfers() const;
  // In [from_us, to_us).
  std::vector<AccountTransfer> AccountTransfers(const std::string& id, int64_t from_us,
                                                int64_t to_us) const;

 private:
  struct OpenAccount {
    std::string id;
    std::string currency;
    int64_t overdraft = 0;
    std::map<std::string, std::string> metadata;
    int64_t created_us = 0;
    bool closed = false;
  };
  struct Movement {
    std::string from;
    std::string to;
    int64_t amount = 0;
  };
  // One entry of the journal; its sequence is its place, from 1.
  struct Entry {
    std::string id;
    TransferKind::Code kind = TransferKind::unspecified;
    Movement movement;
    int64_t released = 0;
    int64_t time_us = 0;
    uint32_t leg = 0;
  };
  // What one id asked for, and what came of it.
  struct Work {
    std::string id;
    TransferKind::Code kind = TransferKind::transfer;
    bool has_legs = false;
    std::vector<Movement> legs;
    uint32_t timeout_seconds = 0;
    std::string reversal_of;
    std::optional<CreateExchangeRequest> exchange;
    std::map<std::string, std::string> metadata;
    TransferOutcome::Code failure = TransferOutcome::unspecified;
    uint64_t sequence = 0;
    int64_t time_us = 0;
    uint64_t ended_by = 0;  // Of a hold: the sequence of its end.
    std::string reversed_by;
  };
  struct Result {
    TransferOutcome::Code outcome = TransferOutcome::unspecified;
    TransferOutcome::Code failed_as = TransferOutcome::unspecified;
    std::string account;
    std::optional<uint32_t> leg;
  };
  struct Sum {
    int64_t balance = 0;
    int64_t pending_in = 0;
    int64_t pending_out = 0;
    uint64_t last_sequence = 0;
  };

  const OpenAccount* FindAccount(const std::string& id) const;
  OpenAccount* FindAccount(const std::string& id);
  void Journal(Entry entry);
  static void Add(const Entry& entry, bool outgoing, Sum* sum);
  void CutJournal(size_t entries);  // Forgets the entries after the first so many.
  Sum SumOf(const std::string& id, uint64_t through) const;
  Account Describe(const OpenAccount& account, const Sum& sum) const;
  AccountReply ReplyOf(AccountOutcome::Code outcome, const std::string& id) const;
  Balance BalanceOf(const std::string& id, uint64_t through, bool named) const;

  // `refused`: what speaks against the work when its id is new, and of which account.
  Result Do(Work work, bool open_accounts, TransferOutcome::Code refused,
            const std::string& refused_account = "");
  TransferReply DoSingle(const Work& work, bool open_accounts);
  Result TryLegs(const Work& work, bool open_accounts);
  TransferOutcome::Code Compare(const Work& asked, const Work& done) const;
  static TransferOutcome::Code CompareExchange(const CreateExchangeRequest& a,
                                               const CreateExchangeRequest& b);
  TransferReply End(const std::string& id, TransferKind::Code kind, std::optional<int64_t> amount);
  int64_t ExpiresUs(const Work& hold) const;
  Transfer DescribeEntry(uint64_t sequence) const;
  Transfer DescribeWork(const Work& work) const;
  TransferReply ReplyOf(const Result& result, const std::string& id, bool has_legs) const;

  int64_t now_us_ = 0;
  std::vector<OpenAccount> accounts_;
  std::vector<Entry> journal_;
  std::map<std::string, std::vector<Sum>> sums_;  // Of each account, after each of its entries.
  std::map<std::string, Work> works_;
  std::set<std::pair<int64_t, std::string>> open_holds_;  // By the time of their expiry.
};

}  // namespace holdfast::ledger
