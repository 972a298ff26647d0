// Bytes of keys and rows. The format is docs/formats/store.md; golden bytes are in codec_test.cc.
//
// Keys sort as bytes exactly as they sort as values, so a scan over bytes is a scan over keys. Rows
// carry the number of their fields: a later version appends fields, and older rows read with the
// defaults of the new ones.
//
// Encoding cannot fail. Decoding takes any bytes whatever: it reads nothing beyond the input,
// allocates no more than a small multiple of it, and accepts only what encoding would have written.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "src/base/error.h"
#include "src/base/ids.h"

namespace holdfast::store {

namespace codec {

template <class T>
concept HasFields = requires(T& row, const T& const_row) {
  row.Fields();
  const_row.Fields();
};

template <class T, template <class...> class Template>
inline constexpr bool kIs = false;
template <template <class...> class Template, class... Args>
inline constexpr bool kIs<Template<Args...>, Template> = true;

// For a static_assert that fires only when its branch is instantiated.
template <class T>
inline constexpr bool kUnsupported = false;

// The bytes not yet read, and why reading stopped.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  size_t left() const { return rest_.size(); }
  const char* error() const { return error_; }
  bool Fail(const char* error) {
    error_ = error;
    return false;
  }

  bool Byte(uint8_t* byte) {
    if (rest_.empty()) return Fail("ends too early");
    *byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return true;
  }
  bool Bytes(size_t count, std::string_view* bytes) {
    if (count > rest_.size()) return Fail("ends too early");
    *bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return true;
  }
  bool Varint(uint64_t* value) {
    uint64_t result = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      uint8_t byte;
      if (!Byte(&byte)) return false;
      if (shift == 63 && byte > 1) return Fail("has a number longer than 64 bits");
      result |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte == 0 && shift > 0) return Fail("has a number in a longer form than needed");
        *value = result;
        return true;
      }
    }
    return Fail("has a number longer than 64 bits");
  }

 private:
  std::string_view rest_;
  const char* error_ = "";
};

inline void AppendVarint(uint64_t value, std::string* out) {
  char buffer[10];
  size_t size = 0;
  while (value >= 0x80) {
    buffer[size++] = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  buffer[size++] = static_cast<char>(value);
  out->append(buffer, size);
}

inline constexpr uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
inline constexpr int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

// --- Keys

// Big endian, with the sign bit flipped so that negative numbers come first.
template <std::integral T>
void AppendKeyPart(T value, std::string* out) {
  using Unsigned = std::make_unsigned_t<T>;
  auto bits = static_cast<Unsigned>(value);
  if constexpr (std::signed_integral<T>) bits ^= Unsigned{1} << (8 * sizeof(T) - 1);
  char buffer[sizeof(T)];
  for (size_t i = 0; i < sizeof(T); ++i) {
    buffer[i] = static_cast<char>(bits >> (8 * (sizeof(T) - 1 - i)));
  }
  out->append(buffer, sizeof(T));
}

template <class Tag>
void AppendKeyPart(const Number<Tag>& number, std::string* out) {
  AppendKeyPart(number.value, out);
}

// 00 becomes 00 ff and the end is 00 00: the end of a string sorts before any further byte.
inline void AppendKeyPart(const std::string& text, std::string* out) {
  size_t start = 0;
  for (size_t zero; (zero = text.find('\0', start)) != std::string::npos; start = zero + 1) {
    out->append(text, start, zero - start);
    out->append("\x00\xff", 2);
  }
  out->append(text, start);
  out->append(2, '\0');
}

template <class... Parts>
void AppendKeyPart(const std::tuple<Parts...>& tuple, std::string* out) {
  std::apply([out](const auto&... part) { (AppendKeyPart(part, out), ...); }, tuple);
}

// No fewer than the bytes of a key, without encoding it.
template <class T>
constexpr size_t KeyBytesMax(const T& part) {
  if constexpr (std::same_as<T, std::string>) {
    return 2 * part.size() + 2;
  } else if constexpr (kIs<T, std::tuple>) {
    return std::apply([](const auto&... each) { return (KeyBytesMax(each) + ... + size_t{0}); },
                      part);
  } else {
    return sizeof(T);
  }
}

template <std::integral T>
bool ReadKeyPart(Reader& reader, T* value) {
  using Unsigned = std::make_unsigned_t<T>;
  std::string_view bytes;
  if (!reader.Bytes(sizeof(T), &bytes)) return false;
  Unsigned bits = 0;
  for (char byte : bytes) bits = static_cast<Unsigned>(bits << 8 | static_cast<uint8_t>(byte));
  if constexpr (std::signed_integral<T>) bits ^= Unsigned{1} << (8 * sizeof(T) - 1);
  *value = static_cast<T>(bits);
  return true;
}

template <class Tag>
bool ReadKeyPart(Reader& reader, Number<Tag>* number) {
  return ReadKeyPart(reader, &number->value);
}

inline bool ReadKeyPart(Reader& reader, std::string* text) {
  text->clear();
  for (;;) {
    uint8_t byte;
    if (!reader.Byte(&byte)) return false;
    if (byte == 0) {
      uint8_t escape;
      if (!reader.Byte(&escape)) return false;
      if (escape == 0) return true;
      if (escape != 0xff) return reader.Fail("has an unknown escape");
    }
    text->push_back(static_cast<char>(byte));
  }
}

template <class... Parts>
bool ReadKeyPart(Reader& reader, std::tuple<Parts...>* tuple) {
  return std::apply([&reader](auto&... part) { return (ReadKeyPart(reader, &part) && ...); },
                    *tuple);
}

// --- Values in rows

template <class T>
void AppendValue(const T& value, std::string* out) {
  if constexpr (std::is_enum_v<T>) {
    AppendValue(static_cast<std::underlying_type_t<T>>(value), out);
  } else if constexpr (std::signed_integral<T>) {
    AppendVarint(ZigZag(value), out);
  } else if constexpr (std::unsigned_integral<T>) {
    AppendVarint(value, out);
  } else if constexpr (std::same_as<T, LogTime>) {
    AppendVarint(ZigZag(value.us), out);
  } else if constexpr (kIs<T, Number>) {
    AppendVarint(value.value, out);
  } else if constexpr (std::same_as<T, std::string>) {
    AppendVarint(value.size(), out);
    out->append(value);
  } else if constexpr (kIs<T, std::optional>) {
    out->push_back(value.has_value() ? 1 : 0);
    if (value.has_value()) AppendValue(*value, out);
  } else if constexpr (kIs<T, std::vector>) {
    AppendVarint(value.size(), out);
    for (const typename T::value_type& element : value) AppendValue(element, out);
  } else if constexpr (kIs<T, std::map>) {
    AppendVarint(value.size(), out);
    for (const auto& [key, element] : value) {
      AppendValue(key, out);
      AppendValue(element, out);
    }
  } else if constexpr (HasFields<T>) {
    const auto fields = value.Fields();
    AppendVarint(std::tuple_size_v<decltype(fields)>, out);
    std::apply([out](const auto&... field) { (AppendValue(field, out), ...); }, fields);
  } else {
    static_assert(kUnsupported<T>, "A row holds what docs/formats/store.md lists, nothing else.");
  }
}

template <class T>
bool ReadValue(Reader& reader, T* value);

// Every element takes at least one byte, so a count beyond the bytes left is a lie; seen before
// anything is allocated for it.
inline bool ReadCount(Reader& reader, uint64_t* count) {
  if (!reader.Varint(count)) return false;
  return *count <= reader.left() || reader.Fail("counts more than it holds");
}

template <class T>
bool ReadFields(Reader& reader, T* row) {
  auto fields = row->Fields();
  uint64_t left;
  if (!reader.Varint(&left)) return false;
  if (left > std::tuple_size_v<decltype(fields)>) {
    return reader.Fail("has more fields than this version knows: a newer version wrote it");
  }
  const auto read = [&reader, &left](auto& field) {
    if (left == 0) return true;  // Appended after the row was written: it keeps its default.
    --left;
    return ReadValue(reader, &field);
  };
  return std::apply([&read](auto&... field) { return (read(field) && ...); }, fields);
}

template <class T>
bool ReadMap(Reader& reader, T* map) {
  map->clear();
  uint64_t count;
  if (!ReadCount(reader, &count)) return false;
  for (; count > 0; --count) {
    typename T::key_type key{};
    typename T::mapped_type element{};
    if (!ReadValue(reader, &key) || !ReadValue(reader, &element)) return false;
    if (!map->empty() && !(map->rbegin()->first < key)) {
      return reader.Fail("has a map whose keys do not ascend");
    }
    map->emplace_hint(map->end(), std::move(key), std::move(element));
  }
  return true;
}

template <class T>
bool ReadInteger(Reader& reader, T* value) {
  uint64_t bits;
  if (!reader.Varint(&bits)) return false;
  if constexpr (std::signed_integral<T>) {
    const int64_t number = UnZigZag(bits);
    if (number < std::numeric_limits<T>::min() || number > std::numeric_limits<T>::max()) {
      return reader.Fail("has a number too large for its field");
    }
    *value = static_cast<T>(number);
  } else {
    if (bits > std::numeric_limits<T>::max()) {
      return reader.Fail("has a number too large for its field");
    }
    *value = static_cast<T>(bits);
  }
  return true;
}

template <class T>
bool ReadValue(Reader& reader, T* value) {
  if constexpr (std::is_enum_v<T>) {
    std::underlying_type_t<T> number;
    if (!ReadInteger(reader, &number)) return false;
    *value = static_cast<T>(number);
    return true;
  } else if constexpr (std::integral<T>) {
    return ReadInteger(reader, value);
  } else if constexpr (std::same_as<T, LogTime>) {
    return ReadInteger(reader, &value->us);
  } else if constexpr (kIs<T, Number>) {
    return ReadInteger(reader, &value->value);
  } else if constexpr (std::same_as<T, std::string>) {
    uint64_t size;
    std::string_view bytes;
    if (!ReadCount(reader, &size) || !reader.Bytes(size, &bytes)) return false;
    value->assign(bytes);
    return true;
  } else if constexpr (kIs<T, std::optional>) {
    bool present;
    value->reset();
    if (!ReadInteger(reader, &present)) return false;
    return !present || ReadValue(reader, &value->emplace());
  } else if constexpr (kIs<T, std::vector>) {
    uint64_t count;
    value->clear();
    if (!ReadCount(reader, &count)) return false;
    for (; count > 0; --count) {
      typename T::value_type element{};
      if (!ReadValue(reader, &element)) return false;
      value->push_back(std::move(element));
    }
    return true;
  } else if constexpr (kIs<T, std::map>) {
    return ReadMap(reader, value);
  } else if constexpr (HasFields<T>) {
    return ReadFields(reader, value);
  } else {
    static_assert(kUnsupported<T>, "A row holds what docs/formats/store.md lists, nothing else.");
  }
}

inline Result<void> Finish(const char* what, const Reader& reader, bool read) {
  const char* error = read ? "goes on after its end" : reader.error();
  if (read && reader.left() == 0) return {};
  return Fail(Error{ErrorCode::kInternal, std::string(what) + " " + error, "", "", 0});
}

}  // namespace codec

// Appends the bytes of a key: an integer, std::string, Number, or a std::tuple of these.
template <class Key>
void EncodeKey(const Key& key, std::string* out) {
  codec::AppendKeyPart(key, out);
}

// Appends the bytes of a row.
template <class Row>
void EncodeRow(const Row& row, std::string* out) {
  codec::AppendValue(row, out);
}

// The error says what is wrong with the bytes; `*key` is then unspecified.
template <class Key>
Result<void> DecodeKey(std::string_view bytes, Key* key) {
  codec::Reader reader(bytes);
  const bool read = codec::ReadKeyPart(reader, key);
  return codec::Finish("the key", reader, read);
}

// As DecodeKey. Fields the bytes do not have get the defaults of Row.
template <class Row>
Result<void> DecodeRow(std::string_view bytes, Row* row) {
  *row = Row{};
  codec::Reader reader(bytes);
  const bool read = codec::ReadValue(reader, row);
  return codec::Finish("the row", reader, read);
}

}  // namespace holdfast::store
