#include "src/clock/ntp_packet.h"

#include <algorithm>

#include "src/base/bounds.h"

namespace holdfast::clock {
namespace {

constexpr uint8_t kVersion = 4;
constexpr uint8_t kClientMode = 3;
constexpr uint8_t kServerMode = 4;
constexpr uint8_t kNoLeapKnown = 3;                // The server's own clock is not synchronised.
constexpr uint8_t kStratumMax = 15;                // 16: not synchronised either.
constexpr uint64_t kEpochSeconds = 2'208'988'800;  // From 1900 to 1970.
constexpr uint64_t kEraSeconds = uint64_t{1} << 32;

// Where the fields lie.
constexpr size_t kStratumAt = 1;
constexpr size_t kRootDelayAt = 4;
constexpr size_t kRootDispersionAt = 8;
constexpr size_t kReferenceAt = 12;
constexpr size_t kOriginAt = 24;
constexpr size_t kReceiveAt = 32;
constexpr size_t kTransmitAt = 40;

// Network order.
template <class T>
T Read(std::string_view bytes, size_t at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value << 8 | static_cast<uint8_t>(bytes[at + i]));
  }
  return value;
}
template <class T>
void Write(std::string* bytes, size_t at, T value) {
  for (size_t i = sizeof(T); i-- > 0; value = static_cast<T>(value >> 8)) {
    (*bytes)[at + i] = static_cast<char>(value & 0xff);
  }
}

// From units of 1/65536 s, rounded up.
int64_t ShortUs(uint32_t value) {
  return static_cast<int64_t>((uint64_t{value} * 1'000'000 + 65'535) >> 16);
}

char Header(uint8_t leap, uint8_t version, uint8_t mode) {
  return static_cast<char>((leap & 3) << 6 | (version & 7) << 3 | (mode & 7));
}

NtpAnswer Refused(const char* why) {
  NtpAnswer answer;
  answer.why = why;
  return answer;
}

NtpAnswer Kiss(std::string_view code) {
  NtpAnswer answer;
  answer.kind = NtpAnswer::Kind::kKiss;
  for (const char c : code) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain) break;
    answer.kiss += c;
  }
  return answer;
}

}  // namespace

uint64_t ToNtpTime(int64_t us) {
  const auto whole = static_cast<uint64_t>(us);
  const uint64_t seconds = (whole / 1'000'000 + kEpochSeconds) % kEraSeconds;
  // Up, so that the way back, which rounds down, ends at the same microsecond.
  const uint64_t fraction = ((whole % 1'000'000 << 32) + 999'999) / 1'000'000;
  return seconds << 32 | fraction;
}

int64_t FromNtpTime(uint64_t time) {
  uint64_t seconds = time >> 32;
  if (seconds < kEraSeconds / 2) seconds += kEraSeconds;
  const uint64_t fraction = time & 0xffff'ffff;
  const auto since_epoch = static_cast<int64_t>(seconds) - static_cast<int64_t>(kEpochSeconds);
  return since_epoch * 1'000'000 + static_cast<int64_t>(fraction * 1'000'000 >> 32);
}

std::string NtpQuestion(uint64_t nonce) {
  std::string bytes(kNtpBytes, '\0');
  bytes[0] = Header(0, kVersion, kClientMode);
  Write(&bytes, kTransmitAt, nonce);
  return bytes;
}

namespace {

// Of whoever knows the question.
NtpAnswer ReadOurs(std::string_view datagram) {
  const auto header = static_cast<uint8_t>(datagram[0]);
  const uint8_t version = header >> 3 & 7;
  if ((header & 7) != kServerMode) return Refused("it is not from a server");
  if (version < 3 || version > kVersion) return Refused("it is of an unknown version");
  const auto stratum = static_cast<uint8_t>(datagram[kStratumAt]);
  if (stratum == 0) return Kiss(datagram.substr(kReferenceAt, 4));
  if (header >> 6 == kNoLeapKnown || stratum > kStratumMax) {
    return Refused("the server is not synchronised");
  }
  const uint64_t receive = Read<uint64_t>(datagram, kReceiveAt);
  const uint64_t transmit = Read<uint64_t>(datagram, kTransmitAt);
  if (receive == 0 || transmit == 0) return Refused("it has no time");
  NtpAnswer answer;
  answer.stratum = stratum;
  answer.received_us = FromNtpTime(receive);
  answer.answered_us = FromNtpTime(transmit);
  // How far the server may be off: half of the way to the clock that it goes by, and what has added
  // up on it.
  answer.error_us = (ShortUs(Read<uint32_t>(datagram, kRootDelayAt)) + 1) / 2 +
                    ShortUs(Read<uint32_t>(datagram, kRootDispersionAt));
  if (answer.answered_us < answer.received_us)
    return Refused("it was answered before it was asked");
  if (answer.error_us > int64_t{bounds::kNtpRootDistanceMsMax} * 1'000) {
    return Refused("the server is too far from the root");
  }
  answer.kind = NtpAnswer::Kind::kTime;
  return answer;
}

}  // namespace

NtpAnswer ReadNtpAnswer(std::string_view datagram, uint64_t nonce) {
  if (datagram.size() < kNtpBytes) return Refused("it is shorter than 48 bytes");
  // First of all: who does not know the question has no say, and no kiss to give either.
  if (Read<uint64_t>(datagram, kOriginAt) != nonce) return Refused("it answers another question");
  NtpAnswer answer = ReadOurs(datagram);
  answer.is_ours = true;
  return answer;
}

std::string NtpAnswerBytes(const NtpServerState& state) {
  std::string bytes(kNtpBytes, '\0');
  bytes[0] = Header(state.leap, state.version, state.mode);
  bytes[kStratumAt] = static_cast<char>(state.stratum);
  Write(&bytes, kRootDelayAt, state.root_delay);
  Write(&bytes, kRootDispersionAt, state.root_dispersion);
  bytes.replace(kReferenceAt, std::min<size_t>(state.reference.size(), 4),
                state.reference.substr(0, 4));
  Write(&bytes, kOriginAt, state.origin);
  Write(&bytes, kReceiveAt, state.received_us == 0 ? uint64_t{0} : ToNtpTime(state.received_us));
  Write(&bytes, kTransmitAt, state.answered_us == 0 ? uint64_t{0} : ToNtpTime(state.answered_us));
  return bytes;
}

}  // namespace holdfast::clock
