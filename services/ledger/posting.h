// The core of the ledger: the one place where money moves, is held or is released. Every method
// that does so becomes an Order or a Resolve and comes through here.
#pragma once

#include <absl/container/inlined_vector.h>
#include <absl/types/span.h>
#include <google/protobuf/map.h>

#include <cstdint>
#include <optional>
#include <string>

#include "services/ledger/describe.h"
#include "services/ledger/ledger.pb.h"
#include "services/ledger/tables.h"
#include "src/state_machine/service.h"

namespace holdfast::ledger {

// The currency of accounts that a payment opens, when neither side has one yet: ISO 4217's code
// for "no currency".
inline constexpr char kPaymentCurrency[] = "XXX";

using ProtoMetadata = google::protobuf::Map<std::string, std::string>;

// Points into the request; valid as long as that is.
struct OrderLeg {
  const std::string* from = nullptr;
  const std::string* to = nullptr;
  int64_t amount = 0;
};

// Money to move or hold under a new id, whatever method it came by.
struct Order {
  const std::string* id = nullptr;
  TransferKind::Code kind = TransferKind::transfer;  // Or hold, transaction, reversal, exchange.
  absl::Span<const OrderLeg> legs;
  bool is_transaction = false;   // Its entries count their legs, be it a single one.
  uint32_t timeout_seconds = 0;  // Of a hold; 0: none.
  const ProtoMetadata* metadata = nullptr;
  bool open_accounts = false;  // Open unknown accounts with unlimited overdraft.
  // Of a reversal: the original and its first entry.
  const std::string* original = nullptr;
  uint64_t reversal_of = 0;
  const ExchangeRow* exchange = nullptr;  // Of an exchange: its terms.
  // What speaks against a reversal or an exchange when its id is new, and the account that it
  // speaks of, if any.
  TransferOutcome::Code refused = TransferOutcome::unspecified;
  const std::string* refused_account = nullptr;
};

// One journal entry and its accounts right after it.
struct Moved {
  uint64_t sequence = 0;
  Standing from;
  Standing to;
};

// How an order or a resolution ended.
struct Verdict {
  TransferOutcome::Code outcome = TransferOutcome::unspecified;
  TransferOutcome::Code failed_as = TransferOutcome::unspecified;
  std::string account;          // The one that a refusal speaks of.
  std::optional<uint32_t> leg;  // The one that was refused, if it was a leg.
  // What was done: now, or originally when it already_exists. Empty for a refusal.
  absl::InlinedVector<Moved, 1> moved;
};

// The work of one write. Apply thread; call Finish before the write returns.
class Posting {
 public:
  Posting(Tables& tables, state_machine::WriteContext& context);
  Posting(const Posting&) = delete;

  // Opens an account whose id is free.
  void Open(const std::string& id, const std::string& currency, int64_t overdraft,
            Metadata metadata);

  // A hint that an order of this id, between these accounts, follows soon.
  void LookAhead(const std::string& id, const std::string& from, const std::string& to) const;

  // Carries out all legs of an order, or none. A refusal that depends on the state burns the id.
  Verdict Execute(const Order& order);

  // Posts (`amount`, or all that is held) or voids the hold `id`.
  Verdict Resolve(const std::string& id, TransferKind::Code kind, std::optional<int64_t> amount);

  // Releases the hold `id` if it is still pending.
  void Expire(const std::string& id);

  // Keeps the numbers given out.
  void Finish();

 private:
  Verdict Repeat(const Order& order, const IdRow& seen);
  TransferOutcome::Code Compare(const Order& order, const IdRow& seen);
  TransferOutcome::Code CompareExchange(const Order& order, uint64_t sequence);
  bool IsAccount(const std::string& id, uint64_t number);
  void CarryOut(const Order& order, Verdict* verdict);
  TransferOutcome::Code MoveLeg(const Order& order, uint32_t leg, Verdict* verdict);
  void OpenMissing(const OrderLeg& leg);
  Moved Settle(const std::string& id, IdRow id_row, const TransferRow& hold,
               TransferKind::Code kind, int64_t amount);
  // One account of a journal entry: its row is read, changed and put back.
  struct Side {
    const std::string* id = nullptr;
    AccountTable::Handle handle;
    AccountRow row;
  };
  // False when there is no such account.
  bool Take(const std::string& id, Side* side);
  Moved Record(TransferRow&& row, Side&& from, Side&& to);
  void Update(Side&& side, uint64_t sequence);
  // An entry of the past with its accounts as they were right after it.
  Moved Recall(uint64_t sequence);
  Standing StandingAfter(uint64_t number, int64_t time_us, uint64_t sequence);
  const std::string& NameOf(uint64_t number);

  Tables& tables_;
  state_machine::WriteContext& context_;
  MetaRow stored_;
  MetaRow meta_;
};

}  // namespace holdfast::ledger
