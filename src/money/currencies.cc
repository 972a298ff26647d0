#include "src/money/currencies.h"

#include <algorithm>

namespace holdfast::money {
namespace {

// By number of digits, each list sorted. As of January 2026, and those withdrawn since 2020 (ANG,
// BGN, CUC, HRK, SLL, ZWL), as books still have them.
constexpr std::string_view kNone[] = {
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG",
    "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF",
};
constexpr std::string_view kTwo[] = {
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT",
    "BGN", "BMD", "BND", "BOB", "BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF",
    "CHE", "CHF", "CHW", "CNY", "COP", "COU", "CRC", "CUC", "CUP", "CVE", "CZK", "DKK", "DOP",
    "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD", "GTQ",
    "GYD", "HKD", "HNL", "HRK", "HTG", "HUF", "IDR", "ILS", "INR", "IRR", "JMD", "KES", "KGS",
    "KHR", "KPW", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "MAD", "MDL", "MGA", "MKD",
    "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN",
    "NIO", "NOK", "NPR", "NZD", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "QAR", "RON", "RSD",
    "RUB", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SLL", "SOS", "SRD", "SSP",
    "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH",
    "USD", "USN", "UYU", "UZS", "VED", "VES", "WST", "XAD", "XCD", "XCG", "YER", "ZAR", "ZMW",
    "ZWG", "ZWL",
};
constexpr std::string_view kThree[] = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"};
constexpr std::string_view kFour[] = {"CLF", "UYW"};

static_assert(std::is_sorted(std::begin(kNone), std::end(kNone)));
static_assert(std::is_sorted(std::begin(kTwo), std::end(kTwo)));
static_assert(std::is_sorted(std::begin(kThree), std::end(kThree)));
static_assert(std::is_sorted(std::begin(kFour), std::end(kFour)));

template <size_t n>
bool Has(const std::string_view (&list)[n], std::string_view currency) {
  return std::binary_search(std::begin(list), std::end(list), currency);
}

}  // namespace

std::optional<uint32_t> MinorDigits(std::string_view currency) {
  if (Has(kTwo, currency)) return 2;
  if (Has(kNone, currency)) return 0;
  if (Has(kThree, currency)) return 3;
  if (Has(kFour, currency)) return 4;
  return std::nullopt;
}

}  // namespace holdfast::money
