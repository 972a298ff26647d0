#include "src/clock/ntp_packet.h"

#include <gtest/gtest.h>

namespace holdfast::clock {
namespace {

constexpr int64_t kEpochUs = 1'700'000'000'000'000;
constexpr uint64_t kNonce = 0x0123'4567'89ab'cdef;

NtpServerState Good() {
  NtpServerState state;
  state.origin = kNonce;
  state.received_us = kEpochUs;
  state.answered_us = kEpochUs + 30;
  state.root_delay = 655;       // 10 ms.
  state.root_dispersion = 328;  // 5 ms.
  return state;
}

TEST(NtpPacketTest, TheQuestion) {
  const std::string question = NtpQuestion(kNonce);
  ASSERT_EQ(question.size(), 48u);
  EXPECT_EQ(question[0], 0x23);  // No leap known, version 4, client.
  // It tells nothing but the number.
  EXPECT_EQ(question.substr(1, 39), std::string(39, '\0'));
  EXPECT_EQ(question.substr(40), std::string("\x01\x23\x45\x67\x89\xab\xcd\xef", 8));
}

TEST(NtpPacketTest, AGoodAnswer) {
  const NtpAnswer answer = ReadNtpAnswer(NtpAnswerBytes(Good()), kNonce);
  ASSERT_EQ(answer.kind, NtpAnswer::Kind::kTime) << answer.why;
  EXPECT_EQ(answer.received_us, kEpochUs);
  EXPECT_EQ(answer.answered_us, kEpochUs + 30);
  EXPECT_EQ(answer.stratum, 2u);
  EXPECT_NEAR(static_cast<double>(answer.error_us), 10'000, 20);  // Half of 10 ms, and 5.
}

// As bytes of another's making: RFC 5905's example of a server's answer, field by field.
TEST(NtpPacketTest, GoldenBytes) {
  const unsigned char bytes[48] = {
      0x24, 0x01, 0x03, 0xe9, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10,  // ... dispersion
      'G',  'P',  'S',  0x00, 0xe8, 0xfe, 0x6f, 0x80, 0x00, 0x00, 0x00, 0x00,  // reference
      0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,                          // origin
      0xe8, 0xfe, 0x6f, 0x80, 0x80, 0x00, 0x00, 0x00,                          // received
      0xe8, 0xfe, 0x6f, 0x80, 0xc0, 0x00, 0x00, 0x00,                          // answered
  };
  const NtpAnswer answer =
      ReadNtpAnswer({reinterpret_cast<const char*>(bytes), sizeof(bytes)}, kNonce);
  ASSERT_EQ(answer.kind, NtpAnswer::Kind::kTime) << answer.why;
  EXPECT_EQ(answer.stratum, 1u);
  EXPECT_EQ(answer.received_us, (int64_t{0xe8fe6f80} - 2'208'988'800) * 1'000'000 + 500'000);
  EXPECT_EQ(answer.answered_us - answer.received_us, 250'000);
  EXPECT_EQ(answer.error_us, 245);  // 16/65536 s, rounded up.
}

TEST(NtpPacketTest, WhatIsNoTimeIsRefused) {
  struct Case {
    const char* what;
    void (*change)(NtpServerState&);
    const char* why;
  };
  const Case cases[] = {
      {"another's question", [](NtpServerState& s) { s.origin ^= 1; },
       "it answers another question"},
      {"no question", [](NtpServerState& s) { s.origin = 0; }, "it answers another question"},
      {"a client", [](NtpServerState& s) { s.mode = 3; }, "it is not from a server"},
      {"a broadcast", [](NtpServerState& s) { s.mode = 5; }, "it is not from a server"},
      {"version 2", [](NtpServerState& s) { s.version = 2; }, "it is of an unknown version"},
      {"version 5", [](NtpServerState& s) { s.version = 5; }, "it is of an unknown version"},
      {"leap 3", [](NtpServerState& s) { s.leap = 3; }, "the server is not synchronised"},
      {"stratum 16", [](NtpServerState& s) { s.stratum = 16; }, "the server is not synchronised"},
      {"stratum 255", [](NtpServerState& s) { s.stratum = 255; }, "the server is not synchronised"},
      {"never received", [](NtpServerState& s) { s.received_us = 0; }, "it has no time"},
      {"never sent", [](NtpServerState& s) { s.answered_us = 0; }, "it has no time"},
      {"backwards", [](NtpServerState& s) { s.answered_us = kEpochUs - 1; },
       "it was answered before it was asked"},
      {"a far root", [](NtpServerState& s) { s.root_delay = 0xffff'ffff; },
       "the server is too far from the root"},
      {"a loose root", [](NtpServerState& s) { s.root_dispersion = 0xffff'ffff; },
       "the server is too far from the root"},
      {"both at their worst",
       [](NtpServerState& s) { s.root_delay = s.root_dispersion = 0xffff'ffff; },
       "the server is too far from the root"},
  };
  for (const Case& one : cases) {
    NtpServerState state = Good();
    one.change(state);
    const NtpAnswer answer = ReadNtpAnswer(NtpAnswerBytes(state), kNonce);
    EXPECT_EQ(answer.kind, NtpAnswer::Kind::kRefused) << one.what;
    EXPECT_STREQ(answer.why, one.why) << one.what;
  }
}

TEST(NtpPacketTest, AnythingShorterIsRefused) {
  const std::string bytes = NtpAnswerBytes(Good());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(ReadNtpAnswer(std::string_view(bytes).substr(0, size), kNonce).kind,
              NtpAnswer::Kind::kRefused);
  }
}

TEST(NtpPacketTest, WhatFollowsIsNotLookedAt) {
  EXPECT_EQ(ReadNtpAnswer(NtpAnswerBytes(Good()) + std::string(400, '\xff'), kNonce).kind,
            NtpAnswer::Kind::kTime);
}

TEST(NtpPacketTest, AKissOfDeath) {
  for (const char* code : {"RATE", "DENY", "RSTR"}) {
    NtpServerState state = Good();
    state.stratum = 0;
    state.leap = 3;
    state.reference = code;
    const NtpAnswer answer = ReadNtpAnswer(NtpAnswerBytes(state), kNonce);
    EXPECT_EQ(answer.kind, NtpAnswer::Kind::kKiss);
    EXPECT_EQ(answer.kiss, code);
  }
}

// Anybody could send it, to have us ask no more.
TEST(NtpPacketTest, AKissOfWhoDoesNotKnowTheQuestionIsNone) {
  NtpServerState state = Good();
  state.stratum = 0;
  state.reference = "DENY";
  state.origin = 5;
  EXPECT_EQ(ReadNtpAnswer(NtpAnswerBytes(state), kNonce).kind, NtpAnswer::Kind::kRefused);
}

TEST(NtpPacketTest, AKissOfAnyBytesIsPlainText) {
  NtpServerState state = Good();
  state.stratum = 0;
  state.reference = "R\n\x1b[";
  EXPECT_EQ(ReadNtpAnswer(NtpAnswerBytes(state), kNonce).kiss, "R");
}

// The seconds of NTP begin anew on 7 February 2036, at 06:28:16.
TEST(NtpPacketTest, TheNextEra) {
  const int64_t rollover_us = 2'085'978'496'000'000;
  EXPECT_EQ(ToNtpTime(rollover_us) >> 32, 0u);
  EXPECT_EQ(ToNtpTime(rollover_us - 1'000'000) >> 32, 0xffff'ffffu);
  for (const int64_t us : {rollover_us - 1, rollover_us, rollover_us + 1, rollover_us + kEpochUs}) {
    EXPECT_EQ(FromNtpTime(ToNtpTime(us)), us);
  }
  NtpServerState state = Good();
  state.received_us = rollover_us - 10;
  state.answered_us = rollover_us + 10;
  const NtpAnswer answer = ReadNtpAnswer(NtpAnswerBytes(state), kNonce);
  ASSERT_EQ(answer.kind, NtpAnswer::Kind::kTime) << answer.why;
  EXPECT_EQ(answer.answered_us - answer.received_us, 20);
}

TEST(NtpPacketTest, MicrosecondsSurviveTheWay) {
  for (int64_t us = kEpochUs; us < kEpochUs + 2'000'000; us += 997) {
    ASSERT_EQ(FromNtpTime(ToNtpTime(us)), us);
  }
}

}  // namespace
}  // namespace holdfast::clock
