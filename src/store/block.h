// Blocks: how the rows of a group are stored together, many under one key (docs/formats/store.md).
//
// A row of a history is small: stored by itself, most of its bytes were its key, and most of a
// run's work was the base's, once for each. A block is stored under the key of its first row and
// holds that row and those that follow it; of their keys only what each adds to the one before.
//
// Decoding takes any bytes whatever, as in codec.h.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "src/base/error.h"
#include "src/store/codec.h"

namespace holdfast::store {

// A block ends with the row that takes it to this many bytes: some hundred rows of a history, and
// one of anything large. A lookup decodes half of one.
inline constexpr size_t kBlockBytes = 1'024;

namespace codec {

// Differences are taken modulo 2^64, so that they exist between any two keys.
template <std::integral T>
void AppendKeyStep(T before, T after, std::string* out) {
  const uint64_t step = static_cast<uint64_t>(after) - static_cast<uint64_t>(before);
  AppendVarint(ZigZag(static_cast<int64_t>(step)), out);
}

template <std::integral T>
bool ReadKeyStep(Reader& reader, T* part) {
  uint64_t bits;
  if (!reader.Varint(&bits)) return false;
  const uint64_t after = static_cast<uint64_t>(*part) + static_cast<uint64_t>(UnZigZag(bits));
  *part = static_cast<T>(after);
  return static_cast<uint64_t>(*part) == after || reader.Fail("has a number too large for its key");
}

// The parts behind the first, which is the group and the same in all.
template <class Key, size_t... I>
void AppendKeySteps(const Key& before, const Key& after, std::string* out,
                    std::index_sequence<I...>) {
  (AppendKeyStep(std::get<I + 1>(before), std::get<I + 1>(after), out), ...);
}
template <class Key, size_t... I>
bool ReadKeySteps(Reader& reader, Key* key, std::index_sequence<I...>) {
  return (ReadKeyStep(reader, &std::get<I + 1>(*key)) && ...);
}
template <class Key>
using StepParts = std::make_index_sequence<std::tuple_size_v<Key> - 1>;

}  // namespace codec

// The rows of `rows` from `next` on, pairs of key and row, of which there is at least one, as one
// block in `out`, which is empty; `next` is moved behind them. Their keys ascend and have the same
// first part.
template <class Rows>
void EncodeBlock(const Rows& rows, size_t* next, std::string* out) {
  EncodeRow(rows[*next].second, out);
  for (++*next; *next < rows.size() && out->size() < kBlockBytes; ++*next) {
    const auto& [key, row] = rows[*next];
    using Key = std::remove_cvref_t<decltype(key)>;
    codec::AppendKeySteps(rows[*next - 1].first, key, out, codec::StepParts<Key>());
    EncodeRow(row, out);
  }
}

// Hands the rows of a block to visit(key, row) until it returns false; `key` is that of the first.
template <class Key, class Row, class Visit>
Result<void> DecodeBlock(std::string_view bytes, Key key, Row* row, const Visit& visit) {
  codec::Reader reader(bytes);
  *row = Row{};
  bool read = codec::ReadValue(reader, row);
  while (read) {
    if (!visit(std::as_const(key), std::as_const(*row))) return {};
    if (reader.left() == 0) break;
    const Key before = key;
    *row = Row{};
    read = codec::ReadKeySteps(reader, &key, codec::StepParts<Key>()) &&
           (before < key || reader.Fail("has keys that do not ascend")) &&
           codec::ReadValue(reader, row);
  }
  return codec::Finish("the block", reader, read);
}

}  // namespace holdfast::store
