#include "src/node/admission.h"

#include <algorithm>
#include <string>

#include "src/base/bounds.h"

namespace holdfast::node {
namespace {

// Several group commits long, so that their rhythm does not show.
constexpr uint64_t kWindowMs = 200;
// What a request costs beside its bytes, in bytes: a transfer of a batch of 1,000 takes about 70
// bytes and 15 us; one that comes by itself about 80 us.
constexpr uint64_t kRequestWork = 256;

constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

uint64_t Admission::wait_ms() const {
  const uint64_t rate = per_second_.load(kRelaxed);
  return rate == 0 ? 0 : work_.load(kRelaxed) * 1'000 / rate;
}

std::optional<Error> Admission::Refusal(uint64_t patience_ms) const {
  if (requests_.load(kRelaxed) < bounds::kUnhurriedRequests) return std::nullopt;
  const uint64_t wait = wait_ms();
  if (wait <= std::min(bounds::kWaitMsMax, patience_ms)) return std::nullopt;
  Error error;
  error.code = ErrorCode::kResourceExhausted;
  error.message = "too many " + std::string(what_) + " are waiting on this node: about " +
                  std::to_string(wait) + " ms";
  error.hint = "Nothing was done. Slow down and try again.";
  error.retry_after_ms =
      static_cast<uint32_t>(std::clamp(wait, bounds::kRetryAfterMsMin, bounds::kRetryAfterMsMax));
  return error;
}

void Admission::Enter(size_t bytes) {
  requests_.fetch_add(1, kRelaxed);
  work_.fetch_add(bytes + kRequestWork, kRelaxed);
}

void Admission::Leave(size_t bytes, bool done) {
  if (requests_.fetch_sub(1, kRelaxed) <= bounds::kUnhurriedRequests) {
    drained_.store(true, kRelaxed);
  }
  work_.fetch_sub(bytes + kRequestWork, kRelaxed);
  if (done) answered_.fetch_add(bytes + kRequestWork, kRelaxed);
}

void Admission::Step(uint64_t now_ms) {
  if (now_ms < window_ms_ + kWindowMs) return;
  const uint64_t answered = answered_.load(kRelaxed);
  const uint64_t rate = (answered - window_answered_) * 1'000 / (now_ms - window_ms_);
  const uint64_t known = per_second_.load(kRelaxed);
  const bool queued = !drained_.load(kRelaxed);
  if (known != 0 && rate > known) {
    per_second_.store(rate, kRelaxed);
  } else if (queued && rate > 0) {
    per_second_.store(known == 0 ? rate : (known + rate) / 2, kRelaxed);
  }
  window_ms_ = now_ms;
  window_answered_ = answered;
  drained_.store(requests_.load(kRelaxed) < bounds::kUnhurriedRequests, kRelaxed);
}

}  // namespace holdfast::node
