// Exchanges: what each answers, in which order of precedence, and that no minor unit is made or
// lost.
#include "services/ledger/exchange.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <random>

#include "services/ledger/testing.h"

namespace holdfast::ledger {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

// ann has 10.00 EUR, usa any amount of USD; the liquidity of both currencies is the desk's.
class ExchangeTest : public LedgerTest {
 protected:
  ExchangeTest() {
    node_.Open("desk-eur", kUnlimited);
    node_.Open("desk-usd", kUnlimited, "USD");
    node_.Open("ann-usd", 0, "USD");
    node_.Open("points", kUnlimited, "POINTS");
    node_.Open("yen", kUnlimited, "JPY");
    node_.Open("desk-yen", kUnlimited, "JPY");
  }

  static CreateExchangeRequest Of(const std::string& id, int64_t amount, const std::string& rate) {
    CreateExchangeRequest request;
    request.set_id(id);
    request.set_from("ann");
    request.set_from_liquidity("desk-eur");
    request.set_to_liquidity("desk-usd");
    request.set_to("ann-usd");
    request.set_amount(amount);
    request.set_rate(rate);
    return request;
  }
  TransferReply Exchange(const CreateExchangeRequest& request) {
    return node_.Write<TransferReply>("CreateExchange", request);
  }
};

TEST_F(ExchangeTest, MovesBothCurrenciesOverLiquidityAndRecordsTheTerms) {
  CreateExchangeRequest request = Of("x", 1'000, "1.0875");
  request.set_spread_ppm(2'500);
  (*request.mutable_metadata())["quote"] = "q7";
  const TransferReply reply = Exchange(request);
  EXPECT_EQ(Name(reply.outcome()), "created");
  EXPECT_EQ(Standing("ann"), "0 0 0 0");
  EXPECT_EQ(Standing("desk-eur"), "1000 " + std::to_string(kMax) + " 0 0");
  // 10.00 * 1.0875 * 0.9975 = 10.8478125
  EXPECT_EQ(Standing("ann-usd"), "1085 1085 0 0");
  EXPECT_EQ(node_.Get("desk-usd").balance(), -1'085);
  ASSERT_EQ(reply.legs_size(), 2);
  EXPECT_EQ(reply.legs(0).from().balance(), 0);
  EXPECT_EQ(reply.legs(1).to().balance(), 1'085);
  EXPECT_EQ(reply.legs(1).sequence(), reply.legs(0).sequence() + 1);

  const Transfer transfer = node_.GetTransfer("x");
  EXPECT_EQ(transfer.SerializeAsString(), reply.transfer().SerializeAsString());
  EXPECT_EQ(transfer.kind(), TransferKind::exchange);
  EXPECT_EQ(transfer.state(), TransferState::posted);
  ASSERT_EQ(transfer.legs_size(), 2);
  EXPECT_EQ(transfer.legs(0).to(), "desk-eur");
  EXPECT_EQ(transfer.legs(1).from(), "desk-usd");
  EXPECT_EQ(transfer.legs(1).amount(), 1'085);
  const ExchangeTerms& terms = transfer.exchange();
  EXPECT_EQ(terms.rate(), "1.0875");
  EXPECT_EQ(terms.spread_ppm(), 2'500u);
  EXPECT_EQ(terms.rounding(), Rounding::half_even);
  EXPECT_EQ(terms.amount(), 1'000);
  EXPECT_EQ(terms.currency(), "EUR");
  EXPECT_EQ(terms.converted(), 1'085);
  EXPECT_EQ(terms.converted_currency(), "USD");
  EXPECT_EQ(transfer.metadata().at("quote"), "q7");

  // In the journal: two entries, each of one currency, the terms at the first.
  ListTransfersRequest list;
  const auto page = node_.Read<ListTransfersReply>("ListTransfers", list);
  const Transfer& out = page->transfers(page->transfers_size() - 2);
  const Transfer& in = page->transfers(page->transfers_size() - 1);
  EXPECT_EQ(out.currency(), "EUR");
  EXPECT_EQ(out.exchange().DebugString(), terms.DebugString());
  EXPECT_EQ(in.currency(), "USD");
  EXPECT_EQ(in.leg(), 1u);
  EXPECT_FALSE(in.has_exchange());
}

TEST_F(ExchangeTest, ARepeatReturnsTheOriginalAndAnythingElseIsNamed) {
  CreateExchangeRequest request = Of("x", 100, "1.1");
  const TransferReply first = Exchange(request);
  EXPECT_EQ(Name(first.outcome()), "created");
  TransferReply again = Exchange(request);
  EXPECT_EQ(Name(again.outcome()), "already_exists");
  EXPECT_TRUE(again.duplicate());
  again.set_outcome(first.outcome());
  again.clear_duplicate();
  EXPECT_EQ(again.DebugString(), first.DebugString());
  const auto with = [&](auto change) {
    CreateExchangeRequest changed = request;
    change(changed);
    return Name(Exchange(changed).outcome());
  };
  EXPECT_EQ(with([](auto& r) { r.set_from("bob"); }), "exists_with_different_from");
  EXPECT_EQ(with([](auto& r) { r.set_to("usa"); }), "exists_with_different_to");
  EXPECT_EQ(with([](auto& r) { r.set_amount(101); }), "exists_with_different_amount");
  EXPECT_EQ(with([](auto& r) { r.set_from_liquidity("bank"); }), "exists_with_different_liquidity");
  EXPECT_EQ(with([](auto& r) { r.set_to_liquidity("usa"); }), "exists_with_different_liquidity");
  EXPECT_EQ(with([](auto& r) { r.set_rate("1.10"); }), "exists_with_different_rate");
  EXPECT_EQ(with([](auto& r) { r.set_spread_ppm(1); }), "exists_with_different_spread_ppm");
  EXPECT_EQ(with([](auto& r) { r.set_rounding(Rounding::up); }), "exists_with_different_rounding");
  EXPECT_EQ(with([](auto& r) { (*r.mutable_metadata())["k"] = "v"; }),
            "exists_with_different_metadata");
  EXPECT_EQ(Name(node_.Move("x", "bank", "ann", 1).outcome()), "exists_with_different_kind");
  EXPECT_EQ(Name(Transact("x", {{"bank", "ann", 1}}).outcome()), "exists_with_different_kind");
  CreateExchangeRequest spelled_out = request;
  spelled_out.set_rounding(Rounding::half_even);
  EXPECT_EQ(Name(Exchange(spelled_out).outcome()), "already_exists");
  EXPECT_EQ(Standing("ann-usd"), "110 110 0 0");
}

// Each row breaks one rule and every rule after it, as far as that is possible.
TEST_F(ExchangeTest, ExchangesAreRefusedInTheDocumentedOrder) {
  struct Row {
    const char* id;
    const char* from;
    const char* from_liquidity;
    const char* to_liquidity;
    const char* to;
    int64_t amount;
    const char* rate;
    const char* outcome;
    const char* account;
    int failed_leg;  // -1: none.
  };
  const Row rows[] = {
      {"a", "points", "points", "nobody", "points", kMax, "9", "same_account", "points", 0},
      {"b", "points", "nobody", "points", "points", kMax, "9", "same_account", "points", 1},
      {"c", "points", "nobody", "nobody", "bank", kMax, "9", "currency_unknown", "points", -1},
      {"d", "dora", "nobody", "nobody", "points", kMax, "9", "currency_unknown", "points", -1},
      {"e", "dora", "nobody", "nobody", "ann", kMax, "9", "same_currency", "ann", -1},
      {"f", "dora", "nobody", "nobody", "usa", kMax, "9", "overflow", "", -1},
      {"g", "dora", "nobody", "nobody", "usa", 1, "0.001", "amount_too_small", "", -1},
      {"h", "nobody", "desk-eur", "nobody", "usa", 1, "1", "account_not_found", "nobody", 0},
      {"i", "dora", "nobody", "nobody", "usa", 1, "1", "account_not_found", "nobody", 0},
      {"j", "dora", "desk-eur", "nobody", "usa", 1, "1", "account_closed", "dora", 0},
      {"k", "ann", "desk-usd", "nobody", "usa", kMax, "1", "currency_mismatch", "desk-usd", 0},
      {"l", "ann", "desk-eur", "nobody", "usa", kMax, "1", "insufficient_funds", "ann", 0},
      {"m", "ann", "desk-eur", "nobody", "usa", 1, "1", "account_not_found", "nobody", 1},
      {"n", "ann", "desk-eur", "desk-usd", "nobody", 1, "1", "account_not_found", "nobody", 1},
      {"o", "ann", "desk-eur", "desk-eur", "usa", 1, "1", "currency_mismatch", "usa", 1},
      {"p", "ann", "desk-eur", "ann-usd", "usa", 1, "1", "insufficient_funds", "ann-usd", 1},
  };
  for (const Row& row : rows) {
    CreateExchangeRequest request = Of(row.id, row.amount, row.rate);
    request.set_from(row.from);
    request.set_from_liquidity(row.from_liquidity);
    request.set_to_liquidity(row.to_liquidity);
    request.set_to(row.to);
    const TransferReply reply = Exchange(request);
    EXPECT_EQ(Name(reply.outcome()), row.outcome) << row.id;
    EXPECT_EQ(reply.account(), row.account) << row.id;
    EXPECT_EQ(reply.has_failed_leg() ? static_cast<int>(reply.failed_leg()) : -1, row.failed_leg)
        << row.id;
    // Refused for the state of the ledger: the id is burnt, and nothing of the first leg remains.
    if (row.id[0] <= 'b') continue;
    const TransferReply again = Exchange(Of(row.id, 1, "1"));
    EXPECT_EQ(Name(again.outcome()), "id_already_failed") << row.id;
    EXPECT_EQ(Name(again.failed_as()), row.outcome) << row.id;
  }
  EXPECT_EQ(Standing("ann"), "1000 1000 0 0");
  EXPECT_EQ(node_.Get("desk-eur").balance(), 0);
}

TEST_F(ExchangeTest, IsReversedAsAWhole) {
  Exchange(Of("x", 1'000, "1.0875"));
  EXPECT_EQ(Standing("ann-usd"), "1088 1088 0 0");  // 10.875, to the even one.
  const TransferReply back = node_.Reverse("x", "x-back");
  EXPECT_EQ(Name(back.outcome()), "created");
  EXPECT_EQ(Standing("ann"), "1000 1000 0 0");
  EXPECT_EQ(Standing("ann-usd"), "0 0 0 0");
  EXPECT_EQ(node_.Get("desk-usd").balance(), 0);
  EXPECT_EQ(node_.GetTransfer("x").reversed_by(), "x-back");
  EXPECT_EQ(Name(node_.Reverse("x", "again").outcome()), "already_reversed");
  // What has been spent does not come back, in either currency.
  Exchange(Of("y", 1'000, "1.0875"));
  node_.Move("spent", "ann-usd", "usa", 1);
  EXPECT_EQ(Name(node_.Reverse("y", "y-back").outcome()), "insufficient_funds");
  EXPECT_EQ(Standing("ann"), "0 0 0 0");
}

TEST_F(ExchangeTest, CurrenciesHaveTheirOwnMinorUnits) {
  CreateExchangeRequest request = Of("x", 1'000, "162.355");
  request.set_to_liquidity("desk-yen");
  request.set_to("yen");
  EXPECT_EQ(Exchange(request).transfer().exchange().converted(), 1'624);  // 1623.55
  request = Of("back", 1'624, "0.00616");
  request.set_from("yen");
  request.set_from_liquidity("desk-yen");
  request.set_to_liquidity("desk-eur");
  request.set_to("ann");
  EXPECT_EQ(Exchange(request).transfer().exchange().converted(), 1'000);  // 10.00384
}

TEST_F(ExchangeTest, RoundsAsItIsTold) {
  const std::pair<Rounding::Code, int64_t> modes[] = {
      {Rounding::unspecified, 2}, {Rounding::half_even, 2}, {Rounding::half_up, 3},
      {Rounding::half_down, 2},   {Rounding::up, 3},        {Rounding::down, 2},
      {Rounding::ceiling, 3},     {Rounding::floor, 2}};
  for (const auto& [mode, wanted] : modes) {
    CreateExchangeRequest request = Of(Rounding::Code_Name(mode), 1, "2.5");
    request.set_rounding(mode);
    EXPECT_EQ(Exchange(request).transfer().exchange().converted(), wanted)
        << Rounding::Code_Name(mode);
  }
}

TEST_F(ExchangeTest, TheGreatestAmountsAndRatesAreExact) {
  const auto made = [](int64_t amount, const std::string& rate, uint32_t spread_ppm = 0) {
    const Converted converted = Convert(amount, {rate, spread_ppm, Rounding::half_even}, 2, 2);
    return converted.refused == TransferOutcome::unspecified ? std::to_string(converted.amount)
                                                             : Name(converted.refused);
  };
  EXPECT_EQ(made(kMax, "1"), std::to_string(kMax));
  EXPECT_EQ(made(kMax, "1.0000000000000000001"), "overflow");
  EXPECT_EQ(made(kMax, "0.99999999999999999999"), std::to_string(kMax));
  EXPECT_EQ(made(kMax, "1", 1), "9223362813482738952");  // And 0.224193.
  EXPECT_EQ(made(1, std::string(38, '9'), 999'999), "overflow");
  EXPECT_EQ(made(1, "9223372036854775807"), std::to_string(kMax));
  EXPECT_EQ(made(1, "0." + std::string(36, '0') + "1"), "amount_too_small");
  EXPECT_EQ(made(1, "1", 999'999), "amount_too_small");
}

// Every exchange there and back again, at random: each currency adds up to nothing at all times.
TEST_F(ExchangeTest, NoMinorUnitIsMadeOrLost) {
  std::mt19937_64 random(5);
  const auto below = [&](uint64_t bound) { return random() % bound; };
  for (const char* account : {"ann", "desk-eur", "bank"}) {
    node_.Move(std::string("fund-") + account, account == std::string("bank") ? "desk-eur" : "bank",
               account, 5'000);
  }
  const char* accounts[][3] = {
      {"ann", "desk-eur", "bank"}, {"ann-usd", "desk-usd", "usa"}, {"yen", "desk-yen", "yen"}};
  int made = 0;
  for (int step = 0; step < 400; ++step) {
    const auto& out = accounts[below(3)];
    const auto& in = accounts[below(3)];
    CreateExchangeRequest request =
        Of("s" + std::to_string(step), 1 + static_cast<int64_t>(below(900)),
           std::to_string(below(3)) + "." + std::to_string(1 + below(99'999)));
    request.set_from(out[below(3)]);
    request.set_from_liquidity(out[below(3)]);
    request.set_to_liquidity(in[below(3)]);
    request.set_to(in[below(3)]);
    request.set_spread_ppm(static_cast<uint32_t>(below(20'000)));
    request.set_rounding(static_cast<Rounding::Code>(below(7)));
    made += Exchange(request).outcome() == TransferOutcome::created ? 1 : 0;
    std::map<std::string, int64_t> sums;
    const auto all = node_.Read<ListAccountsReply>("ListAccounts", ListAccountsRequest());
    for (const Account& account : all->accounts()) sums[account.currency()] += account.balance();
    for (const auto& [currency, sum] : sums) ASSERT_EQ(sum, 0) << currency << " step " << step;
    ASSERT_EQ(node_.Broken().value_or(""), "") << "step " << step;
  }
  EXPECT_GT(made, 50);
}

TEST_F(ExchangeTest, MalformedRequestsNameTheField) {
  const auto field = [&](auto change) {
    CreateExchangeRequest request = Of("x", 100, "1.1");
    change(request);
    const auto reply = node_.TryWrite<TransferReply>("CreateExchange", request);
    return reply ? "accepted" : reply.error().field;
  };
  EXPECT_EQ(field([](auto& r) { r.clear_id(); }), "id");
  EXPECT_EQ(field([](auto& r) { r.set_id("a\nb"); }), "id");
  EXPECT_EQ(field([](auto& r) { r.set_id(std::string(129, 'x')); }), "id");
  EXPECT_EQ(field([](auto& r) { r.clear_from(); }), "from");
  EXPECT_EQ(field([](auto& r) { r.set_from("\x7f"); }), "from");
  EXPECT_EQ(field([](auto& r) { r.clear_from_liquidity(); }), "from_liquidity");
  EXPECT_EQ(field([](auto& r) { r.set_from_liquidity("\x7f"); }), "from_liquidity");
  EXPECT_EQ(field([](auto& r) { r.clear_to_liquidity(); }), "to_liquidity");
  EXPECT_EQ(field([](auto& r) { r.set_to_liquidity("\x7f"); }), "to_liquidity");
  EXPECT_EQ(field([](auto& r) { r.clear_to(); }), "to");
  EXPECT_EQ(field([](auto& r) { r.set_to("\x7f"); }), "to");
  EXPECT_EQ(field([](auto& r) { r.set_amount(0); }), "amount");
  EXPECT_EQ(field([](auto& r) { r.set_amount(-1); }), "amount");
  for (const char* rate : {"", "0", "0.0", "-1", "1e3", "x", "1.", "+1", "01"}) {
    EXPECT_EQ(field([&](auto& r) { r.set_rate(rate); }), "rate") << rate;
  }
  EXPECT_EQ(field([](auto& r) { r.set_rate(std::string(41, '1')); }), "rate");
  EXPECT_EQ(field([](auto& r) { r.set_rate(std::string(39, '1')); }), "rate");
  EXPECT_EQ(field([](auto& r) { r.set_spread_ppm(1'000'000); }), "spread_ppm");
  EXPECT_EQ(field([](auto& r) { r.set_rounding(static_cast<Rounding::Code>(8)); }), "rounding");
  EXPECT_EQ(field([](auto& r) { (*r.mutable_metadata())[""] = "x"; }), "metadata");
  EXPECT_EQ(field([](auto&) {}), "accepted");
}

}  // namespace
}  // namespace holdfast::ledger
