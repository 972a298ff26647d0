#include "services/ledger/exchange.h"

#include "services/ledger/ledger.h"
#include "src/base/check.h"
#include "src/money/currencies.h"
#include "src/money/decimal.h"

namespace holdfast::ledger {
namespace {

constexpr uint32_t kMillion = 1'000'000;
constexpr uint32_t kMillionDigits = 6;

}  // namespace

Converted Convert(int64_t amount, const ExchangeRow& terms, uint32_t from_digits,
                  uint32_t to_digits) {
  money::Decimal rate;
  const auto bad = money::ParseDecimal(terms.rate, &rate);
  HOLDFAST_CHECK(!bad && amount > 0 && terms.spread_ppm < kMillion,
                 "terms of an exchange passed validation and should not have");
  const money::Wide numerator = money::Wide(static_cast<uint64_t>(amount)) * rate.digits *
                                money::Wide(kMillion - terms.spread_ppm) *
                                money::Wide::PowerOfTen(to_digits);
  const money::Wide denominator =
      money::Wide::PowerOfTen(rate.scale + kMillionDigits + from_digits);
  const auto whole = money::Divide(numerator, denominator, false, terms.rounding).value.AsInt64();
  if (!whole) return {TransferOutcome::overflow, 0};
  if (*whole == 0) return {TransferOutcome::amount_too_small, 0};
  return {TransferOutcome::unspecified, *whole};
}

Result<void> Ledger::CreateExchange(const CreateExchangeRequest& request, WriteContext& context,
                                    TransferReply* reply) {
  const ExchangeRow terms{request.rate(), request.spread_ppm(),
                          money::OrHalfEven(request.rounding())};
  Order order;
  order.id = &request.id();
  order.kind = TransferKind::exchange;
  order.is_transaction = true;
  order.metadata = &request.metadata();
  order.exchange = &terms;
  OrderLeg legs[] = {{&request.from(), &request.from_liquidity(), request.amount()},
                     {&request.to_liquidity(), &request.to(), 0}};
  order.legs = legs;
  // An account that is missing is for the legs to tell: then nothing is converted.
  const auto from = tables_.accounts.Get(request.from());
  const auto to = tables_.accounts.Get(request.to());
  const auto refuse = [&order](TransferOutcome::Code outcome, const std::string* account) {
    order.refused = outcome;
    order.refused_account = account;
  };
  legs[1].amount = 1;
  if (from && to) {
    const auto from_digits = money::MinorDigits(from->currency);
    const auto to_digits = money::MinorDigits(to->currency);
    if (!from_digits) {
      refuse(TransferOutcome::currency_unknown, &request.from());
    } else if (!to_digits) {
      refuse(TransferOutcome::currency_unknown, &request.to());
    } else if (from->currency == to->currency) {
      refuse(TransferOutcome::same_currency, &request.to());
    } else {
      const Converted converted = Convert(request.amount(), terms, *from_digits, *to_digits);
      order.refused = converted.refused;
      legs[1].amount = converted.amount;
    }
  }
  Posting posting(tables_, context);
  const Verdict verdict = posting.Execute(order);
  posting.Finish();
  ReplyLegs(order, verdict, context.now(), reply);
  return {};
}

}  // namespace holdfast::ledger
