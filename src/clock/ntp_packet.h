// NTP version 4 as a client speaks it (RFC 5905, section 7.3): one question, one answer of 48
// bytes. No authentication, and no extension fields: what follows is not looked at.
//
// An answer comes from the network and may say anything. What protects the asker is a number that
// nobody else knows: the question's transmit timestamp is drawn at random, and an answer that does
// not repeat it as its origin is none. What is left of a lie the other sources have to outweigh
// (agreement.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::clock {

inline constexpr size_t kNtpBytes = 48;

// The question whose answer repeats `nonce`.
std::string NtpQuestion(uint64_t nonce);

struct NtpAnswer {
  enum class Kind : uint8_t {
    kTime,     // The server's time.
    kKiss,     // It asks to be left alone, for the reason that `kiss` names: RATE, DENY, RSTR ...
    kRefused,  // Not an answer to the question, or no time to go by; `why` says so.
  };
  Kind kind = Kind::kRefused;
  bool is_ours = false;  // It repeats the number of the question.
  const char* why = "";
  std::string kiss;         // Four characters, or fewer; letters and digits only.
  int64_t received_us = 0;  // When the server got the question, since the epoch ...
  int64_t answered_us = 0;  // ... and when it answered.
  int64_t error_us = 0;     // That it gives for its own time: its distance from the root.
  uint32_t stratum = 0;     // 1: it has a clock of its own.
};

// Of a datagram that came from where the question was sent to.
NtpAnswer ReadNtpAnswer(std::string_view datagram, uint64_t nonce);

// For a server's part, in tests: the answer to a question.
struct NtpServerState {
  uint8_t leap = 0;
  uint8_t version = 4;
  uint8_t mode = 4;
  uint8_t stratum = 2;
  uint32_t root_delay = 0;       // In units of 1/65536 s, as is ...
  uint32_t root_dispersion = 0;  // ... this.
  std::string reference = "TEST";
  uint64_t origin = 0;
  int64_t received_us = 0;
  int64_t answered_us = 0;
};
std::string NtpAnswerBytes(const NtpServerState& state);

// NTP's time: seconds since 1900 and their fraction, 32 bits each. The seconds begin anew in 2036:
// those of the lower half are of the time from then on, until 2104.
uint64_t ToNtpTime(int64_t us);
int64_t FromNtpTime(uint64_t time);

}  // namespace holdfast::clock
