// What no state of the ledger could make acceptable, beyond what the options of the fields say.
// Stateless; any thread.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string>

#include "services/ledger/ledger.pb.h"
#include "src/base/error.h"

namespace holdfast::ledger {

// Which list a cursor belongs to: its first letter.
enum class CursorKind : char { kAccounts = 'a', kTransfers = 't', kAccountTransfers = 'h' };

std::string MakeCursor(CursorKind kind, uint64_t next);
// 0 for no cursor.
Result<uint64_t> ParseCursor(CursorKind kind, const std::string& cursor);

Result<void> Validate(const CreateAccountRequest& request);
Result<void> Validate(const CreateAccountsRequest& request);
Result<void> Validate(const GetAccountRequest& request);
Result<void> Validate(const ListAccountsRequest& request);
Result<void> Validate(const CreateTransferRequest& request);
Result<void> Validate(const CreateTransfersRequest& request);
Result<void> Validate(const PostTransferRequest& request);
Result<void> Validate(const CreateTransactionRequest& request);
Result<void> Validate(const ReverseTransferRequest& request);
Result<void> Validate(const ListTransfersRequest& request);
Result<void> Validate(const ListAccountTransfersRequest& request);
Result<void> Validate(const PayRequest& request);
Result<void> Validate(const CreateExchangeRequest& request);
Result<void> Validate(const CheckAccountRequest& request);

}  // namespace holdfast::ledger
