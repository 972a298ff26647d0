// Sorts the rows of a hash table by their stored keys, for a run.
//
// The rows lie all over memory, and so do their keys: comparing them where they are is a wait for
// memory each time. So the keys are encoded side by side, and of each the eight bytes behind what
// all have in common are kept at hand: most comparisons need no more.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::store {

template <class Row>
class KeySorter {
 public:
  struct Entry {
    uint64_t head;  // Eight bytes of the key, as a number that sorts alike.
    size_t at;
    size_t size;
    const Row* row;
  };

  explicit KeySorter(size_t rows) { entries_.reserve(rows); }

  // `append_key` appends the stored key of `row` to a string.
  template <class AppendKey>
  void Add(const Row* row, const AppendKey& append_key) {
    const size_t at = keys_.size();
    append_key(&keys_);
    entries_.push_back({0, at, keys_.size() - at, row});
  }

  void Sort() {
    const size_t common = CommonBytes();
    for (Entry& entry : entries_) entry.head = Head(key(entry).substr(common));
    std::sort(entries_.begin(), entries_.end(), [this](const Entry& a, const Entry& b) {
      return a.head != b.head ? a.head < b.head : key(a) < key(b);
    });
  }

  const std::vector<Entry>& entries() const { return entries_; }
  std::string_view key(const Entry& entry) const {
    return std::string_view(keys_).substr(entry.at, entry.size);
  }

 private:
  // How many bytes all keys begin with alike.
  size_t CommonBytes() const {
    if (entries_.empty()) return 0;
    const std::string_view first = key(entries_.front());
    size_t common = first.size();
    for (const Entry& entry : entries_) {
      const std::string_view other = key(entry).substr(0, common);
      common = static_cast<size_t>(std::mismatch(other.begin(), other.end(), first.begin()).first -
                                   other.begin());
    }
    return common;
  }

  // Bytes that are not there count as zero; the comparison of whole keys tells them apart.
  static uint64_t Head(std::string_view bytes) {
    uint64_t head = 0;
    for (size_t i = 0; i < sizeof(head); ++i) {
      head = head << 8 | (i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0);
    }
    return head;
  }

  std::string keys_;
  std::vector<Entry> entries_;
};

}  // namespace holdfast::store
