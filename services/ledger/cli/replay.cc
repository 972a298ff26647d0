#include "services/ledger/cli/replay.h"

#include <algorithm>

namespace holdfast::ledger {
namespace {

using cli::Grouped;
using cli::Wide;

constexpr size_t kShownMax = 20;

std::string Name(const Transfer& entry) {
  return "entry " + Grouped(entry.sequence()) + " (" + entry.id() + ")";
}

std::string Is(const char* what, Wide recomputed, int64_t listed) {
  return std::string(what) + " " + Grouped(listed) + ", by the journal " + Grouped(recomputed);
}

}  // namespace

void Replay::Differ(std::string what) {
  ++differences_;
  if (shown_.size() < kShownMax) shown_.push_back(std::move(what));
}

void Replay::List(const Account& account) {
  const auto [place, added] = accounts_.try_emplace(account.id());
  if (!added) return Differ("account " + account.id() + " is listed twice");
  State& state = place->second;
  state.currency = account.currency();
  state.listed_balance = account.balance();
  state.listed_pending_in = account.pending_in();
  state.listed_pending_out = account.pending_out();
  state.last_sequence = account.last_sequence();
  ++currencies_[state.currency].accounts;
  last_needed_ = std::max(last_needed_, state.last_sequence);
  if (state.last_sequence > 0) return;
  state.compared = true;
  ++compared_;
  if (account.balance() != 0 || account.pending_in() != 0 || account.pending_out() != 0) {
    Differ("account " + account.id() + " has no journal entry, but a balance or pending sums");
  }
}

Replay::State* Replay::Find(const Transfer& entry, const std::string& id) {
  const auto found = accounts_.find(id);
  if (found != accounts_.end()) return &found->second;
  Differ(Name(entry) + " speaks of account " + id + ", which is not listed");
  return nullptr;
}

void Replay::Apply(const Transfer& entry) {
  if (entry.sequence() != last_applied_ + 1) {
    Differ("after entry " + Grouped(last_applied_) + " comes " + Name(entry));
  }
  last_applied_ = entry.sequence();
  if (!CheckShape(entry)) return;
  State* from = Find(entry, entry.from());
  State* to = Find(entry, entry.to());
  if (from == nullptr || to == nullptr) return;
  if (from->currency != entry.currency() || to->currency != entry.currency()) {
    Differ(Name(entry) + " in " + entry.currency() + " is between accounts in " + from->currency +
           " and " + to->currency);
  }
  CheckHold(entry);
  Move(entry, *from, *to);
  CompareIfDue(entry, entry.from(), *from);
  CompareIfDue(entry, entry.to(), *to);
}

bool Replay::CheckShape(const Transfer& entry) {
  bool good = entry.from() != entry.to();
  switch (entry.kind()) {
    case TransferKind::transfer:
    case TransferKind::transaction:
    case TransferKind::reversal:
    case TransferKind::exchange:
    case TransferKind::hold: good = good && entry.amount() > 0 && entry.released() == 0; break;
    case TransferKind::post: good = good && entry.amount() > 0 && entry.released() >= 0; break;
    case TransferKind::void_:
    case TransferKind::expiry: good = good && entry.amount() == 0 && entry.released() > 0; break;
    default: good = false;
  }
  if (good && entry.kind() == TransferKind::reversal) good = !entry.reversal_of().empty();
  if (!good) {
    Differ(Name(entry) + " is no valid " + TransferKind::Code_Name(entry.kind()) + ": amount " +
           Grouped(entry.amount()) + ", released " + Grouped(entry.released()) + ", from " +
           entry.from() + " to " + entry.to());
  }
  return good;
}

void Replay::CheckHold(const Transfer& entry) {
  if (entry.kind() == TransferKind::hold) {
    const Hold hold{entry.from(), entry.to(), entry.amount()};
    if (!holds_.emplace(entry.id(), hold).second) Differ(Name(entry) + " holds twice");
    return;
  }
  const bool ends = entry.kind() == TransferKind::post || entry.kind() == TransferKind::void_ ||
                    entry.kind() == TransferKind::expiry;
  if (!ends) return;
  const auto found = holds_.find(entry.id());
  if (found == holds_.end()) return Differ(Name(entry) + " ends a hold that is not open");
  const Hold& hold = found->second;
  const Wide ended = Wide{entry.amount()} + entry.released();
  if (hold.from != entry.from() || hold.to != entry.to() || hold.amount != ended) {
    Differ(Name(entry) + " ends " + Grouped(ended) + " from " + entry.from() + " to " + entry.to() +
           ", but held are " + Grouped(hold.amount) + " from " + hold.from + " to " + hold.to);
  }
  holds_.erase(found);
}

void Replay::Move(const Transfer& entry, State& from, State& to) {
  Currency& debited = currencies_[from.currency];
  Currency& credited = currencies_[to.currency];
  ++currencies_[entry.currency()].entries;
  if (entry.kind() == TransferKind::hold) {
    from.pending_out += entry.amount();
    to.pending_in += entry.amount();
    return;
  }
  const bool ends = entry.kind() == TransferKind::post || entry.kind() == TransferKind::void_ ||
                    entry.kind() == TransferKind::expiry;
  if (ends) {
    from.pending_out -= Wide{entry.amount()} + entry.released();
    to.pending_in -= Wide{entry.amount()} + entry.released();
  }
  from.balance -= entry.amount();
  to.balance += entry.amount();
  debited.debits += entry.amount();
  credited.credits += entry.amount();
}

void Replay::CompareIfDue(const Transfer& entry, const std::string& id, State& state) {
  if (state.last_sequence != entry.sequence() || state.compared) return;
  state.compared = true;
  ++compared_;
  std::string wrong;
  const auto compare = [&wrong](const char* what, Wide recomputed, int64_t listed) {
    if (recomputed == listed) return;
    wrong += (wrong.empty() ? "" : "; ") + Is(what, recomputed, listed);
  };
  compare("balance", state.balance, state.listed_balance);
  compare("pending_in", state.pending_in, state.listed_pending_in);
  compare("pending_out", state.pending_out, state.listed_pending_out);
  if (!wrong.empty()) Differ("account " + id + " after " + Name(entry) + ": " + wrong);
}

void Replay::Finish() {
  if (last_applied_ < last_needed_) {
    Differ("the journal ends with entry " + Grouped(last_applied_) + ", but an account has " +
           Grouped(last_needed_));
  }
  std::vector<std::string> missing;  // Sorted: the table above has no order.
  for (const auto& [id, state] : accounts_) {
    Currency& currency = currencies_[state.currency];
    currency.sum += state.balance;
    currency.pending_in += state.pending_in;
    currency.pending_out += state.pending_out;
    if (!state.compared) missing.push_back(id);
  }
  std::sort(missing.begin(), missing.end());
  for (const std::string& id : missing) {
    Differ("account " + id + " claims entry " + Grouped(accounts_.at(id).last_sequence) +
           ", which is not its own");
  }
  for (const auto& [name, currency] : currencies_) {
    if (currency.debits != currency.credits) {
      Differ(name + ": debits " + Grouped(currency.debits) + ", credits " +
             Grouped(currency.credits));
    }
    if (currency.sum != 0) Differ(name + ": the balances sum up to " + Grouped(currency.sum));
    if (currency.pending_in != currency.pending_out) {
      Differ(name + ": pending in " + Grouped(currency.pending_in) + ", pending out " +
             Grouped(currency.pending_out));
    }
  }
}

}  // namespace holdfast::ledger
