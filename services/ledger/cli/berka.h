// The transactions of the Berka bank (PKDD'99 Discovery Challenge) as transfers.
//
//   trans_id;account_id;date;type;operation;amount;balance;k_symbol;bank;account
//   695247;2378;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;
//
// becomes transfer "berka-695247" of 70000 (CZK has 100 minor units) from "berka-cash" to
// "berka-2378", with the metadata date=1993-01-01. README.md beside this file is the mapping.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/ledger/ledger.pb.h"
#include "src/base/error.h"

namespace holdfast::ledger {

inline constexpr char kBerkaCurrency[] = "CZK";
inline constexpr const char* kBerkaOtherSides[] = {"berka-cash", "berka-bank", "berka-interest"};

struct BerkaRow {
  std::string id;       // "berka-695247"
  std::string account;  // "berka-2378"
  std::string other;    // One of kBerkaOtherSides, by operation.
  bool credit = false;  // Of `account`.
  int64_t amount = 0;   // In hundredths of a koruna; 0 moves nothing.
  std::string date;     // "1993-01-01"

  // Only for an amount above 0.
  CreateTransferRequest ToTransfer() const;
};

// "700.5" -> 70050. Exact: never through a floating-point number. Refuses a sign, an exponent, more
// than two decimals, and what does not fit.
Result<int64_t> ParseHundredths(std::string_view text);

// Splits a line at semicolons; a field in quotes may hold semicolons, and "" for a quote.
Result<std::vector<std::string>> SplitFields(std::string_view line);

Result<BerkaRow> ParseBerkaRow(std::string_view line);

// Reads a file row by row. One thread; the stream outlives the reader.
class BerkaReader {
 public:
  explicit BerkaReader(std::istream& in) : in_(in) {}

  // The next row, nullopt at the end, or what is wrong with the line; the error names its number,
  // and reading may go on behind it.
  Result<std::optional<BerkaRow>> Next();

 private:
  std::istream& in_;
  uint64_t line_number_ = 0;
};

}  // namespace holdfast::ledger
