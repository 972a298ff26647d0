// A bank's CSV -> rows -> transfers.
#include <sstream>

#include "fuzz/input.h"
#include "services/ledger/cli/berka.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
  ledger::BerkaReader reader(in);
  for (size_t lines = 0;; ++lines) {
    HOLDFAST_CHECK(lines <= size, "reads more lines than there are bytes");
    auto row = reader.Next();
    if (!row) {
      HOLDFAST_CHECK(row.error().message.starts_with("line "), "an error without its line");
      continue;
    }
    if (!*row) return 0;
    HOLDFAST_CHECK((*row)->amount >= 0 && (*row)->date.size() == 10, "a row that makes no sense");
    const std::string bytes = (*row)->ToTransfer().SerializeAsString();  // Is text valid UTF-8?
    ledger::CreateTransferRequest again;
    HOLDFAST_CHECK(again.ParseFromString(bytes), "a transfer that does not parse");
  }
}
