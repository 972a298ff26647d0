#include "services/ledger/validate.h"

#include <google/protobuf/map.h>

#include <charconv>
#include <optional>

#include "src/base/bounds.h"
#include "src/base/text.h"
#include "src/money/decimal.h"

namespace holdfast::ledger {
namespace {

// What RFC 3339 can write: years 1 to 9999.
constexpr int64_t kSecondsMin = -62'135'596'800;
constexpr int64_t kSecondsMax = 253'402'300'799;

// A reason to refuse a field, or nothing. Paths are built by the caller, only when there is one.
using Reason = std::optional<std::string>;

Reason BadId(const std::string& id) {
  if (HasControlCharacter(id)) return "must not have control characters";
  return std::nullopt;
}

Reason BadCurrency(const std::string& currency) {
  bool good =
      currency.size() >= bounds::kCurrencyBytesMin && currency.size() <= bounds::kCurrencyBytesMax;
  for (const char c : currency) good = good && ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'));
  if (good) return std::nullopt;
  return "must be 3 to 12 uppercase letters or digits";
}

Reason BadMetadata(const google::protobuf::Map<std::string, std::string>& metadata) {
  // Of several faults the one with the least key is named, so that every node names the same.
  std::optional<std::pair<std::string, std::string>> worst;
  for (const auto& [key, value] : metadata) {
    std::string what;
    if (key.empty() || key.size() > bounds::kMetadataKeyBytesMax) {
      what = "keys must be 1 to 64 bytes";
    } else if (HasControlCharacter(key)) {
      what = "keys must not have control characters";
    } else if (value.size() > bounds::kMetadataValueBytesMax) {
      what = "the value of '" + key + "' is " + std::to_string(value.size()) +
             " bytes, at most 256 are allowed";
    }
    if (!what.empty() && (!worst || key < worst->first)) worst.emplace(key, std::move(what));
  }
  if (worst) return worst->second;
  return std::nullopt;
}

struct Fault {
  std::string field;
  std::string reason;
};

std::optional<Fault> FaultOf(const CreateAccountRequest& request) {
  if (auto bad = BadId(request.id())) return Fault{"id", *bad};
  if (auto bad = BadCurrency(request.currency())) return Fault{"currency", *bad};
  if (request.overdraft() < 0) return Fault{"overdraft", "must not be negative"};
  if (auto bad = BadMetadata(request.metadata())) return Fault{"metadata", *bad};
  return std::nullopt;
}

std::optional<Fault> FaultOf(const CreateTransferRequest& request) {
  if (auto bad = BadId(request.id())) return Fault{"id", *bad};
  if (auto bad = BadId(request.from())) return Fault{"from", *bad};
  if (auto bad = BadId(request.to())) return Fault{"to", *bad};
  if (request.timeout_seconds() != 0 && !request.pending()) {
    return Fault{"timeout_seconds", "goes only with pending"};
  }
  if (auto bad = BadMetadata(request.metadata())) return Fault{"metadata", *bad};
  return std::nullopt;
}

std::optional<Fault> FaultOf(const Leg& leg) {
  if (auto bad = BadId(leg.from())) return Fault{"from", *bad};
  if (auto bad = BadId(leg.to())) return Fault{"to", *bad};
  return std::nullopt;
}

Result<void> Refuse(const std::optional<Fault>& fault, const std::string& prefix = "") {
  if (!fault) return {};
  return Fail(InvalidArgument(prefix + fault->field, fault->reason));
}

template <class Elements>
Result<void> RefuseAny(const Elements& elements, const char* name) {
  for (int i = 0; i < elements.size(); ++i) {
    if (const auto fault = FaultOf(elements[i])) {
      return Refuse(fault, std::string(name) + "[" + std::to_string(i) + "].");
    }
  }
  return {};
}

Result<void> CheckField(const char* field, const Reason& bad) {
  if (!bad) return {};
  return Fail(InvalidArgument(field, *bad));
}

Result<void> CheckPage(CursorKind kind, const std::string& cursor, uint32_t limit) {
  if (limit > bounds::kPageRowsMax) {
    return Fail(
        InvalidArgument("limit", "must be at most " + std::to_string(bounds::kPageRowsMax)));
  }
  const auto parsed = ParseCursor(kind, cursor);
  if (!parsed) return Fail(parsed.error());
  return {};
}

Result<void> CheckTime(const char* field, const google::protobuf::Timestamp& time) {
  if (time.seconds() < kSecondsMin || time.seconds() > kSecondsMax || time.nanos() < 0 ||
      time.nanos() > 999'999'999) {
    return Fail(InvalidArgument(field, "must be a time between the years 1 and 9999"));
  }
  return {};
}

}  // namespace

std::string MakeCursor(CursorKind kind, uint64_t next) {
  char text[1 + 16] = {static_cast<char>(kind)};
  const auto end = std::to_chars(text + 1, text + sizeof(text), next, 16).ptr;
  return std::string(text, end);
}

Result<uint64_t> ParseCursor(CursorKind kind, const std::string& cursor) {
  if (cursor.empty()) return 0;
  uint64_t next = 0;
  const char* end = cursor.data() + cursor.size();
  const auto parsed = std::from_chars(cursor.data() + 1, end, next, 16);
  // Only what MakeCursor makes: other spellings of the same number are refused too.
  if (parsed.ec != std::errc() || parsed.ptr != end || next == 0 ||
      cursor != MakeCursor(kind, next)) {
    return Fail(InvalidArgument("cursor", "is no cursor of this list; take next_cursor as it is"));
  }
  return next;
}

Result<void> Validate(const CreateAccountRequest& request) { return Refuse(FaultOf(request)); }

Result<void> Validate(const CreateAccountsRequest& request) {
  return RefuseAny(request.accounts(), "accounts");
}

Result<void> Validate(const GetAccountRequest& request) { return CheckTime("at", request.at()); }

Result<void> Validate(const ListAccountsRequest& request) {
  return CheckPage(CursorKind::kAccounts, request.cursor(), request.limit());
}

Result<void> Validate(const CreateTransferRequest& request) { return Refuse(FaultOf(request)); }

Result<void> Validate(const CreateTransfersRequest& request) {
  return RefuseAny(request.transfers(), "transfers");
}

Result<void> Validate(const PostTransferRequest& request) {
  if (request.has_amount() && request.amount() < 1) {
    return Fail(
        InvalidArgument("amount", "must be at least 1, is " + std::to_string(request.amount())));
  }
  return {};
}

Result<void> Validate(const CreateTransactionRequest& request) {
  if (auto bad = BadId(request.id())) return CheckField("id", bad);
  if (auto legs = RefuseAny(request.legs(), "legs"); !legs) return legs;
  return CheckField("metadata", BadMetadata(request.metadata()));
}

Result<void> Validate(const ReverseTransferRequest& request) {
  if (auto bad = BadId(request.reversal_id())) return CheckField("reversal_id", bad);
  if (request.reversal_id() == request.id()) {
    return Fail(InvalidArgument("reversal_id", "must be a new id, not that of the original"));
  }
  return CheckField("metadata", BadMetadata(request.metadata()));
}

Result<void> Validate(const ListTransfersRequest& request) {
  return CheckPage(CursorKind::kTransfers, request.cursor(), request.limit());
}

Result<void> Validate(const ListAccountTransfersRequest& request) {
  if (auto from = CheckTime("from", request.from()); !from) return from;
  if (auto to = CheckTime("to", request.to()); !to) return to;
  return CheckPage(CursorKind::kAccountTransfers, request.cursor(), request.limit());
}

Result<void> Validate(const CreateExchangeRequest& request) {
  const std::pair<const char*, const std::string*> ids[] = {
      {"id", &request.id()},
      {"from", &request.from()},
      {"from_liquidity", &request.from_liquidity()},
      {"to_liquidity", &request.to_liquidity()},
      {"to", &request.to()}};
  for (const auto& [field, id] : ids) {
    if (auto bad = BadId(*id)) return CheckField(field, bad);
  }
  money::Decimal rate;
  if (auto bad = money::ParseDecimal(request.rate(), &rate)) return CheckField("rate", bad);
  if (rate.negative || rate.digits.is_zero()) {
    return Fail(InvalidArgument("rate", "must be greater than 0"));
  }
  if (request.spread_ppm() > bounds::kSpreadPpmMax) {
    return Fail(
        InvalidArgument("spread_ppm", "must be at most " + std::to_string(bounds::kSpreadPpmMax)));
  }
  if (!Rounding::Code_IsValid(request.rounding())) {
    return Fail(InvalidArgument(
        "rounding", "must be half_even, half_up, half_down, up, down, ceiling or floor"));
  }
  return CheckField("metadata", BadMetadata(request.metadata()));
}

Result<void> Validate(const PayRequest& request) {
  if (auto bad = BadId(request.transaction_id())) return CheckField("transaction_id", bad);
  if (auto bad = BadId(request.from_account())) return CheckField("from_account", bad);
  return CheckField("to_account", BadId(request.to_account()));
}

Result<void> Validate(const CheckAccountRequest& request) {
  if (request.absent() != request.has_at_least()) return {};
  return request.absent() ? Fail(InvalidArgument("absent", "goes not with at_least"))
                          : Fail(InvalidArgument("at_least", "is required, or absent"));
}

}  // namespace holdfast::ledger
