// What can be known of a source's clock, and what follows from it for the times that it tells.
//
// The offset of a clock is what must be added to it for the log's time. It is bounded by *facts*,
// each of which holds for certain at one reading of the clock:
//
//   source  |--- append, sent at A ---->|  the entry is stamped S: after A was read,
//           |<-- answer, received at D -|  before D was:  S - D <= offset <= S - A
//
// Away from its reading a fact loses as much as the clock may have drifted meanwhile, forwards and
// backwards. So every bound is a cone over the readings of the clock; two facts contradict each
// other when their cones leave no room between them, and then the clock was set in between.
//
// Integers alone, all in microseconds: apply uses it. README.md, "The offset of a clock".
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

namespace holdfast::journal {

struct Fact {
  int64_t at_us = 0;      // The reading of the source's clock ...
  int64_t offset_us = 0;  // ... at which the offset was at least, or at most, this.
  auto Fields() { return std::tie(at_us, offset_us); }
  auto Fields() const { return std::tie(at_us, offset_us); }
};

struct Facts {
  std::optional<Fact> lower;
  std::optional<Fact> upper;
};

// By how much a clock that is at most so many millionths too fast or too slow may have moved away
// while it went from one reading to the other: rounded up.
int64_t Drift(int64_t from_us, int64_t to_us, uint32_t drift_ppm);

// Bounds of the offset at a reading of the clock, as far as there are facts.
std::optional<int64_t> LowerAt(const Facts& facts, int64_t at_us, uint32_t drift_ppm);
std::optional<int64_t> UpperAt(const Facts& facts, int64_t at_us, uint32_t drift_ppm);

// Adds what one append tells to what is known, of each kind the fact that says more at the newer
// reading. True: they contradict each other, so the clock was set; what was known is forgotten.
bool Learn(const Facts& told, uint32_t drift_ppm, Facts* known);

enum class Correct : uint8_t {
  kNone = 1,          // Nothing is known.
  kOneSided = 2,      // By as little as agrees with the one bound that is known.
  kBounded = 3,       // By the middle of both bounds.
  kTooFar = 4,        // The clock is off by more than was allowed: taken as it is.
  kContradicted = 5,  // It would have happened after its stamp: by another clock, so the stamp.
  kNoTime = 6         // It came without a time: the stamp.
};

struct Corrected {
  Correct how = Correct::kNone;
  int64_t at_us = 0;  // Never later than the stamp.
  std::optional<uint64_t> error_us;
};

// `time_us` by the source's clock as log time, of a record in an entry stamped `stamp_us`.
Corrected CorrectTime(const Facts& facts, int64_t time_us, int64_t stamp_us, uint32_t drift_ppm,
                      int64_t max_offset_us);

}  // namespace holdfast::journal
