#include "src/clock/synchroniser.h"

#include <algorithm>

namespace holdfast::clock {
namespace {

// The estimate follows the node's own clock within the interval no faster than this, as an
// operating system slews: a clock that is set moves nothing at once.
constexpr uint64_t kSlewPpm = 500;

std::string Ms(int64_t us) { return std::to_string(us / 1'000) + " ms"; }

}  // namespace

const char* ToString(Status status) {
  switch (status) {
    case Status::kSynchronised: return "synchronised";
    case Status::kHoldover: return "holdover";
    case Status::kUnsynchronised: break;
  }
  return "unsynchronised";
}

void Synchroniser::Update(int64_t elapsed_us, const std::vector<std::optional<Claim>>& claims,
                          size_t needed, int64_t preferred_us) {
  std::vector<Interval> heard;
  for (const auto& claim : claims) {
    if (claim) heard.push_back(claim->interval());
  }
  sources_ = claims.size();
  heard_ = heard.size();
  needed_ = needed;
  false_.assign(claims.size(), false);
  const auto offsets = Agree(heard, needed);
  agrees_now_ = offsets.has_value();
  if (!agrees_now_) return;
  for (size_t i = 0; i < claims.size(); ++i) {
    false_[i] = claims[i] && !claims[i]->interval().Meets(*offsets);
  }
  int64_t offset_us = preferred_us;
  // As long as it knew the time before, it goes on from there, and follows its own clock slowly.
  if (agreed_ && At(elapsed_us).agreed()) {
    const int64_t slew_us = DriftUs(elapsed_us - agreed_->at_us, kSlewPpm);
    const bool is_believed = offsets->Meets({preferred_us, preferred_us});
    offset_us = is_believed ? std::clamp(preferred_us, agreed_->offset_us - slew_us,
                                         agreed_->offset_us + slew_us)
                            : agreed_->offset_us;
  }
  offset_us = std::clamp(offset_us, offsets->earliest_us, offsets->latest_us);
  agreed_ = Agreed{*offsets, elapsed_us, offset_us};
}

Interval Synchroniser::OffsetsAt(int64_t elapsed_us) const {
  const int64_t drift_us = DriftUs(elapsed_us - agreed_->at_us, options_.drift_ppm);
  return {agreed_->offsets.earliest_us - drift_us, agreed_->offsets.latest_us + drift_us};
}

Estimate Synchroniser::At(int64_t elapsed_us) const {
  Estimate estimate;
  if (!agreed_) return estimate;
  const Interval offsets = OffsetsAt(elapsed_us);
  estimate.now_us = elapsed_us + agreed_->offset_us;
  estimate.bounds = {elapsed_us + offsets.earliest_us, elapsed_us + offsets.latest_us};
  if (offsets.error_us() > options_.error_us_max) return estimate;
  estimate.status = agrees_now_ ? Status::kSynchronised : Status::kHoldover;
  return estimate;
}

std::string Synchroniser::Reason(int64_t elapsed_us) const {
  const Status status = At(elapsed_us).status;
  if (status == Status::kSynchronised) return "";
  const std::string heard = std::to_string(heard_) + " of " + std::to_string(sources_) + " clocks";
  std::string why;
  if (agrees_now_) {
    why = "they agree within " + Ms(OffsetsAt(elapsed_us).error_us()) + " only, and " +
          Ms(options_.error_us_max) + " are allowed";
  } else if (heard_ < needed_) {
    why = "heard " + heard + ", and " + std::to_string(needed_) + " must agree";
  } else {
    why = "heard " + heard + ", and no " + std::to_string(needed_) + " of them agree";
  }
  if (!agreed_) return why;
  if (agrees_now_) return why;
  why +=
      "; agreement ended " + std::to_string((elapsed_us - agreed_->at_us) / 1'000'000) + " s ago";
  if (status == Status::kUnsynchronised) {
    why += ", and by now this clock may be off by more than " + Ms(options_.error_us_max);
  }
  return why;
}

}  // namespace holdfast::clock
