// Transfers, holds, transactions, reversals and payments: what each answers, and in which order of
// precedence.

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "services/ledger/testing.h"
#include "src/base/bounds.h"

namespace holdfast::ledger {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST_F(LedgerTest, MovesAnAmountBetweenTwoAccounts) {
  const TransferReply reply = node_.Move("t", "ann", "bob", 300);
  EXPECT_EQ(Name(reply.outcome()), "created");
  EXPECT_EQ(reply.from().account(), "ann");
  EXPECT_EQ(reply.from().balance(), 700);
  EXPECT_EQ(reply.to().balance(), 300);
  EXPECT_EQ(reply.transfer().sequence(), 2u);
  EXPECT_EQ(reply.transfer().state(), TransferState::posted);
  EXPECT_EQ(reply.transfer().currency(), "EUR");
  EXPECT_EQ(Standing("ann"), "700 700 0 0");
  EXPECT_EQ(Standing("bob"), "300 300 0 0");
  EXPECT_EQ(node_.GetTransfer("t").SerializeAsString(), reply.transfer().SerializeAsString());
}

TEST_F(LedgerTest, ARepeatReturnsTheOriginalWithItsBalances) {
  const TransferReply first = node_.Move("t", "ann", "bob", 300);
  node_.Move("later", "bob", "ann", 50);
  TransferReply again = node_.Move("t", "ann", "bob", 300);
  EXPECT_EQ(Name(again.outcome()), "already_exists");
  EXPECT_TRUE(again.duplicate());
  again.set_outcome(first.outcome());
  again.clear_duplicate();
  EXPECT_EQ(again.DebugString(), first.DebugString());
  EXPECT_EQ(Standing("bob"), "250 250 0 0");
}

// Each row breaks one rule and every rule after it, so that it shows the order of precedence.
TEST_F(LedgerTest, TransfersAreRefusedInTheDocumentedOrder) {
  node_.Hold("full-in", "bank", "bob", kMax - 10);
  node_.Move("taken", "bank", "ann", 5);
  node_.Move("burnt", "ann", "nobody", 5);
  struct Row {
    const char* id;
    const char* from;
    const char* to;
    int64_t amount;
    const char* outcome;
    const char* account;
  };
  const Row rows[] = {
      {"taken", "nobody", "nobody", kMax, "same_account", "nobody"},
      {"burnt", "dora", "nobody", kMax, "id_already_failed", ""},
      {"taken", "nobody", "dora", kMax, "exists_with_different_from", ""},
      {"taken", "bank", "dora", kMax, "exists_with_different_to", ""},
      {"taken", "bank", "ann", kMax, "exists_with_different_amount", ""},
      {"taken", "bank", "ann", 5, "already_exists", ""},
      {"new-1", "nobody", "nowhere", kMax, "account_not_found", "nobody"},
      {"new-2", "dora", "nowhere", kMax, "account_not_found", "nowhere"},
      {"new-3", "dora", "usa", kMax, "account_closed", "dora"},
      {"new-4", "usa", "dora", kMax, "account_closed", "dora"},
      {"new-5", "ann", "usa", kMax, "currency_mismatch", "usa"},
      {"new-6", "ann", "bob", kMax, "insufficient_funds", "ann"},
      {"new-7", "bank", "bob", kMax, "overflow", ""},
      {"new-8", "bank", "bob", 10, "created", ""},
  };
  for (const Row& row : rows) {
    const TransferReply reply = node_.Move(row.id, row.from, row.to, row.amount);
    EXPECT_EQ(Name(reply.outcome()), row.outcome) << row.id;
    EXPECT_EQ(reply.account(), row.account) << row.id;
  }
}

TEST_F(LedgerTest, ARepeatIsComparedFieldByField) {
  auto original = TestNode::TransferOf("h", "ann", "bob", 5);
  original.set_pending(true);
  original.set_timeout_seconds(60);
  (*original.mutable_metadata())["order"] = "1";
  node_.Write<TransferReply>("CreateTransfer", original);
  auto with = [&](auto change) {
    auto request = original;
    change(request);
    return Name(node_.Write<TransferReply>("CreateTransfer", request).outcome());
  };
  EXPECT_EQ(with([](auto&) {}), "already_exists");
  EXPECT_EQ(with([](auto& r) { r.set_pending(false), r.set_timeout_seconds(0); }),
            "exists_with_different_pending");
  EXPECT_EQ(with([](auto& r) { r.set_timeout_seconds(61), r.clear_metadata(); }),
            "exists_with_different_timeout_seconds");
  EXPECT_EQ(with([](auto& r) { r.clear_metadata(); }), "exists_with_different_metadata");
  EXPECT_EQ(with([](auto& r) { (*r.mutable_metadata())["order"] = "2"; }),
            "exists_with_different_metadata");
  EXPECT_EQ(Name(Transact("h", {{"ann", "bob", 5}}).outcome()), "exists_with_different_kind");
  EXPECT_EQ(Name(node_.Reverse("salary", "h").outcome()), "exists_with_different_kind");
}

TEST_F(LedgerTest, AFailedIdNeverSucceedsLater) {
  EXPECT_EQ(Name(node_.Move("t", "bob", "ann", 10).outcome()), "insufficient_funds");
  node_.Move("funds", "ann", "bob", 100);
  const TransferReply again = node_.Move("t", "bob", "ann", 10);
  EXPECT_EQ(Name(again.outcome()), "id_already_failed");
  EXPECT_EQ(Name(again.failed_as()), "insufficient_funds");
  EXPECT_EQ(Name(node_.Move("t", "ann", "bob", 1).outcome()), "id_already_failed");
  EXPECT_EQ(Name(Pay("t", "new", "newer", 1).outcome()), "id_already_failed");
  EXPECT_EQ(node_.GetTransfer("t").state(), TransferState::failed);
  EXPECT_EQ(Name(node_.GetTransfer("t").failure()), "insufficient_funds");
  // What the request alone is to blame for leaves the id free.
  EXPECT_EQ(Name(node_.Move("u", "ann", "ann", 10).outcome()), "same_account");
  EXPECT_EQ(Name(node_.Move("u", "ann", "bob", 10).outcome()), "created");
}

TEST_F(LedgerTest, OverdraftIsALimit) {
  node_.Open("credit", 100);
  EXPECT_EQ(Standing("credit"), "0 100 0 0");
  EXPECT_EQ(Name(node_.Move("t1", "credit", "bob", 101).outcome()), "insufficient_funds");
  EXPECT_EQ(Name(node_.Move("t2", "credit", "bob", 100).outcome()), "created");
  EXPECT_EQ(Standing("credit"), "-100 0 0 0");
  EXPECT_EQ(Name(node_.Move("t3", "credit", "bob", 1).outcome()), "insufficient_funds");
}

TEST_F(LedgerTest, BalancesReachTheEndsOf64BitsAndNoFurther) {
  node_.Open("sink");
  EXPECT_EQ(Name(node_.Move("t1", "usa", "sink", 1).outcome()), "currency_mismatch");
  EXPECT_EQ(Name(node_.Move("t2", "bank", "sink", kMax - 1'000).outcome()), "created");
  EXPECT_EQ(node_.Get("bank").balance(), -kMax);
  EXPECT_EQ(Name(node_.Move("t3", "bank", "bob", 2).outcome()), "overflow");
  EXPECT_EQ(Name(node_.Move("t4", "bank", "bob", 1).outcome()), "created");
  EXPECT_EQ(node_.Get("bank").balance(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(node_.Get("bank").available(), -1);
  EXPECT_EQ(Name(node_.Move("t5", "ann", "sink", 1'000).outcome()), "created");
  EXPECT_EQ(node_.Get("sink").balance(), kMax);
  EXPECT_EQ(Name(node_.Hold("t6", "bob", "sink", 1).outcome()), "overflow");
}

// --- Holds

TEST_F(LedgerTest, AHoldReservesAndAPostMoves) {
  EXPECT_EQ(Name(node_.Hold("h", "ann", "bob", 400).outcome()), "created");
  EXPECT_EQ(Standing("ann"), "1000 600 0 400");
  EXPECT_EQ(Standing("bob"), "0 0 400 0");
  EXPECT_EQ(Name(node_.Move("t", "ann", "bob", 601).outcome()), "insufficient_funds");
  const TransferReply posted = node_.Post("h", 250);
  EXPECT_EQ(Name(posted.outcome()), "posted");
  EXPECT_EQ(posted.from().balance(), 750);
  EXPECT_EQ(posted.transfer().amount(), 400);
  EXPECT_EQ(posted.transfer().posted_amount(), 250);
  EXPECT_EQ(posted.transfer().released(), 150);
  EXPECT_EQ(Standing("ann"), "750 750 0 0");
  EXPECT_EQ(Standing("bob"), "250 250 0 0");
}

TEST_F(LedgerTest, AHoldEndsOnce) {
  node_.Hold("p", "ann", "bob", 100);
  EXPECT_EQ(Name(node_.Post("p", 101).outcome()), "exceeds_held_amount");
  EXPECT_EQ(Name(node_.Post("p", 60).outcome()), "posted");
  EXPECT_EQ(Name(node_.Post("p", 60).outcome()), "already_exists");
  EXPECT_EQ(Name(node_.Post("p").outcome()), "hold_already_posted");
  EXPECT_EQ(Name(node_.Void("p").outcome()), "hold_already_posted");

  node_.Hold("v", "ann", "bob", 100);
  EXPECT_EQ(Name(node_.Void("v").outcome()), "voided");
  EXPECT_EQ(Name(node_.Void("v").outcome()), "already_exists");
  EXPECT_EQ(Name(node_.Post("v").outcome()), "hold_already_voided");
  EXPECT_EQ(Standing("ann"), "940 940 0 0");

  EXPECT_EQ(Name(node_.Post("salary").outcome()), "hold_not_found");
  EXPECT_EQ(Name(node_.Post("nothing").outcome()), "hold_not_found");
  EXPECT_EQ(Name(node_.Hold("x", "bob", "ann", 1'000).outcome()), "insufficient_funds");
  EXPECT_EQ(Name(node_.Void("x").outcome()), "hold_not_found");
}

TEST_F(LedgerTest, AHoldExpiresByLogTime) {
  node_.Hold("h", "ann", "bob", 400, 60);
  node_.Tick(59 * kSecond);
  EXPECT_EQ(Standing("ann"), "1000 600 0 400");
  EXPECT_EQ(node_.machine().NextTimer(), LogTime{kEpoch + 60 * kSecond + 8'000});
  node_.Tick(kSecond);
  EXPECT_EQ(Standing("ann"), "1000 1000 0 0");
  EXPECT_EQ(Name(node_.Post("h").outcome()), "hold_expired");
  EXPECT_EQ(Name(node_.Void("h").outcome()), "hold_expired");
  EXPECT_EQ(node_.GetTransfer("h").state(), TransferState::expired);
  EXPECT_EQ(node_.GetTransfer("h").released(), 400);
}

TEST_F(LedgerTest, APostedHoldDoesNotExpire) {
  node_.Hold("h", "ann", "bob", 400, 60);
  EXPECT_EQ(Name(node_.Post("h").outcome()), "posted");
  node_.Tick(61 * kSecond);
  EXPECT_EQ(Standing("ann"), "600 600 0 0");
  EXPECT_EQ(Name(node_.Post("h").outcome()), "already_exists");
}

TEST(LedgerTimers, AHoldThatHasEndedLeavesNoTimer) {
  auto disk = std::make_shared<store::MemoryDisk>();
  TestNode node(disk);
  node.Open("bank", kMax);
  node.Open("ann");
  node.Hold("p", "bank", "ann", 1, 60);
  node.Hold("v", "bank", "ann", 1, 60);
  node.Post("p");
  node.Void("v");
  node.Checkpoint();
  EXPECT_EQ(TestNode(disk).machine().NextTimer(), std::nullopt);
}

TEST_F(LedgerTest, AHoldIsExpiredEvenWhileItsTimerWaitsItsTurn) {
  CreateTransfersRequest holds;
  const int count = static_cast<int>(bounds::kTimersPerEntryMax) + 1;
  for (int i = 0; i < count; ++i) {
    auto* hold = holds.add_transfers();
    *hold = TestNode::TransferOf("h" + std::to_string(100'000 + i), "bank", "bob", 1);
    hold->set_pending(true);
    hold->set_timeout_seconds(60);
  }
  node_.Write<CreateTransfersReply>("CreateTransfers", holds);
  const std::string last = holds.transfers(count - 1).id();
  node_.Pass(60 * kSecond);
  // This entry fires all timers that fit into one: all but the last hold's.
  EXPECT_EQ(Name(node_.Post(last).outcome()), "hold_expired");
  EXPECT_EQ(node_.GetTransfer(last).state(), TransferState::expired);
  EXPECT_EQ(Standing("bob"), "0 0 1 0");
  node_.Tick(1'000);
  EXPECT_EQ(Standing("bob"), "0 0 0 0");
}

// --- Transactions and reversals

TEST_F(LedgerTest, ATransactionMovesAllLegsInOrder) {
  node_.Open("carl");
  // bob has nothing before the first leg.
  const TransferReply reply = Transact("x", {{"ann", "bob", 100}, {"bob", "carl", 70}});
  EXPECT_EQ(Name(reply.outcome()), "created");
  ASSERT_EQ(reply.legs_size(), 2);
  EXPECT_EQ(reply.legs(0).to().balance(), 100);
  EXPECT_EQ(reply.legs(1).from().balance(), 30);
  EXPECT_EQ(reply.legs(1).sequence(), 3u);
  EXPECT_EQ(reply.transfer().legs_size(), 2);
  TransferReply again = Transact("x", {{"ann", "bob", 100}, {"bob", "carl", 70}});
  EXPECT_EQ(Name(again.outcome()), "already_exists");
  EXPECT_EQ(again.legs(1).DebugString(), reply.legs(1).DebugString());
  EXPECT_EQ(Name(Transact("x", {{"ann", "bob", 100}}).outcome()), "exists_with_different_legs");
  EXPECT_EQ(Name(Transact("x", {{"ann", "bob", 100}, {"bob", "carl", 71}}).outcome()),
            "exists_with_different_legs");
}

TEST_F(LedgerTest, ATransactionThatFailsMovesNothing) {
  const TransferReply reply =
      Transact("x", {{"ann", "bob", 100}, {"bob", "ann", 40}, {"bob", "ann", 61}});
  EXPECT_EQ(Name(reply.outcome()), "insufficient_funds");
  EXPECT_EQ(reply.failed_leg(), 2u);
  EXPECT_EQ(reply.account(), "bob");
  EXPECT_EQ(Standing("ann"), "1000 1000 0 0");
  EXPECT_EQ(node_.Get("bob").last_sequence(), 0u);
  EXPECT_EQ(Name(Transact("x", {{"ann", "bob", 100}}).outcome()), "id_already_failed");
  EXPECT_EQ(node_.Move("next", "ann", "bob", 1).transfer().sequence(), 2u) << "a gap";
  const TransferReply same = Transact("y", {{"nobody", "bob", 100}, {"ann", "ann", 40}});
  EXPECT_EQ(Name(same.outcome()), "same_account");
  EXPECT_EQ(same.failed_leg(), 1u);
}

TEST_F(LedgerTest, AReversalGivesBackOnce) {
  node_.Move("t", "ann", "bob", 300);
  const TransferReply reversed = node_.Reverse("t", "r");
  EXPECT_EQ(Name(reversed.outcome()), "created");
  EXPECT_EQ(reversed.transfer().reversal_of(), "t");
  EXPECT_EQ(reversed.transfer().from(), "bob");
  EXPECT_EQ(reversed.to().balance(), 1'000);
  EXPECT_EQ(node_.GetTransfer("t").reversed_by(), "r");
  EXPECT_EQ(Name(node_.Reverse("t", "r").outcome()), "already_exists");
  EXPECT_EQ(Name(node_.Reverse("t", "r2").outcome()), "already_reversed");
  EXPECT_EQ(Name(node_.Reverse("t", "r2").outcome()), "id_already_failed");
  EXPECT_EQ(Name(node_.Reverse("salary", "r").outcome()), "exists_with_different_reversal_of");
  EXPECT_EQ(Name(node_.Reverse("nothing", "r3").outcome()), "transfer_not_found");
  node_.Move("nothing", "ann", "bob", 1);
  EXPECT_EQ(Name(node_.Reverse("nothing", "r3").outcome()), "id_already_failed");
}

TEST_F(LedgerTest, OnlyWhatIsPostedCanBeReversed) {
  node_.Hold("h", "ann", "bob", 300);
  EXPECT_EQ(Name(node_.Reverse("h", "r1").outcome()), "transfer_not_posted");
  node_.Post("h", 200);
  EXPECT_EQ(Name(node_.Reverse("h", "r2").outcome()), "created");
  EXPECT_EQ(node_.GetTransfer("r2").amount(), 200);
  EXPECT_EQ(Standing("ann"), "1000 1000 0 0");
  node_.Hold("v", "ann", "bob", 300);
  node_.Void("v");
  EXPECT_EQ(Name(node_.Reverse("v", "r3").outcome()), "transfer_not_posted");
  // What has been spent cannot be given back.
  node_.Move("t", "ann", "bob", 100);
  node_.Move("spent", "bob", "bank", 100);
  const TransferReply refused = node_.Reverse("t", "r4");
  EXPECT_EQ(Name(refused.outcome()), "insufficient_funds");
  EXPECT_EQ(refused.account(), "bob");
}

TEST_F(LedgerTest, AReversedTransactionGoesBackwards) {
  node_.Open("carl");
  Transact("x", {{"ann", "bob", 100}, {"bob", "carl", 100}});
  const TransferReply reversed = node_.Reverse("x", "r");
  EXPECT_EQ(Name(reversed.outcome()), "created");
  ASSERT_EQ(reversed.transfer().legs_size(), 2);
  EXPECT_EQ(reversed.transfer().legs(0).from(), "carl");
  EXPECT_EQ(Standing("ann"), "1000 1000 0 0");
  EXPECT_EQ(Standing("carl"), "0 0 0 0");
}

// --- Payments

TEST_F(LedgerTest, APaymentOpensWhatIsMissing) {
  EXPECT_EQ(Name(Pay("p1", "x", "y", 250).outcome()), "created");
  EXPECT_EQ(node_.Get("x").balance(), -250);
  EXPECT_EQ(node_.Get("x").currency(), "XXX");
  EXPECT_EQ(node_.Get("x").overdraft(), kMax);
  const TransferReply again = Pay("p1", "x", "y", 250);
  EXPECT_EQ(Name(again.outcome()), "already_exists");
  EXPECT_TRUE(again.duplicate());
  EXPECT_EQ(again.transfer().amount(), 250);
  EXPECT_EQ(Name(Pay("p1", "x", "y", 251).outcome()), "exists_with_different_amount");
  EXPECT_EQ(Name(node_.Move("p1", "x", "y", 250).outcome()), "already_exists");
  // The other side of a known account shares its currency.
  EXPECT_EQ(Name(Pay("p2", "ann", "z", 250).outcome()), "created");
  EXPECT_EQ(node_.Get("z").currency(), "EUR");
}

TEST_F(LedgerTest, APaymentThatFailsOpensNothing) {
  EXPECT_EQ(Name(Pay("p", "bob", "new", 1).outcome()), "insufficient_funds");
  GetAccountRequest request;
  request.set_id("new");
  EXPECT_FALSE(node_.Read<Account>("GetAccount", request).has_value());
  EXPECT_EQ(Name(Pay("q", "newer", "newer", 1).outcome()), "same_account");
}

}  // namespace
}  // namespace holdfast::ledger
