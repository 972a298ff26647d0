// A datagram of anybody -> what it says about the time, and the claim that follows from it.
#include "fuzz/input.h"
#include "src/base/bounds.h"
#include "src/clock/ntp_packet.h"
#include "src/clock/sample.h"

namespace holdfast::clock {
namespace {

constexpr size_t kOriginAt = 24;

void CheckTimes(uint64_t time) {
  const int64_t us = FromNtpTime(time);
  HOLDFAST_CHECK(us >= -2'208'988'800'000'000 && us <= kTimeUsMax, "a time out of its eras");
  if (us < 0) return;
  HOLDFAST_CHECK(FromNtpTime(ToNtpTime(us)) == us, "a time that changes on its way");
}

void CheckAnswer(const NtpAnswer& answer) {
  switch (answer.kind) {
    case NtpAnswer::Kind::kRefused:
      HOLDFAST_CHECK(*answer.why != '\0', "refused without a reason");
      return;
    case NtpAnswer::Kind::kKiss:
      HOLDFAST_CHECK(answer.kiss.size() <= 4, "a kiss of more than four characters");
      return;
    case NtpAnswer::Kind::kTime: break;
  }
  HOLDFAST_CHECK(answer.stratum >= 1 && answer.stratum <= 15, "a time of no stratum");
  HOLDFAST_CHECK(answer.received_us <= answer.answered_us, "answered before it was asked");
  HOLDFAST_CHECK(answer.error_us >= 0 && answer.error_us <= 1'500'000, "too far from the root");
  const auto sample =
      SampleOf({1'000, answer.received_us, answer.answered_us, 51'000}, answer.error_us);
  if (!sample) return;
  const Claim claim = sample->At(60'000, bounds::kClockDriftPpmDefault);
  HOLDFAST_CHECK(claim.error_us >= answer.error_us, "a claim that is better than its source");
}

}  // namespace
}  // namespace holdfast::clock

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast::clock;
  const std::string_view datagram(reinterpret_cast<const char*>(data), size);
  CheckAnswer(ReadNtpAnswer(datagram, 0x5eed));
  if (size < kNtpBytes) return 0;
  // As if it had guessed the number.
  uint64_t origin = 0;
  for (size_t i = 0; i < 8; ++i) origin = origin << 8 | data[kOriginAt + i];
  CheckAnswer(ReadNtpAnswer(datagram, origin));
  CheckTimes(origin);
  return 0;
}
