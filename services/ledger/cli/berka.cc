#include "services/ledger/cli/berka.h"

#include <charconv>
#include <istream>
#include <limits>

#include "src/base/bounds.h"

namespace holdfast::ledger {
namespace {

constexpr size_t kColumns = 10;
constexpr size_t kIdDigitsMax = 18;

enum Column : size_t { kTransId, kAccountId, kDate, kType, kOperation, kAmount };

// Which account stands on the other side. The bank's own words: VKLAD deposit in cash, VYBER
// withdrawal in cash, VYBER KARTOU withdrawal by card, PREVOD Z UCTU and PREVOD NA UCET transfers
// from and to another bank; what has no operation is interest.
struct Operation {
  std::string_view word;
  const char* other;
};
constexpr Operation kOperations[] = {
    {"VKLAD", "berka-cash"},          {"VYBER", "berka-cash"},
    {"VYBER KARTOU", "berka-cash"},   {"PREVOD Z UCTU", "berka-bank"},
    {"PREVOD NA UCET", "berka-bank"}, {"", "berka-interest"},
};

bool AllDigits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Result<std::string> ParseId(const char* column, const std::string& text) {
  if (text.empty() || text.size() > kIdDigitsMax || !AllDigits(text)) {
    return Fail(InvalidArgument(column, "must be a number, is '" + text + "'"));
  }
  return "berka-" + text;
}

int DaysOf(int year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && year % 4 == 0 ? 29 : kDays[month - 1];
}

// "930101" -> "1993-01-01".
Result<std::string> ParseDate(const std::string& text) {
  bool good = text.size() == 6 && AllDigits(text);
  if (good) {
    const int year = std::stoi(text.substr(0, 2));
    const int month = std::stoi(text.substr(2, 2));
    const int day = std::stoi(text.substr(4, 2));
    // 1900 was no leap year, and no bank's records of this kind reach back so far.
    good = year > 0 && month >= 1 && month <= 12 && day >= 1 && day <= DaysOf(year, month);
  }
  if (!good) return Fail(InvalidArgument("date", "must be a day as YYMMDD, is '" + text + "'"));
  return "19" + text.substr(0, 2) + "-" + text.substr(2, 2) + "-" + text.substr(4, 2);
}

}  // namespace

CreateTransferRequest BerkaRow::ToTransfer() const {
  CreateTransferRequest transfer;
  transfer.set_id(id);
  transfer.set_from(credit ? other : account);
  transfer.set_to(credit ? account : other);
  transfer.set_amount(amount);
  (*transfer.mutable_metadata())["date"] = date;
  return transfer;
}

Result<int64_t> ParseHundredths(std::string_view text) {
  const auto refuse = [&](const char* why) {
    return Fail(InvalidArgument(
        "amount", std::string(why) + ", is '" + std::string(text.substr(0, 32)) + "'"));
  };
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view decimals = point == text.npos ? "" : text.substr(point + 1);
  if (whole.empty() || !AllDigits(whole) || !AllDigits(decimals) || decimals.size() > 2 ||
      (point != text.npos && decimals.empty())) {
    return refuse("must be an amount with at most two decimals");
  }
  std::string digits(whole);
  digits += decimals;
  digits.append(2 - decimals.size(), '0');
  int64_t value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec != std::errc()) return refuse("must fit 64 bits");
  return value;
}

Result<std::vector<std::string>> SplitFields(std::string_view line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  bool closed = false;  // The field's closing quote has come: only ; may follow.
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted) {
      if (c != '"') {
        fields.back() += c;
      } else if (i + 1 < line.size() && line[i + 1] == '"') {
        fields.back() += '"';
        ++i;
      } else {
        quoted = false;
        closed = true;
      }
    } else if (c == ';') {
      fields.emplace_back();
      closed = false;
    } else if (closed || (c == '"' && !fields.back().empty())) {
      return Fail(InvalidArgument(
          "", "a quote stands in the middle of column " + std::to_string(fields.size())));
    } else if (c == '"') {
      quoted = true;
    } else {
      fields.back() += c;
    }
  }
  if (quoted) return Fail(InvalidArgument("", "a quote is not closed"));
  return fields;
}

Result<BerkaRow> ParseBerkaRow(std::string_view line) {
  const auto fields = SplitFields(line);
  if (!fields) return Fail(fields.error());
  if (fields->size() != kColumns) {
    return Fail(InvalidArgument("", "has " + std::to_string(fields->size()) +
                                        " columns separated by semicolons, must have " +
                                        std::to_string(kColumns)));
  }
  BerkaRow row;
  auto id = ParseId("trans_id", (*fields)[kTransId]);
  if (!id) return Fail(id.error());
  row.id = *std::move(id);
  auto account = ParseId("account_id", (*fields)[kAccountId]);
  if (!account) return Fail(account.error());
  row.account = *std::move(account);
  auto date = ParseDate((*fields)[kDate]);
  if (!date) return Fail(date.error());
  row.date = *std::move(date);
  const std::string& type = (*fields)[kType];
  row.credit = type == "PRIJEM";
  if (!row.credit && type != "VYDAJ" && type != "VYBER") {
    return Fail(InvalidArgument("type", "must be PRIJEM, VYDAJ or VYBER, is '" + type + "'"));
  }
  const std::string& operation = (*fields)[kOperation];
  for (const Operation& known : kOperations) {
    if (known.word == operation) row.other = known.other;
  }
  if (row.other.empty()) {
    return Fail(InvalidArgument("operation", "is not known: '" + operation + "'"));
  }
  const auto amount = ParseHundredths((*fields)[kAmount]);
  if (!amount) return Fail(amount.error());
  row.amount = *amount;
  return row;
}

Result<std::optional<BerkaRow>> BerkaReader::Next() {
  while (true) {
    // Not getline: a file without line ends must not fill the memory.
    std::string line;
    int c = std::istream::traits_type::eof();
    bool too_long = false;
    while ((c = in_.get()) != std::istream::traits_type::eof() && c != '\n') {
      too_long = too_long || line.size() >= bounds::kImportLineBytesMax;
      if (!too_long) line += static_cast<char>(c);
    }
    const bool end = c == std::istream::traits_type::eof();
    if (end && line.empty()) return std::nullopt;
    ++line_number_;
    if (line.ends_with('\r')) line.pop_back();
    const bool header = line_number_ == 1 && line.starts_with("\"trans_id\";");
    if (line.empty() || header) continue;
    const auto name_line = [this](Error error) {
      error.message = "line " + std::to_string(line_number_) + ": " +
                      (error.field.empty() ? "" : error.field + " ") + error.message;
      error.field.clear();
      return Fail(std::move(error));
    };
    if (too_long) {
      return name_line(InvalidArgument(
          "", "is longer than " + std::to_string(bounds::kImportLineBytesMax) + " bytes"));
    }
    auto row = ParseBerkaRow(line);
    if (!row) return name_line(std::move(row.error()));
    return *std::move(row);
  }
}

}  // namespace holdfast::ledger
