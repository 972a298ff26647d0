// Keys and rows of the store: what decodes is what encoding writes, and nothing else does.
#include "fuzz/input.h"
#include "services/ledger/tables.h"
#include "src/store/codec.h"

namespace holdfast::store {
namespace {

struct Inner {
  std::vector<std::optional<int32_t>> numbers;
  std::map<std::string, uint8_t> map;
  auto Fields() { return std::tie(numbers, map); }
  auto Fields() const { return std::tie(numbers, map); }
};
// Every kind of field.
struct Everything {
  bool flag = false;
  int8_t tiny = 0;
  uint64_t large = 0;
  LogTime time;
  LogIndex index;
  std::vector<Inner> inners;
  std::optional<std::string> text;
  auto Fields() { return std::tie(flag, tiny, large, time, index, inners, text); }
  auto Fields() const { return std::tie(flag, tiny, large, time, index, inners, text); }
};

// A row of an older version has fewer fields, so its bytes may grow once; never twice.
template <class Row>
void CheckRow(std::string_view bytes) {
  Row row;
  const Result<void> decoded = DecodeRow(bytes, &row);
  if (!decoded) {
    HOLDFAST_CHECK(decoded.error().message.size() > 8, "an error that says nothing");
    return;
  }
  std::string encoded;
  EncodeRow(row, &encoded);
  HOLDFAST_CHECK(encoded.size() >= bytes.size(), "a row in a longer form than needed");
  Row again;
  HOLDFAST_CHECK(DecodeRow(encoded, &again), "does not decode what it encoded");
  std::string encoded_again;
  EncodeRow(again, &encoded_again);
  HOLDFAST_CHECK(encoded == encoded_again, "a row that changes");
}

template <class Key>
void CheckKey(std::string_view left_bytes, std::string_view right_bytes) {
  Key left{};
  Key right{};
  if (!DecodeKey(left_bytes, &left)) return;
  std::string encoded;
  EncodeKey(left, &encoded);
  HOLDFAST_CHECK(encoded == left_bytes, "a key in two forms");
  if (!DecodeKey(right_bytes, &right)) return;
  HOLDFAST_CHECK((left < right) == (left_bytes < right_bytes), "keys in another order than bytes");
}

}  // namespace
}  // namespace holdfast::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  using namespace holdfast::store;
  fuzz::Input input(data, size);
  const uint8_t which = input.Byte() % 10;
  const std::string_view key = which < 3 ? input.Bytes() : "";
  const std::string_view bytes = input.Rest();
  switch (which) {
    case 0: CheckKey<std::string>(key, bytes); break;
    case 1: CheckKey<std::tuple<int64_t, uint64_t, std::string>>(key, bytes); break;
    case 2: CheckKey<ledger::HistoryKey>(key, bytes); break;
    case 3: CheckRow<ledger::AccountRow>(bytes); break;
    case 4: CheckRow<ledger::ProfileRow>(bytes); break;
    case 5: CheckRow<ledger::TransferRow>(bytes); break;
    case 6: CheckRow<ledger::IdRow>(bytes); break;
    case 7: CheckRow<ledger::HistoryRow>(bytes); break;
    default: CheckRow<Everything>(bytes);
  }
  return 0;
}
