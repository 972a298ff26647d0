// Puts messages of a chat room in order that come late, overtake one another, come twice or never
// (services/chat): those that the server numbered, and that name the numbers they follow.
//
//   client::CausalBuffer<std::string> room(/*after=*/0);
//   std::vector<client::CausalBuffer<std::string>::Out> out;
//   // Held back.
//   room.Add({.number = 2, .follows = {1}, .bytes = 5, .payload = "hello"}, now_ms, &out);
//   // Both come out.
//   room.Add({.number = 1, .follows = {}, .bytes = 2, .payload = "hi"}, now_ms, &out);
//   // The server's page reached up to 3, which was not on it: it may still come, or never.
//   room.Reached(3, now_ms);
//   // By room.next_due_ms() at the latest: what has waited, or been waited for, for too long.
//   room.Pass(now_ms, &out);
//
// The rule: a message comes out once every message of a lower number has come out or was given up.
// A message follows lower numbers only, so nothing comes before what it follows; and concurrent
// messages come out in the same order everywhere. Waiting for dependencies alone would not do that:
// of two concurrent messages one program would show first what reached it first, and whoever shows
// the higher number cannot know of the lower one unless it waits.
//
// The bounds: no message is held back for longer than the patience, nor more of them, or of their
// bytes, than fit. Past any of these what is missing below is given up: a gap comes out in its
// place, then what waited for it, each with those of its own dependencies that are missing. A loss
// at the very end keeps nothing waiting, so nobody would ever see it: what the source is known to
// have reached (Reached) is waited for with the same patience, and then given up as well. What was
// given up and comes after all comes out as late, as long as its gap is remembered: past
// kCausalGapsMax gaps the oldest are forgotten, and what comes of them is dropped as a repeat.
//
// So programs that give up nothing agree on all of the order, and whoever gives up something sees
// that.
//
// Pure: no clock and no threads of its own. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "src/base/bounds.h"

namespace holdfast::client {

struct CausalBounds {
  size_t held_max = bounds::kCausalHeldDefault;
  size_t held_bytes_max = bounds::kCausalHeldBytesDefault;
  int64_t patience_ms = bounds::kCausalPatienceMsDefault;
};

template <class Payload>
class CausalBuffer {
 public:
  struct Item {
    uint64_t number = 0;
    std::vector<uint64_t> follows;  // Numbers.
    size_t bytes = 0;               // What it counts for, of held_bytes_max.
    Payload payload{};
  };

  enum class Kind { kMessage, kGap, kLate };
  struct Out {
    Kind kind = Kind::kMessage;
    uint64_t from = 0;                // Of a gap: its numbers.
    uint64_t to = 0;                  // With this one.
    std::optional<Item> item;         // Of all others.
    std::vector<uint64_t> missing{};  // What it follows and was given up.
  };

  // What an arrival was.
  enum class Took {
    kNew,        // It is out, or held back.
    kRepeat,     // It was there before, or its gap is forgotten: dropped.
    kLate,       // It had been given up, and is out.
    kMalformed,  // It has no number, or follows what is not lower: dropped.
  };

  // Messages up to `after` count as seen.
  explicit CausalBuffer(uint64_t after = 0, CausalBounds bounds = {})
      : bounds_(bounds), next_(after + 1) {}

  // Appends to `out` what comes out because of it. `now_ms` does not go back.
  Took Add(Item item, int64_t now_ms, std::vector<Out>* out) {
    const uint64_t number = item.number;
    const auto follows_higher = [&](uint64_t other) { return other >= number; };
    if (number == 0 || number == std::numeric_limits<uint64_t>::max() ||
        std::any_of(item.follows.begin(), item.follows.end(), follows_higher)) {
      return Took::kMalformed;
    }
    if (number < next_) {
      if (!TakeFromGap(number)) return Took::kRepeat;
      Emit(Kind::kLate, std::move(item), out);
      return Took::kLate;
    }
    if (held_.contains(number)) return Took::kRepeat;
    bytes_ += item.bytes;
    waiting_.emplace(now_ms, number);
    held_.emplace(number, Held{std::move(item), now_ms});
    Release(out);
    while (held_.size() > bounds_.held_max || bytes_ > bounds_.held_bytes_max) GiveUp(out);
    Pass(now_ms, out);
    return Took::kNew;
  }

  // All up to this number is there at the source, and has come by `at_ms`, which may lie ahead,
  // unless it is late or lost. No earlier time than before.
  void Reached(uint64_t number, int64_t at_ms) {
    if (number < next_ || number == std::numeric_limits<uint64_t>::max()) return;
    if (!reached_.empty()) {
      if (number <= reached_.back().second) return;
      at_ms = std::max(at_ms, reached_.back().first);
      // Too many wait: the newest two become one, as of the later.
      if (reached_.size() == bounds::kCausalGapsMax) reached_.pop_back();
    }
    reached_.emplace_back(at_ms, number);
  }

  // Time has passed.
  void Pass(int64_t now_ms, std::vector<Out>* out) {
    const auto is_due = [&](int64_t since_ms) { return since_ms + bounds_.patience_ms <= now_ms; };
    for (;;) {
      if (!waiting_.empty() && is_due(waiting_.begin()->first)) {
        GiveUp(out);
      } else if (!reached_.empty() && is_due(reached_.front().first)) {
        GiveUpTo(std::min(reached_.front().second, BeforeHeld()), out);
      } else {
        return;
      }
    }
  }

  // When to call Pass though nothing has come; nullopt: nothing waits, nor is waited for.
  std::optional<int64_t> next_due_ms() const {
    if (waiting_.empty() && reached_.empty()) return std::nullopt;
    const int64_t since_ms = waiting_.empty() ? reached_.front().first
                             : reached_.empty()
                                 ? waiting_.begin()->first
                                 : std::min(waiting_.begin()->first, reached_.front().first);
    return since_ms + bounds_.patience_ms;
  }
  size_t held() const { return held_.size(); }
  size_t held_bytes() const { return bytes_; }
  // The lowest number that is neither out nor given up.
  uint64_t next() const { return next_; }

 private:
  struct Held {
    Item item;
    int64_t since_ms;
  };

  void Emit(Kind kind, Item item, std::vector<Out>* out) {
    Out emitted;
    emitted.kind = kind;
    for (const uint64_t other : item.follows) {
      if (InGap(other)) emitted.missing.push_back(other);
    }
    emitted.item = std::move(item);
    out->push_back(std::move(emitted));
  }

  // What follows the last one without a gap.
  void Release(std::vector<Out>* out) {
    for (auto it = held_.begin(); it != held_.end() && it->first == next_; it = held_.erase(it)) {
      ++next_;
      bytes_ -= it->second.item.bytes;
      waiting_.erase({it->second.since_ms, it->first});
      Emit(Kind::kMessage, std::move(it->second.item), out);
    }
    while (!reached_.empty() && reached_.front().second < next_) reached_.pop_front();
  }

  // The last number that is missing before the first that is held back.
  uint64_t BeforeHeld() const {
    return held_.empty() ? std::numeric_limits<uint64_t>::max() : held_.begin()->first - 1;
  }
  // What is missing before the first that is held back.
  void GiveUp(std::vector<Out>* out) { GiveUpTo(BeforeHeld(), out); }
  // What is missing up to this number; nothing of that is held back.
  void GiveUpTo(uint64_t last, std::vector<Out>* out) {
    Out gap;
    gap.kind = Kind::kGap;
    gap.from = next_;
    gap.to = last;
    gaps_.emplace(gap.from, gap.to);
    if (gaps_.size() > bounds::kCausalGapsMax) gaps_.erase(gaps_.begin());
    next_ = last + 1;
    out->push_back(std::move(gap));
    Release(out);
  }

  std::map<uint64_t, uint64_t>::const_iterator GapOf(uint64_t number) const {
    auto it = gaps_.upper_bound(number);
    if (it == gaps_.begin()) return gaps_.end();
    --it;
    return it->second >= number ? it : gaps_.end();
  }
  bool InGap(uint64_t number) const { return GapOf(number) != gaps_.end(); }
  bool TakeFromGap(uint64_t number) {
    const auto it = GapOf(number);
    if (it == gaps_.end()) return false;
    const auto [from, to] = *it;
    gaps_.erase(it);
    if (from < number) gaps_.emplace(from, number - 1);
    if (number < to) gaps_.emplace(number + 1, to);
    if (gaps_.size() > bounds::kCausalGapsMax) gaps_.erase(gaps_.begin());
    return true;
  }

  const CausalBounds bounds_;
  uint64_t next_;
  std::map<uint64_t, Held> held_;                   // All above next_.
  std::set<std::pair<int64_t, uint64_t>> waiting_;  // The same, by since when.
  size_t bytes_ = 0;
  std::deque<std::pair<int64_t, uint64_t>> reached_;  // When, and up to where; both grow.
  std::map<uint64_t, uint64_t> gaps_;                 // First and last number of each; below next_.
};

}  // namespace holdfast::client
