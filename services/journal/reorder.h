// Holds back what comes out of order until everything before it must have come. For whoever has no
// store to do so: the merge of files.
//
// One thread. Memory grows with what is between the watermark and the newest that was added; who
// cannot allow that calls ReleaseFirst.
#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "services/journal/tables.h"

namespace holdfast::journal {

template <class Item>
class Reorder {
 public:
  // Gives the item back when it is late: others behind its place, or the watermark, are past.
  std::optional<Item> Add(const Place& place, Item item) {
    if (place.corrected_us < watermark_us_ || (released_ && place < *released_)) {
      return std::optional<Item>(std::move(item));
    }
    waiting_.emplace(place, std::move(item));
    return std::nullopt;
  }

  // Hands what lies below the watermark to `take`, in order. The watermark never goes back.
  template <class Take>
  void Release(int64_t watermark_us, Take take) {
    watermark_us_ = std::max(watermark_us_, watermark_us);
    while (!waiting_.empty() && waiting_.begin()->first.corrected_us < watermark_us_) {
      ReleaseFirst(take);
    }
  }
  // Hands over the first, whatever may come before it still.
  template <class Take>
  void ReleaseFirst(Take take) {
    auto first = waiting_.extract(waiting_.begin());
    released_ = first.key();
    take(first.key(), std::move(first.mapped()));
  }

  bool empty() const { return waiting_.empty(); }

 private:
  std::map<Place, Item> waiting_;
  std::optional<Place> released_;
  int64_t watermark_us_ = std::numeric_limits<int64_t>::min();
};

}  // namespace holdfast::journal
