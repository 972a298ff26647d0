#include "services/convert/convert.h"

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "src/base/bounds.h"
#include "src/money/currencies.h"
#include "src/money/decimal.h"
#include "src/state_machine/registry.h"

namespace holdfast::convert {
namespace {

using money::Decimal;
using money::Wide;

Error Refuse(const std::string& field, const std::string& reason) {
  return InvalidArgument(field, reason);
}

Result<uint32_t> DigitsOf(const std::string& field, const std::string& currency) {
  if (const auto digits = money::MinorDigits(currency)) return *digits;
  return Fail(Refuse(field, "'" + currency + "' is no currency of ISO 4217 that has a minor unit"));
}

Result<Decimal> AmountOf(const ConvertRequest& request, uint32_t digits) {
  Decimal amount;
  if (auto bad = money::ParseDecimal(request.amount(), &amount)) {
    return Fail(Refuse("amount", *bad));
  }
  if (amount.scale > digits) {
    return Fail(Refuse("amount", "must have at most " + std::to_string(digits) +
                                     " digits after the point, as " + request.from() +
                                     " has, has " + std::to_string(amount.scale)));
  }
  return amount;
}

Result<Decimal> RateOf(const std::string& field, const std::string& text) {
  Decimal rate;
  if (auto bad = money::ParseDecimal(text, &rate)) return Fail(Refuse(field, *bad));
  if (rate.negative || rate.digits.is_zero()) return Fail(Refuse(field, "must be greater than 0"));
  return rate;
}

// What one of `from` is in `to`: a fraction of whole numbers.
struct Ratio {
  Wide numerator = 1;
  Wide denominator = 1;
};

Result<Ratio> Through(const ConvertRequest& request) {
  if (request.base().empty()) return Fail(Refuse("base", "is required, as there are rates"));
  if (auto known = DigitsOf("base", request.base()); !known) return Fail(known.error());
  // All of them are looked at, by name: every node finds the same fault first.
  std::map<std::string, Decimal> rates;
  for (const auto& [currency, text] :
       std::map<std::string, std::string>(request.rates().begin(), request.rates().end())) {
    const std::string field = "rates." + currency;
    if (!money::MinorDigits(currency)) {
      return Fail(Refuse("rates", "names what is no currency of ISO 4217 that has a minor unit"));
    }
    if (currency == request.base()) {
      return Fail(Refuse(field, "of the base itself is 1; leave it out"));
    }
    auto rate = RateOf(field, text);
    if (!rate) return Fail(rate.error());
    rates.emplace(currency, *rate);
  }
  rates.emplace(request.base(), Decimal{Wide(1), 0, false});
  for (const std::string& currency : {request.from(), request.to()}) {
    if (!rates.contains(currency)) {
      return Fail(Refuse("rates", "must have one for " + currency + ", or that must be the base"));
    }
  }
  const Decimal& from = rates.at(request.from());
  const Decimal& to = rates.at(request.to());
  return Ratio{to.digits * Wide::PowerOfTen(from.scale), from.digits * Wide::PowerOfTen(to.scale)};
}

Result<Ratio> RatioOf(const ConvertRequest& request) {
  if (!request.rate().empty() && !request.rates().empty()) {
    return Fail(Refuse("rates", "goes not with rate"));
  }
  if (!request.base().empty() && request.rates().empty()) {
    return Fail(Refuse("base", "goes only with rates"));
  }
  if (!request.rates().empty()) return Through(request);
  if (request.from() == request.to()) {
    if (request.rate().empty()) return Ratio();
    return Fail(Refuse("rate", "of a currency to itself is 1; leave it out"));
  }
  if (request.rate().empty()) return Fail(Refuse("rate", "is required, or base and rates"));
  const auto rate = RateOf("rate", request.rate());
  if (!rate) return Fail(rate.error());
  return Ratio{rate->digits, Wide::PowerOfTen(rate->scale)};
}

bool IsTooLong(const Wide& value) {
  return !(value < Wide::PowerOfTen(static_cast<uint32_t>(bounds::kDecimalDigitsMax)));
}

Error TooLong(const std::string& what) {
  return Refuse("amount", "is too large: " + what + " has more than " +
                              std::to_string(bounds::kDecimalDigitsMax) + " digits");
}

}  // namespace

Result<void> Converter::Convert(const ConvertRequest& request, ConvertReply* reply) const {
  const auto from_digits = DigitsOf("from", request.from());
  if (!from_digits) return Fail(from_digits.error());
  const auto to_digits = DigitsOf("to", request.to());
  if (!to_digits) return Fail(to_digits.error());
  const auto amount = AmountOf(request, *from_digits);
  if (!amount) return Fail(amount.error());
  if (!Rounding::Code_IsValid(request.rounding())) {
    return Fail(Refuse("rounding",
                       "must be half_even, half_up, half_down, up, down, ceiling or "
                       "floor"));
  }
  const auto ratio = RatioOf(request);
  if (!ratio) return Fail(ratio.error());

  const Wide minor = amount->digits * Wide::PowerOfTen(*from_digits - amount->scale);
  if (IsTooLong(minor)) return Fail(TooLong("in minor units it"));
  const Rounding::Code rounding = money::OrHalfEven(request.rounding());
  const money::Rounded converted = money::Divide(
      minor * ratio->numerator * Wide::PowerOfTen(*to_digits),
      ratio->denominator * Wide::PowerOfTen(*from_digits), amount->negative, rounding);
  if (IsTooLong(converted.value)) return Fail(TooLong("the result"));
  reply->set_from(request.from());
  reply->set_to(request.to());
  reply->set_amount(money::DecimalText(minor, *from_digits, amount->negative));
  reply->set_converted(money::DecimalText(converted.value, *to_digits, amount->negative));
  reply->set_amount_minor(money::DecimalText(minor, 0, amount->negative));
  reply->set_converted_minor(money::DecimalText(converted.value, 0, amount->negative));
  reply->set_rounding(rounding);
  reply->set_exact(converted.exact);
  return {};
}

void Register(state_machine::Registry& registry) {
  registry.Add("holdfast.convert.Convert", std::make_unique<Converter>())
      .Stateless("Convert", &Converter::Convert);
}

}  // namespace holdfast::convert
