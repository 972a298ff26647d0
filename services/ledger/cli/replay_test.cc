#include "services/ledger/cli/replay.h"

#include <gtest/gtest.h>

namespace holdfast::ledger {
namespace {

struct Balances {
  int64_t balance = 0;
  int64_t pending_in = 0;
  int64_t pending_out = 0;
};

Account Listed(const std::string& id, uint64_t last_sequence, Balances balances,
               const std::string& currency = "EUR") {
  Account account;
  account.set_id(id);
  account.set_currency(currency);
  account.set_balance(balances.balance);
  account.set_pending_in(balances.pending_in);
  account.set_pending_out(balances.pending_out);
  account.set_last_sequence(last_sequence);
  return account;
}

Transfer Entry(uint64_t sequence, TransferKind::Code kind, const std::string& id,
               const std::string& from, const std::string& to, int64_t amount,
               int64_t released = 0) {
  Transfer entry;
  entry.set_sequence(sequence);
  entry.set_kind(kind);
  entry.set_id(id);
  entry.set_from(from);
  entry.set_to(to);
  entry.set_amount(amount);
  entry.set_released(released);
  entry.set_currency("EUR");
  if (kind == TransferKind::reversal) entry.set_reversal_of("original");
  return entry;
}

// One of each kind: a transfer of 100, holds of 10 (posted 6), 20 (voided), 30 (expired) and 40
// (open), a transaction of two legs, a reversal.
std::vector<Transfer> Journal() {
  return {Entry(1, TransferKind::transfer, "t", "a", "b", 100),
          Entry(2, TransferKind::hold, "h1", "b", "c", 10),
          Entry(3, TransferKind::hold, "h2", "b", "c", 20),
          Entry(4, TransferKind::hold, "h3", "b", "c", 30),
          Entry(5, TransferKind::hold, "h4", "b", "c", 40),
          Entry(6, TransferKind::post, "h1", "b", "c", 6, 4),
          Entry(7, TransferKind::void_, "h2", "b", "c", 0, 20),
          Entry(8, TransferKind::expiry, "h3", "b", "c", 0, 30),
          Entry(9, TransferKind::transaction, "x", "c", "a", 2),
          Entry(10, TransferKind::transaction, "x", "a", "c", 1),
          Entry(11, TransferKind::reversal, "r", "b", "a", 100)};
}

std::vector<Account> Accounts() {
  return {Listed("a", 11, {-100 + 2 - 1 + 100, 0, 0}), Listed("b", 11, {100 - 6 - 100, 0, 40}),
          Listed("c", 10, {6 - 2 + 1, 40, 0}), Listed("idle", 0, {})};
}

Replay Verified(const std::vector<Account>& accounts, const std::vector<Transfer>& journal) {
  Replay replay;
  for (const Account& account : accounts) replay.List(account);
  for (const Transfer& entry : journal) {
    if (entry.sequence() <= replay.last_needed()) replay.Apply(entry);
  }
  replay.Finish();
  return replay;
}

// The first difference, or "OK".
std::string First(const Replay& replay) {
  return replay.differences() == 0 ? "OK" : replay.shown().front();
}

TEST(ReplayTest, ASoundLedgerIsOk) {
  const Replay replay = Verified(Accounts(), Journal());
  EXPECT_EQ(First(replay), "OK");
  EXPECT_EQ(replay.compared(), 4u);
  const Replay::Currency& euro = replay.currencies().at("EUR");
  EXPECT_EQ(euro.accounts, 4u);
  EXPECT_EQ(euro.entries, 11u);
  EXPECT_EQ(euro.debits, 100 + 6 + 2 + 1 + 100);
  EXPECT_EQ(euro.credits, euro.debits);
  EXPECT_EQ(euro.sum, 0);
  EXPECT_EQ(euro.pending_in, 40);
}

TEST(ReplayTest, AccountsMayBeListedAtDifferentMoments) {
  auto accounts = Accounts();
  accounts[0] = Listed("a", 1, {-100, 0, 0});
  accounts[2] = Listed("c", 6, {6, 90, 0});
  EXPECT_EQ(First(Verified(accounts, Journal())), "OK");
}

TEST(ReplayTest, EveryNumberOfEveryAccountIsCompared) {
  const size_t kAccounts = Accounts().size();
  for (size_t i = 0; i < kAccounts; ++i) {
    for (int number = 0; number < 3; ++number) {
      auto accounts = Accounts();
      Account& account = accounts[i];
      if (number == 0) account.set_balance(account.balance() + 1);
      if (number == 1) account.set_pending_in(account.pending_in() + 1);
      if (number == 2) account.set_pending_out(account.pending_out() + 1);
      const Replay replay = Verified(accounts, Journal());
      EXPECT_EQ(replay.differences(), 1u) << account.id() << number;
      EXPECT_NE(First(replay).find("account " + account.id()), std::string::npos) << First(replay);
    }
  }
}

TEST(ReplayTest, AnyAmountOfTheJournalThatIsChangedIsFound) {
  for (size_t i = 0; i < Journal().size(); ++i) {
    auto journal = Journal();
    journal[i].set_amount(journal[i].amount() + 1);
    EXPECT_GT(Verified(Accounts(), journal).differences(), 0u) << i;
  }
}

TEST(ReplayTest, AnyEntryThatIsMissingIsFound) {
  for (size_t i = 0; i < Journal().size(); ++i) {
    auto journal = Journal();
    journal.erase(journal.begin() + static_cast<ptrdiff_t>(i));
    EXPECT_GT(Verified(Accounts(), journal).differences(), 0u) << i;
  }
}

TEST(ReplayTest, SaysWhatIsWrong) {
  const auto with = [](size_t index, const Transfer& entry) {
    auto journal = Journal();
    journal[index] = entry;
    return First(Verified(Accounts(), journal));
  };
  EXPECT_EQ(with(0, Entry(1, TransferKind::transfer, "t", "a", "who", 100)),
            "entry 1 (t) speaks of account who, which is not listed");
  EXPECT_EQ(with(6, Entry(7, TransferKind::void_, "h1", "b", "c", 0, 20)),
            "entry 7 (h1) ends a hold that is not open");
  EXPECT_EQ(with(6, Entry(7, TransferKind::void_, "h2", "b", "c", 0, 19)),
            "entry 7 (h2) ends 19 from b to c, but held are 20 from b to c");
  EXPECT_EQ(with(0, Entry(1, TransferKind::unspecified, "t", "a", "b", 100)),
            "entry 1 (t) is no valid unspecified: amount 100, released 0, from a to b");
  EXPECT_EQ(with(4, Entry(6, TransferKind::hold, "h4", "b", "c", 40)),
            "after entry 4 comes entry 6 (h4)");

  auto accounts = Accounts();
  accounts[3] = Listed("idle", 3, {});
  EXPECT_EQ(First(Verified(accounts, Journal())),
            "account idle claims entry 3, which is not its own");
  accounts = Accounts();
  accounts[0].set_last_sequence(12);
  EXPECT_EQ(First(Verified(accounts, Journal())),
            "the journal ends with entry 11, but an account has 12");
  accounts = Accounts();
  accounts[2].set_currency("USD");
  EXPECT_NE(First(Verified(accounts, Journal())).find("is between accounts in EUR and USD"),
            std::string::npos);
}

TEST(ReplayTest, TooManyDifferencesAreCountedNotKept) {
  auto journal = Journal();
  Replay replay;
  for (uint64_t i = 1; i <= 1'000; ++i) {
    replay.Apply(Entry(i, TransferKind::transfer, "t", "nobody", "no one", 1));
  }
  EXPECT_GE(replay.differences(), 1'000u);
  EXPECT_LE(replay.shown().size(), 20u);
}

}  // namespace
}  // namespace holdfast::ledger
