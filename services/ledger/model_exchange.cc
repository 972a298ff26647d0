#include <limits>

#include "services/ledger/model.h"
#include "src/money/currencies.h"

namespace holdfast::ledger {
namespace {

__extension__ typedef __int128 Wide;
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

// Digits in a row, the least first, as on paper.
std::vector<int> DigitsOf(std::string text) {
  std::erase(text, '.');
  std::vector<int> digits;
  for (auto c = text.rbegin(); c != text.rend(); ++c) digits.push_back(*c - '0');
  return digits;
}

std::vector<int> Product(const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<int> product(a.size() + b.size(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < b.size(); ++j) {
      product[i + j] += a[i] * b[j];
      for (size_t k = i + j; product[k] > 9; ++k) {
        product[k + 1] += product[k] / 10;
        product[k] %= 10;
      }
    }
  }
  return product;
}

// amount * rate * (1 - spread), with the point moved by as many digits as the currencies differ;
// nullopt when it does not fit. All that is behind the point decides about rounding.
std::optional<int64_t> Exchanged(const CreateExchangeRequest& request, uint32_t from_digits,
                                 uint32_t to_digits) {
  const std::vector<int> product =
      Product(Product(DigitsOf(std::to_string(request.amount())), DigitsOf(request.rate())),
              DigitsOf(std::to_string(1'000'000 - request.spread_ppm())));
  const size_t point = request.rate().find('.');
  const size_t behind_point = point == std::string::npos ? 0 : request.rate().size() - point - 1;
  const size_t drop = behind_point + 6 + from_digits - to_digits;
  const auto digit = [&](size_t at) { return at < product.size() ? product[at] : 0; };
  bool more = false;  // Whether anything but 0 follows the first digit behind the point.
  for (size_t i = 0; i + 1 < drop; ++i) more = more || digit(i) != 0;
  const int first = digit(drop - 1);
  const bool odd = digit(drop) % 2 != 0;
  bool up = false;
  switch (request.rounding()) {
    case Rounding::half_up: up = first >= 5; break;
    case Rounding::half_down: up = first > 5 || (first == 5 && more); break;
    case Rounding::up:
    case Rounding::ceiling: up = first > 0 || more; break;
    case Rounding::down:
    case Rounding::floor: break;
    default: up = first > 5 || (first == 5 && (more || odd));
  }
  Wide whole = 0;
  for (size_t i = product.size(); i > drop; --i) {
    whole = whole * 10 + digit(i - 1);
    if (whole > kMost) return std::nullopt;
  }
  whole += up ? 1 : 0;
  if (whole > kMost) return std::nullopt;
  return static_cast<int64_t>(whole);
}

}  // namespace

TransferReply Model::CreateExchange(const CreateExchangeRequest& request) {
  Work work;
  work.id = request.id();
  work.kind = TransferKind::exchange;
  work.has_legs = true;
  work.exchange = request;
  if (request.rounding() == Rounding::unspecified) work.exchange->set_rounding(Rounding::half_even);
  work.metadata = {request.metadata().begin(), request.metadata().end()};
  TransferOutcome::Code refused = TransferOutcome::unspecified;
  std::string refused_account;
  int64_t converted = 1;
  const OpenAccount* from = FindAccount(request.from());
  const OpenAccount* to = FindAccount(request.to());
  if (from != nullptr && to != nullptr) {
    for (const OpenAccount* account : {to, from}) {  // The last word is that of `from`.
      if (money::MinorDigits(account->currency)) continue;
      refused = TransferOutcome::currency_unknown;
      refused_account = account->id;
    }
    if (refused == TransferOutcome::unspecified && from->currency == to->currency) {
      refused = TransferOutcome::same_currency;
      refused_account = to->id;
    }
    if (refused == TransferOutcome::unspecified) {
      const auto made = Exchanged(request, *money::MinorDigits(from->currency),
                                  *money::MinorDigits(to->currency));
      if (!made) refused = TransferOutcome::overflow;
      if (made && *made == 0) refused = TransferOutcome::amount_too_small;
      converted = made.value_or(0);
    }
  }
  work.legs = {{request.from(), request.from_liquidity(), request.amount()},
               {request.to_liquidity(), request.to(), converted}};
  return ReplyOf(Do(work, false, refused, refused_account), request.id(), true);
}

TransferOutcome::Code Model::CompareExchange(const CreateExchangeRequest& a,
                                             const CreateExchangeRequest& b) {
  if (a.from() != b.from()) return TransferOutcome::exists_with_different_from;
  if (a.to() != b.to()) return TransferOutcome::exists_with_different_to;
  if (a.amount() != b.amount()) return TransferOutcome::exists_with_different_amount;
  if (a.from_liquidity() != b.from_liquidity() || a.to_liquidity() != b.to_liquidity()) {
    return TransferOutcome::exists_with_different_liquidity;
  }
  if (a.rate() != b.rate()) return TransferOutcome::exists_with_different_rate;
  if (a.spread_ppm() != b.spread_ppm()) {
    return TransferOutcome::exists_with_different_spread_ppm;
  }
  if (a.rounding() != b.rounding()) return TransferOutcome::exists_with_different_rounding;
  return TransferOutcome::unspecified;
}

}  // namespace holdfast::ledger
