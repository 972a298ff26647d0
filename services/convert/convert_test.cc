// Conversions by example, against arithmetic as on paper, and malformed requests.
#include "services/convert/convert.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "src/base/bounds.h"
#include "src/money/currencies.h"
#include "src/money/decimal.h"
#include "src/state_machine/testing/service_fixture.h"

namespace holdfast::convert {

void Register(state_machine::Registry& registry);

namespace {

ConvertRequest Ask(const std::string& from, const std::string& to, const std::string& amount,
                   const std::string& rate, Rounding::Code rounding = Rounding::unspecified) {
  ConvertRequest request;
  request.set_from(from);
  request.set_to(to);
  request.set_amount(amount);
  request.set_rate(rate);
  request.set_rounding(rounding);
  return request;
}

class ConvertTest : public state_machine::testing::ServiceFixture {
 protected:
  ConvertTest() : ServiceFixture({&convert::Register}) {}

  Result<ConvertReply> Convert(const ConvertRequest& request) {
    const state_machine::Method& method = MethodOf("convert.Convert");
    if (Result<void> valid = method.validate(request); !valid) return Fail(valid.error());
    ConvertReply reply;
    if (Result<void> done = method.stateless(request, &reply); !done) return Fail(done.error());
    return reply;
  }
  // What it gives, or "field: reason".
  std::string Converted(const ConvertRequest& request) {
    const auto reply = Convert(request);
    return reply ? reply->converted() : reply.error().field + ": " + reply.error().message;
  }
  std::string Refused(const ConvertRequest& request) {
    const auto reply = Convert(request);
    return reply ? "fine: " + reply->converted() : reply.error().field;
  }
};

TEST_F(ConvertTest, TheExampleOfThePage) {
  const auto reply = Convert(Ask("USD", "INR", "100.00", "83.1250"));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->from(), "USD");
  EXPECT_EQ(reply->to(), "INR");
  EXPECT_EQ(reply->amount(), "100.00");
  EXPECT_EQ(reply->converted(), "8312.50");
  EXPECT_EQ(reply->amount_minor(), "10000");
  EXPECT_EQ(reply->converted_minor(), "831250");
  EXPECT_TRUE(reply->exact());
  EXPECT_EQ(reply->rounding(), Rounding::half_even);
  // The same call, the same bytes.
  EXPECT_EQ(Convert(Ask("USD", "INR", "100.00", "83.1250"))->SerializeAsString(),
            reply->SerializeAsString());
}

TEST_F(ConvertTest, AmountsHaveTheDigitsOfTheirCurrency) {
  EXPECT_EQ(Converted(Ask("USD", "JPY", "1", "151.37")), "151");
  EXPECT_EQ(Converted(Ask("JPY", "USD", "1000", "0.0066")), "6.60");
  EXPECT_EQ(Converted(Ask("KWD", "EUR", "1.001", "3")), "3.00");
  EXPECT_EQ(Converted(Ask("EUR", "KWD", "3", "0.333")), "0.999");
  EXPECT_EQ(Converted(Ask("CLF", "CLP", "0.0001", "37000")), "4");
  EXPECT_EQ(Converted(Ask("USD", "USD", "1.5", "")), "1.50");
  EXPECT_EQ(Converted(Ask("USD", "EUR", "-0.00", "0.5")), "0.00") << "nothing has no sign";
  EXPECT_EQ(Converted(Ask("USD", "EUR", "-0.01", "0.2")), "0.00");
}

TEST_F(ConvertTest, EachModeRoundsAsItSays) {
  struct Case {
    const char* rate;  // Of 1.00 USD in JPY: what is to be rounded to a whole number.
    const char* even;
    const char* half_up;
    const char* half_down;
    const char* up;
    const char* down;
    const char* ceiling;
    const char* floor;
  };
  const Case cases[] = {
      {"1.4", "1", "1", "1", "2", "1", "2", "1"},     {"1.5", "2", "2", "1", "2", "1", "2", "1"},
      {"1.6", "2", "2", "2", "2", "1", "2", "1"},     {"2.5", "2", "3", "2", "3", "2", "3", "2"},
      {"2.50001", "3", "3", "3", "3", "2", "3", "2"}, {"0.5", "0", "1", "0", "1", "0", "1", "0"},
      {"3.0", "3", "3", "3", "3", "3", "3", "3"},
  };
  for (const Case& c : cases) {
    const std::pair<Rounding::Code, const char*> modes[] = {
        {Rounding::half_even, c.even},      {Rounding::half_up, c.half_up},
        {Rounding::half_down, c.half_down}, {Rounding::up, c.up},
        {Rounding::down, c.down},           {Rounding::ceiling, c.ceiling},
        {Rounding::floor, c.floor}};
    for (const auto& [mode, wanted] : modes) {
      const std::string name = Rounding::Code_Name(mode) + " of " + c.rate;
      EXPECT_EQ(Converted(Ask("USD", "JPY", "1.00", c.rate, mode)), wanted) << name;
      // Below 0 ceiling and floor change places, and nothing else does.
      const Rounding::Code mirrored = mode == Rounding::ceiling ? Rounding::floor
                                      : mode == Rounding::floor ? Rounding::ceiling
                                                                : mode;
      const std::string negative = std::string(wanted) == "0" ? "0" : std::string("-") + wanted;
      EXPECT_EQ(Converted(Ask("USD", "JPY", "-1.00", c.rate, mirrored)), negative) << name;
    }
  }
}

TEST_F(ConvertTest, ACrossGoesThroughTheBaseAndIsRoundedOnce) {
  ConvertRequest request = Ask("INR", "JPY", "100.00", "");
  request.set_base("USD");
  (*request.mutable_rates())["INR"] = "83.1250";
  (*request.mutable_rates())["JPY"] = "151.20";
  EXPECT_EQ(Converted(request), "182");  // 181.8947...
  EXPECT_FALSE(Convert(request)->exact());
  request.set_from("USD");
  EXPECT_EQ(Converted(request), "15120");
  request.set_from("JPY");
  request.set_to("USD");
  request.set_amount("100");
  EXPECT_EQ(Converted(request), "0.66");  // 0.6613...
  // Rounded on the way it would be 0.33 * 3 = 0.99.
  request = Ask("EUR", "GBP", "1.00", "");
  request.set_base("USD");
  (*request.mutable_rates())["EUR"] = "3";
  (*request.mutable_rates())["GBP"] = "3";
  EXPECT_EQ(Converted(request), "1.00");
  EXPECT_TRUE(Convert(request)->exact());
  request.set_to("EUR");
  EXPECT_EQ(Converted(request), "1.00");
}

TEST_F(ConvertTest, TheGreatestNumbersAreExactAndNoneIsCut) {
  const std::string longest(36, '9');
  EXPECT_EQ(Converted(Ask("USD", "EUR", longest + ".99", "1")), longest + ".99");
  EXPECT_EQ(Converted(Ask("USD", "JPY", longest + ".99", "1")), "1" + std::string(36, '0'));
  EXPECT_EQ(Converted(Ask("USD", "EUR", longest + ".99", "2")),
            "amount: is too large: the result has more than 38 digits");
  EXPECT_EQ(Converted(Ask("JPY", "USD", std::string(38, '9'), "1")),
            "amount: is too large: the result has more than 38 digits");
  EXPECT_EQ(Converted(Ask("USD", "JPY", std::string(38, '9'), "1")),
            "amount: is too large: in minor units it has more than 38 digits");
  EXPECT_EQ(Refused(Ask("JPY", "JPY", std::string(39, '9'), "")), "amount");
  // All that can be multiplied at once: 118 digits.
  ConvertRequest request = Ask("CLF", "UYW", std::string(34, '9') + ".9999", "");
  request.set_base("USD");
  (*request.mutable_rates())["CLF"] = "0." + std::string(36, '0') + "1";
  (*request.mutable_rates())["UYW"] = std::string(38, '9');
  EXPECT_EQ(Refused(request), "amount");
  (*request.mutable_rates())["UYW"] = "0." + std::string(36, '0') + "1";
  EXPECT_EQ(Converted(request), std::string(34, '9') + ".9999");
}

// --- Against arithmetic as on paper: digits in a row, the least first.
using Paper = std::vector<int>;

Paper PaperOf(const std::string& digits) {
  Paper paper;
  for (auto it = digits.rbegin(); it != digits.rend(); ++it) {
    if (*it != '.' && *it != '-') paper.push_back(*it - '0');
  }
  return paper;
}
Paper Trimmed(Paper a) {
  while (!a.empty() && a.back() == 0) a.pop_back();
  return a;
}
Paper Times(const Paper& a, const Paper& b) {
  Paper product(a.size() + b.size() + 1, 0);
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < b.size(); ++j) product[i + j] += a[i] * b[j];
  }
  for (size_t i = 0; i + 1 < product.size(); ++i) {
    product[i + 1] += product[i] / 10;
    product[i] %= 10;
  }
  return Trimmed(product);
}
Paper TenTo(size_t exponent) {
  Paper power(exponent, 0);
  power.push_back(1);
  return power;
}
Paper Plus(Paper a, const Paper& b) {
  a.resize(std::max(a.size(), b.size()) + 1, 0);
  for (size_t i = 0; i < b.size(); ++i) a[i] += b[i];
  for (size_t i = 0; i + 1 < a.size(); ++i) {
    a[i + 1] += a[i] / 10;
    a[i] %= 10;
  }
  return Trimmed(a);
}
// Of trimmed ones: -1, 0, 1.
int Order(const Paper& a, const Paper& b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  for (size_t i = a.size(); i-- > 0;) {
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return 0;
}
size_t ScaleOf(const std::string& text) {
  const size_t point = text.find('.');
  return point == std::string::npos ? 0 : text.size() - point - 1;
}

// A result is right when it lies where its mode says, measured by multiplication alone: with
// result = q, it is q * denominator beside the numerator.
TEST_F(ConvertTest, AgreesWithArithmeticAsOnPaper) {
  std::mt19937_64 random(11);
  const auto below = [&](uint64_t bound) { return random() % bound; };
  const auto decimal = [&](size_t whole, size_t part) {
    std::string text = std::to_string(1 + below(9));
    for (size_t i = 1; i < whole; ++i) text += static_cast<char>('0' + below(10));
    if (part > 0) text += '.';
    for (size_t i = 0; i < part; ++i) text += static_cast<char>('0' + below(10));
    return text;
  };
  const char* currencies[] = {"USD", "EUR", "JPY", "KWD", "CLF", "INR"};
  int exact = 0, halves = 0;
  for (int step = 0; step < 5'000; ++step) {
    const std::string from = currencies[below(6)], to = currencies[below(6)];
    if (from == to) continue;
    const size_t from_digits = *money::MinorDigits(from), to_digits = *money::MinorDigits(to);
    const bool small = below(2) == 0;  // Small numbers meet in the middle.
    ConvertRequest request =
        Ask(from, to, decimal(1 + below(small ? 2 : 14), below(from_digits + 1)), "",
            static_cast<Rounding::Code>(below(8)));
    Paper numerator, denominator;
    if (below(2) == 0) {
      request.set_rate(decimal(1, below(small ? 4 : 20)));
      numerator = PaperOf(request.rate());
      denominator = TenTo(ScaleOf(request.rate()));
    } else {
      const std::string rate_from = small ? std::to_string(1 + below(8)) : decimal(1, below(18));
      const std::string rate_to = decimal(1, below(small ? 2 : 18));
      request.set_base("GBP");
      (*request.mutable_rates())[from] = rate_from;
      (*request.mutable_rates())[to] = rate_to;
      numerator = Times(PaperOf(rate_to), TenTo(ScaleOf(rate_from)));
      denominator = Times(PaperOf(rate_from), TenTo(ScaleOf(rate_to)));
    }
    numerator = Times(Times(numerator, PaperOf(request.amount())), TenTo(to_digits));
    denominator = Times(denominator, TenTo(ScaleOf(request.amount())));
    const auto reply = Convert(request);
    ASSERT_TRUE(reply) << request.ShortDebugString() << reply.error().message;
    const Paper result = Trimmed(PaperOf(reply->converted_minor()));
    const Paper back = Times(result, denominator);
    const int side = Order(back, numerator);  // Below 0: it was rounded down.
    EXPECT_EQ(reply->exact(), side == 0) << request.ShortDebugString();
    exact += side == 0 ? 1 : 0;
    // Less than one away ...
    const Paper& less = side < 0 ? back : numerator;
    const Paper& more = side < 0 ? numerator : back;
    ASSERT_LT(Order(more, Plus(less, denominator)), side == 0 ? 1 : 0)
        << request.ShortDebugString();
    // ... and for the modes that say so, at most a half.
    const int half = Order(Plus(more, more), Plus(Plus(less, less), denominator));
    const bool odd = !result.empty() && result[0] % 2 != 0;
    if (side != 0 && half == 0) ++halves;
    switch (request.rounding()) {
      case Rounding::half_up: EXPECT_LE(half, side < 0 ? -1 : 0); break;
      case Rounding::half_down: EXPECT_LE(half, side > 0 ? -1 : 0); break;
      case Rounding::unspecified:
      case Rounding::half_even: EXPECT_LE(half, side != 0 && odd ? -1 : 0); break;
      case Rounding::up:
      case Rounding::ceiling: EXPECT_GE(side, 0); break;
      default: EXPECT_LE(side, 0);
    }
    ASSERT_FALSE(HasFailure()) << request.ShortDebugString() << reply->ShortDebugString();
    // The other sign, mirrored.
    ConvertRequest negative = request;
    negative.set_amount("-" + request.amount());
    if (request.rounding() == Rounding::ceiling) negative.set_rounding(Rounding::floor);
    if (request.rounding() == Rounding::floor) negative.set_rounding(Rounding::ceiling);
    EXPECT_EQ(Converted(negative), (result.empty() ? "" : "-") + reply->converted());
  }
  EXPECT_GT(exact, 50);
  EXPECT_GT(halves, 20) << "too few results lay in the middle";
}

TEST_F(ConvertTest, EveryCurrencyHasItsDigits) {
  const auto digits = [](const char* currency) {
    const auto known = money::MinorDigits(currency);
    return known ? static_cast<int>(*known) : -1;
  };
  for (const char* currency : {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF",
                               "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"}) {
    EXPECT_EQ(digits(currency), 0) << currency;
  }
  for (const char* currency : {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}) {
    EXPECT_EQ(digits(currency), 3) << currency;
  }
  for (const char* currency : {"CLF", "UYW"}) EXPECT_EQ(digits(currency), 4) << currency;
  int two = 0;
  for (char a = 'A'; a <= 'Z'; ++a) {
    for (char b = 'A'; b <= 'Z'; ++b) {
      for (char c = 'A'; c <= 'Z'; ++c) two += digits(std::string{a, b, c}.c_str()) == 2 ? 1 : 0;
    }
  }
  EXPECT_EQ(two, 145);
  for (const char* currency : {"XAU", "XXX", "XTS", "XDR", "DEM", "usd", "", "US", "USDX"}) {
    EXPECT_EQ(digits(currency), -1) << currency;
  }
}

TEST_F(ConvertTest, MalformedRequestsNameTheField) {
  const auto refused = [&](auto spoil) {
    ConvertRequest request = Ask("USD", "EUR", "1.00", "0.9");
    spoil(request);
    return Refused(request);
  };
  EXPECT_EQ(refused([](auto&) {}), "fine: 0.90");
  EXPECT_EQ(refused([](auto& r) { r.clear_from(); }), "from");
  EXPECT_EQ(refused([](auto& r) { r.set_from("usd"); }), "from");
  EXPECT_EQ(refused([](auto& r) { r.set_from("USDX"); }), "from");
  EXPECT_EQ(refused([](auto& r) { r.set_from("XXX"); }), "from");
  EXPECT_EQ(refused([](auto& r) { r.clear_to(); }), "to");
  EXPECT_EQ(refused([](auto& r) { r.set_to("XAU"); }), "to");
  for (const char* amount :
       {"",    "x",     "1.",    ".5",       "1e3",
        "+1",  " 1",    "1 ",    "01",       "00",
        "--1", "-",     "1.0.0", "1,5",      "0x1",
        "NaN", "1.005", "1.000", "\xd9\xa1", "99999999999999999999999999999999999999.9"}) {
    EXPECT_EQ(refused([&](auto& r) { r.set_amount(amount); }), "amount") << amount;
  }
  EXPECT_EQ(refused([](auto& r) { r.set_amount(std::string(41, '1')); }), "amount");
  for (const char* rate : {"", "0", "0.000", "-1", "1.", "1e2", "x", "01.5"}) {
    EXPECT_EQ(refused([&](auto& r) { r.set_rate(rate); }), "rate") << rate;
  }
  EXPECT_EQ(refused([](auto& r) { r.set_rate(std::string(41, '1')); }), "rate");
  EXPECT_EQ(refused([](auto& r) { r.set_rounding(static_cast<Rounding::Code>(8)); }), "rounding");
  EXPECT_EQ(refused([](auto& r) { r.set_to("USD"); }), "rate");
  EXPECT_EQ(refused([](auto& r) { r.set_base("GBP"); }), "base");
  const auto crossed = [&](auto spoil) {
    ConvertRequest request = Ask("USD", "EUR", "1.00", "");
    request.set_base("GBP");
    (*request.mutable_rates())["USD"] = "1.25";
    (*request.mutable_rates())["EUR"] = "1.15";
    spoil(request);
    return Refused(request);
  };
  EXPECT_EQ(crossed([](auto&) {}), "fine: 0.92");
  EXPECT_EQ(crossed([](auto& r) { r.set_rate("1"); }), "rates");
  EXPECT_EQ(crossed([](auto& r) { r.clear_base(); }), "base");
  EXPECT_EQ(crossed([](auto& r) { r.set_base("XXX"); }), "base");
  EXPECT_EQ(crossed([](auto& r) { r.mutable_rates()->erase("EUR"); }), "rates");
  EXPECT_EQ(crossed([](auto& r) { (*r.mutable_rates())["nope"] = "1"; }), "rates");
  EXPECT_EQ(crossed([](auto& r) { (*r.mutable_rates())["EUR"] = "0"; }), "rates.EUR");
  EXPECT_EQ(crossed([](auto& r) { (*r.mutable_rates())["CHF"] = "x"; }), "rates.CHF");
  EXPECT_EQ(crossed([](auto& r) { (*r.mutable_rates())["GBP"] = "1"; }), "rates.GBP");
  EXPECT_EQ(crossed([](auto& r) {
              for (int i = 0; i < 300; ++i) (*r.mutable_rates())[std::to_string(i)] = "1";
            }),
            "rates");
}

// A message that is cut inside a character is no text, and no client could read it.
TEST_F(ConvertTest, ARefusalDoesNotRepeatWhatItWasGiven) {
  ConvertRequest request = Ask("USD", "EUR", "1.00", "");
  request.set_base("GBP");
  (*request.mutable_rates())["USD"] = "1.25";
  (*request.mutable_rates())["EUR"] = "1.15";
  (*request.mutable_rates())["a\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"] = "1";
  const auto refused = Convert(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message.find('\xc3'), std::string::npos) << refused.error().message;
}

}  // namespace
}  // namespace holdfast::convert
