#include "services/journal/offset.h"

#include <algorithm>

namespace holdfast::journal {
namespace {

__extension__ using Wide = __int128;

// Whether there is an offset that agrees with both, at every reading of the clock.
bool Agree(const std::optional<Fact>& lower, const std::optional<Fact>& upper, uint32_t drift_ppm) {
  if (!lower || !upper) return true;
  return lower->offset_us <= upper->offset_us + Drift(lower->at_us, upper->at_us, drift_ppm);
}

}  // namespace

int64_t Drift(int64_t from_us, int64_t to_us, uint32_t drift_ppm) {
  const Wide apart = from_us < to_us ? Wide(to_us) - from_us : Wide(from_us) - to_us;
  // Of the true time that went by, which is longer than a fast clock says.
  const Wide per = 1'000'000 - Wide(drift_ppm);
  return static_cast<int64_t>((apart * drift_ppm + per - 1) / per);
}

std::optional<int64_t> LowerAt(const Facts& facts, int64_t at_us, uint32_t drift_ppm) {
  if (!facts.lower) return std::nullopt;
  return facts.lower->offset_us - Drift(facts.lower->at_us, at_us, drift_ppm);
}

std::optional<int64_t> UpperAt(const Facts& facts, int64_t at_us, uint32_t drift_ppm) {
  if (!facts.upper) return std::nullopt;
  return facts.upper->offset_us + Drift(facts.upper->at_us, at_us, drift_ppm);
}

bool Learn(const Facts& told, uint32_t drift_ppm, Facts* known) {
  // An append that is sent before the answer that it speaks of had come: set back in between. The
  // one time is rounded up and the other down, so a microsecond is nothing.
  const bool set_back = told.lower && told.upper && told.upper->at_us + 1 < told.lower->at_us;
  const bool itself = !set_back && Agree(told.lower, told.upper, drift_ppm);
  if (itself && Agree(known->lower, known->upper, drift_ppm) &&
      Agree(known->lower, told.upper, drift_ppm) && Agree(told.lower, known->upper, drift_ppm)) {
    if (told.lower) {
      const auto before = LowerAt(*known, told.lower->at_us, drift_ppm);
      if (!before || *before < told.lower->offset_us) known->lower = told.lower;
    }
    if (told.upper) {
      const auto before = UpperAt(*known, told.upper->at_us, drift_ppm);
      if (!before || *before > told.upper->offset_us) known->upper = told.upper;
    }
    return false;
  }
  *known = told;
  if (!itself) known->lower.reset();  // The upper bound is the newer one.
  return true;
}

Corrected CorrectTime(const Facts& facts, int64_t time_us, int64_t stamp_us, uint32_t drift_ppm,
                      int64_t max_offset_us) {
  const auto lower = LowerAt(facts, time_us, drift_ppm);
  const auto upper = UpperAt(facts, time_us, drift_ppm);
  Corrected corrected;
  int64_t offset = 0;
  if (lower && upper) {
    corrected.how = Correct::kBounded;
    offset = *lower + (*upper - *lower) / 2;
    corrected.error_us = static_cast<uint64_t>(*upper - offset);
  } else if (lower || upper) {
    corrected.how = Correct::kOneSided;
    offset = lower ? std::max<int64_t>(0, *lower) : std::min<int64_t>(0, *upper);
  }
  if (offset > max_offset_us || offset < -max_offset_us) {
    return {Correct::kTooFar, std::min(time_us, stamp_us), std::nullopt};
  }
  if (lower && time_us + *lower > stamp_us) {
    return {Correct::kContradicted, stamp_us, std::nullopt};
  }
  corrected.at_us = std::min(time_us + offset, stamp_us);
  return corrected;
}

}  // namespace holdfast::journal
