// Accounts, batches, history and malformed requests.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "services/ledger/testing.h"
#include "src/base/bounds.h"

namespace holdfast::ledger {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

google::protobuf::Timestamp TimeOf(int64_t us) {
  google::protobuf::Timestamp time;
  time.set_seconds(us / kSecond);
  time.set_nanos(static_cast<int32_t>(us % kSecond) * 1'000);
  return time;
}

// --- Accounts

TEST_F(LedgerTest, AnAccountIsOpenedOnce) {
  CreateAccountRequest request;
  request.set_id("c");
  request.set_currency("EUR");
  request.set_overdraft(5);
  (*request.mutable_metadata())["k"] = "v";
  auto create = [&] { return Name(node_.Write<AccountReply>("CreateAccount", request).outcome()); };
  EXPECT_EQ(create(), "created");
  EXPECT_EQ(create(), "already_exists");
  request.clear_metadata();
  EXPECT_EQ(create(), "exists_with_different_metadata");
  request.set_overdraft(6);
  EXPECT_EQ(create(), "exists_with_different_overdraft");
  request.set_currency("USD");
  EXPECT_EQ(create(), "exists_with_different_currency");
}

TEST_F(LedgerTest, AnAccountClosesOnlyWhenEmpty) {
  ReopenAccountRequest reopen;
  reopen.set_id("dora");
  auto reopened = [&] {
    return Name(node_.Write<AccountReply>("ReopenAccount", reopen).outcome());
  };
  EXPECT_EQ(Name(node_.Close("nobody").outcome()), "account_not_found");
  EXPECT_EQ(Name(node_.Close("dora").outcome()), "already_closed");
  EXPECT_EQ(Name(node_.Close("ann").outcome()), "account_has_balance");
  node_.Hold("h", "ann", "bob", 1);
  EXPECT_EQ(Name(node_.Close("ann").outcome()), "account_has_holds");
  EXPECT_EQ(Name(node_.Close("bob").outcome()), "account_has_holds");
  node_.Void("h");
  EXPECT_EQ(Name(node_.Close("bob").outcome()), "closed");
  EXPECT_EQ(Name(node_.Move("t", "ann", "bob", 1).outcome()), "account_closed");
  EXPECT_EQ(reopened(), "reopened");
  EXPECT_EQ(reopened(), "already_open");
  EXPECT_EQ(Name(node_.Move("t2", "ann", "dora", 1).outcome()), "created");
  reopen.set_id("nobody");
  EXPECT_EQ(reopened(), "account_not_found");
}

// --- Batches

TEST_F(LedgerTest, ABatchGivesEachItsOwnOutcome) {
  CreateTransfersRequest batch;
  *batch.add_transfers() = TestNode::TransferOf("t1", "ann", "bob", 100);
  *batch.add_transfers() = TestNode::TransferOf("t2", "ann", "nobody", 100);
  *batch.add_transfers() = TestNode::TransferOf("t3", "bob", "ann", 30);
  *batch.add_transfers() = TestNode::TransferOf("t1", "ann", "bob", 100);
  const auto reply = node_.Write<CreateTransfersReply>("CreateTransfers", batch);
  ASSERT_EQ(reply.results_size(), 4);
  EXPECT_EQ(Name(reply.results(0).outcome()), "created");
  EXPECT_EQ(reply.results(0).to().balance(), 100);
  EXPECT_EQ(Name(reply.results(1).outcome()), "account_not_found");
  EXPECT_EQ(reply.results(1).account(), "nobody");
  EXPECT_EQ(reply.results(2).sequence(), 3u);
  EXPECT_EQ(reply.results(2).from().balance(), 70);
  EXPECT_EQ(Name(reply.results(3).outcome()), "already_exists");
  EXPECT_EQ(reply.results(3).sequence(), 2u);
  EXPECT_EQ(reply.results(3).to().balance(), 100);

  CreateAccountsRequest accounts;
  for (const char* id : {"n1", "ann", "n2"}) {
    accounts.add_accounts()->set_id(id);
    accounts.mutable_accounts()->rbegin()->set_currency("USD");
  }
  const auto opened = node_.Write<CreateAccountsReply>("CreateAccounts", accounts);
  EXPECT_EQ(Name(opened.results(0).outcome()), "created");
  EXPECT_EQ(Name(opened.results(1).outcome()), "exists_with_different_currency");
  EXPECT_EQ(Name(opened.results(2).outcome()), "created");
}

TEST_F(LedgerTest, TheLargestBatchFitsItsReply) {
  CreateTransfersRequest batch;
  for (int i = 0; i < 8'192; ++i) {
    *batch.add_transfers() = TestNode::TransferOf(std::to_string(i), "bank", "bob", kMax >> 14);
  }
  const auto reply = node_.Write<CreateTransfersReply>("CreateTransfers", batch);
  EXPECT_EQ(Name(reply.results(8'191).outcome()), "created");
  EXPECT_LT(reply.ByteSizeLong(), bounds::kReplyBytesMax / 2);
}

// --- History

TEST_F(LedgerTest, EveryPastBalanceCanBeRead) {
  std::vector<std::pair<int64_t, std::string>> past;  // After which time, what was so.
  auto note = [&] { past.emplace_back(node_.now_us(), Standing("ann")); };
  note();
  node_.Move("t1", "ann", "bob", 100), note();
  node_.Hold("h1", "ann", "bob", 200), note();
  node_.Hold("h2", "ann", "bob", 300, 5), note();
  node_.Post("h1", 50), note();
  node_.Tick(6 * kSecond), note();
  EXPECT_EQ(past.back().second, "850 850 0 0");
  for (const auto& [when, standing] : past) {
    GetAccountRequest request;
    request.set_id("ann");
    *request.mutable_at() = TimeOf(when);
    const auto account = node_.Read<Account>("GetAccount", request);
    ASSERT_TRUE(account.has_value());
    EXPECT_EQ(std::to_string(account->balance()) + " " + std::to_string(account->available()) +
                  " " + std::to_string(account->pending_in()) + " " +
                  std::to_string(account->pending_out()),
              standing);
  }
  GetAccountRequest request;
  request.set_id("ann");
  *request.mutable_at() = TimeOf(kEpoch);
  EXPECT_EQ(node_.Read<Account>("GetAccount", request).error().code, ErrorCode::kNotFound);
}

TEST_F(LedgerTest, ListsGoPageByPage) {
  for (int i = 0; i < 10; ++i) node_.Move("t" + std::to_string(i), "ann", "bob", 1);
  node_.Move("other", "bank", "bob", 1);
  ListTransfersRequest all;
  all.set_limit(5);
  std::vector<uint64_t> sequences;
  for (;;) {
    const auto page = node_.Read<ListTransfersReply>("ListTransfers", all);
    ASSERT_TRUE(page.has_value());
    for (const auto& transfer : page->transfers()) sequences.push_back(transfer.sequence());
    if (page->next_cursor().empty()) break;
    EXPECT_EQ(page->transfers_size(), 5);
    all.set_cursor(page->next_cursor());
  }
  EXPECT_EQ(sequences.size(), 12u);
  EXPECT_TRUE(std::is_sorted(sequences.begin(), sequences.end()));

  ListAccountTransfersRequest mine;
  mine.set_id("ann");
  mine.set_limit(4);
  *mine.mutable_from() = node_.GetTransfer("t1").time();
  *mine.mutable_to() = node_.GetTransfer("t8").time();
  std::vector<std::string> ids;
  int64_t balance = 999;
  for (;;) {
    const auto page = node_.Read<ListAccountTransfersReply>("ListAccountTransfers", mine);
    ASSERT_TRUE(page.has_value());
    for (const auto& row : page->transfers()) {
      ids.push_back(row.transfer().id());
      EXPECT_EQ(row.after().balance(), --balance);
    }
    if (page->next_cursor().empty()) break;
    mine.set_cursor(page->next_cursor());
  }
  EXPECT_EQ(ids, (std::vector<std::string>{"t1", "t2", "t3", "t4", "t5", "t6", "t7"}));

  ListAccountsRequest accounts;
  accounts.set_limit(3);
  auto page = node_.Read<ListAccountsReply>("ListAccounts", accounts);
  ASSERT_EQ(page->accounts_size(), 3);
  EXPECT_EQ(page->accounts(0).id(), "bank");
  accounts.set_cursor(page->next_cursor());
  page = node_.Read<ListAccountsReply>("ListAccounts", accounts);
  ASSERT_EQ(page->accounts_size(), 2);
  EXPECT_TRUE(page->accounts(0).closed());
  EXPECT_TRUE(page->next_cursor().empty());
}

TEST_F(LedgerTest, APageStopsBeforeItOutgrowsAReply) {
  for (int i = 0; i < 1'000; ++i) {
    CreateAccountRequest request;
    request.set_id("big" + std::to_string(i));
    request.set_currency("EUR");
    for (int k = 0; k < 16; ++k) {
      (*request.mutable_metadata())[std::string(63, 'k') + static_cast<char>('a' + k)] =
          std::string(256, 'v');
    }
    node_.Write<AccountReply>("CreateAccount", request);
  }
  ListAccountsRequest request;
  request.set_limit(1'000);
  const auto page = node_.Read<ListAccountsReply>("ListAccounts", request);
  EXPECT_LT(page->ByteSizeLong(), bounds::kReplyBytesMax);
  EXPECT_LT(page->accounts_size(), 1'000);
  EXPECT_FALSE(page->next_cursor().empty());
}

// --- Preconditions

TEST_F(LedgerTest, WhatMustBeSoOfAnAccountIsChecked) {
  const auto check = [&](const std::string& id, std::optional<int64_t> at_least) {
    CheckAccountRequest request;
    request.set_id(id);
    if (at_least) request.set_at_least(*at_least);
    request.set_absent(!at_least);
    const auto reply = node_.Write<CheckAccountReply>("CheckAccount", request);
    return CheckOutcome::Code_Name(reply.outcome()) + " " + std::to_string(reply.balance());
  };
  EXPECT_EQ(check("ann", 1'000), "valid 1000");
  EXPECT_EQ(check("ann", 1'001), "insufficient_funds 1000");
  node_.Hold("h", "ann", "bob", 400);
  EXPECT_EQ(check("ann", 1'000), "valid 1000") << "what is posted, held or not";
  EXPECT_EQ(check("bank", -1'000), "valid -1000");
  EXPECT_EQ(check("bank", -999), "insufficient_funds -1000");
  EXPECT_EQ(check("nobody", 0), "account_not_found 0");
  EXPECT_EQ(check("nobody", std::nullopt), "valid 0");
  EXPECT_EQ(check("ann", std::nullopt), "account_exists 1000");
}

// --- Malformed requests

TEST_F(LedgerTest, MalformedRequestsNameTheField) {
  const auto good = TestNode::TransferOf("t", "ann", "bob", 1);
  auto field = [&](auto change) {
    auto request = good;
    change(request);
    const auto reply = node_.TryWrite<TransferReply>("CreateTransfer", request);
    return reply ? "accepted" : reply.error().field;
  };
  EXPECT_EQ(field([](auto& r) { r.clear_id(); }), "id");
  EXPECT_EQ(field([](auto& r) { r.set_id(std::string(129, 'x')); }), "id");
  EXPECT_EQ(field([](auto& r) { r.set_id("a\nb"); }), "id");
  EXPECT_EQ(field([](auto& r) { r.set_id("a\xc2\x85"); }), "id");
  EXPECT_EQ(field([](auto& r) { r.clear_from(); }), "from");
  EXPECT_EQ(field([](auto& r) { r.set_to("a\x7f"); }), "to");
  EXPECT_EQ(field([](auto& r) { r.set_amount(0); }), "amount");
  EXPECT_EQ(field([](auto& r) { r.set_amount(-1); }), "amount");
  EXPECT_EQ(field([](auto& r) { r.set_timeout_seconds(1); }), "timeout_seconds");
  EXPECT_EQ(field([](auto& r) { (*r.mutable_metadata())[""] = "x"; }), "metadata");
  EXPECT_EQ(field([](auto& r) { (*r.mutable_metadata())["k"] = std::string(257, 'x'); }),
            "metadata");
  EXPECT_EQ(field([](auto& r) {
              for (int i = 0; i < 17; ++i) (*r.mutable_metadata())[std::to_string(i)] = "x";
            }),
            "metadata");
  EXPECT_EQ(field([](auto& r) { r.set_id("\xc3\xa9t\xc3\xa9 \xf0\x9f\x92\xb6"); }), "accepted");

  CreateTransfersRequest batch;
  for (int i = 0; i < 3; ++i) *batch.add_transfers() = good;
  batch.mutable_transfers(2)->set_amount(-5);
  EXPECT_EQ(node_.TryWrite<CreateTransfersReply>("CreateTransfers", batch).error().field,
            "transfers[2].amount");
  batch.mutable_transfers(1)->set_to("b\tc");
  batch.mutable_transfers(2)->set_amount(5);
  EXPECT_EQ(node_.TryWrite<CreateTransfersReply>("CreateTransfers", batch).error().field,
            "transfers[1].to");
  batch.clear_transfers();
  EXPECT_EQ(node_.TryWrite<CreateTransfersReply>("CreateTransfers", batch).error().field,
            "transfers");
  for (int i = 0; i < 8'193; ++i) *batch.add_transfers() = good;
  EXPECT_EQ(node_.TryWrite<CreateTransfersReply>("CreateTransfers", batch).error().field,
            "transfers");

  CreateAccountRequest account;
  account.set_id("new");
  for (const char* currency : {"", "EU", "eur", "E-R", "ABCDEFGHIJKLM"}) {
    account.set_currency(currency);
    EXPECT_EQ(node_.TryWrite<AccountReply>("CreateAccount", account).error().field, "currency");
  }
  account.set_currency("EUR");
  account.set_overdraft(-1);
  EXPECT_EQ(node_.TryWrite<AccountReply>("CreateAccount", account).error().field, "overdraft");

  PostTransferRequest post;
  post.set_id("t");
  post.set_amount(0);
  EXPECT_EQ(node_.TryWrite<TransferReply>("PostTransfer", post).error().field, "amount");
  ReverseTransferRequest reverse;
  reverse.set_id("t");
  reverse.set_reversal_id("t");
  EXPECT_EQ(node_.TryWrite<TransferReply>("ReverseTransfer", reverse).error().field, "reversal_id");
  CheckAccountRequest check;
  EXPECT_EQ(node_.TryWrite<CheckAccountReply>("CheckAccount", check).error().field, "id");
  check.set_id("ann");
  EXPECT_EQ(node_.TryWrite<CheckAccountReply>("CheckAccount", check).error().field, "at_least");
  check.set_at_least(0);
  check.set_absent(true);
  EXPECT_EQ(node_.TryWrite<CheckAccountReply>("CheckAccount", check).error().field, "absent");
}

TEST_F(LedgerTest, MalformedReadsNameTheField) {
  ListTransfersRequest list;
  for (const char* cursor :
       {"x", "t", "t0", "t01", "tG", "t1 ", "T1", "a1", "t-1", "t11111111111111111"}) {
    list.set_cursor(cursor);
    EXPECT_EQ(node_.Read<ListTransfersReply>("ListTransfers", list).error().field, "cursor")
        << cursor;
  }
  list.clear_cursor();
  list.set_limit(1'001);
  EXPECT_EQ(node_.Read<ListTransfersReply>("ListTransfers", list).error().field, "limit");
  ListAccountTransfersRequest mine;
  mine.set_id("bob");
  mine.set_cursor("h1");  // An entry of others.
  EXPECT_EQ(node_.Read<ListAccountTransfersReply>("ListAccountTransfers", mine).error().field,
            "cursor");
  mine.clear_cursor();
  mine.mutable_from()->set_nanos(-1);
  EXPECT_EQ(node_.Read<ListAccountTransfersReply>("ListAccountTransfers", mine).error().field,
            "from");
  GetTransferRequest get;
  get.set_id("nothing");
  EXPECT_EQ(node_.Read<Transfer>("GetTransfer", get).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace holdfast::ledger
