// What may join a queue, and what it is told when it may not.
#include "src/node/admission.h"

#include <gtest/gtest.h>

#include "src/base/bounds.h"

namespace holdfast::node {
namespace {

constexpr size_t kBytes = 100;
constexpr uint64_t kPatient = 60'000;

class AdmissionTest : public ::testing::Test {
 protected:
  void Enter(int count) {
    for (int i = 0; i < count; ++i) admission_.Enter(kBytes);
  }
  void Answer(int count, bool done = true) {
    for (int i = 0; i < count; ++i) admission_.Leave(kBytes, done);
  }
  // A second at this rate, the queue as long before as after.
  void Run(int per_second) {
    for (int i = 0; i < 5; ++i) {
      Answer(per_second / 5);
      Enter(per_second / 5);
      now_ms_ += 200;
      admission_.Step(now_ms_);
    }
  }
  bool Refused(uint64_t patience_ms = kPatient) {
    return admission_.Refusal(patience_ms).has_value();
  }

  uint64_t now_ms_ = 1'000'000;
  Admission admission_{"writes"};
};

TEST_F(AdmissionTest, NothingIsRefusedBeforeTheRateIsKnown) {
  Enter(100'000);
  EXPECT_FALSE(Refused());
}

TEST_F(AdmissionTest, WhatWouldWaitTooLongIsRefused) {
  Enter(2'000);
  Run(1'000);
  Run(1'000);
  EXPECT_NEAR(static_cast<double>(admission_.wait_ms()), 2'000, 100);
  const auto error = admission_.Refusal(kPatient);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, ErrorCode::kResourceExhausted);
  EXPECT_NEAR(error->retry_after_ms, 2'000, 100);
  Answer(1'600);
  EXPECT_FALSE(Refused()) << "400 wait 400 ms";
  EXPECT_TRUE(Refused(100)) << "its caller does not";
}

TEST_F(AdmissionTest, AShortQueueIsNeverRefused) {
  Enter(40);
  Run(20);
  Answer(25);
  EXPECT_GT(admission_.wait_ms(), 500u);
  EXPECT_FALSE(Refused());
}

TEST_F(AdmissionTest, IdleTimesTeachNothing) {
  Enter(3'000);
  Run(10'000);
  Answer(3'000);
  for (int i = 0; i < 100; ++i) {
    Enter(1);
    Answer(1);
    admission_.Step(now_ms_ += 200);
  }
  Enter(4'000);
  EXPECT_FALSE(Refused()) << "it could do 10,000 a second";
}

TEST_F(AdmissionTest, AStallTeachesNothingEither) {
  Enter(3'000);
  Run(10'000);
  for (int i = 0; i < 10; ++i) admission_.Step(now_ms_ += 200);
  EXPECT_FALSE(Refused()) << "an election: what waits is done as fast afterwards";
}

TEST_F(AdmissionTest, RefusalsAreNoAnswers) {
  Enter(2'000);
  Run(1'000);
  for (int i = 0; i < 10; ++i) {
    Answer(2'000, false);
    Enter(2'000);
    Answer(200);
    Enter(200);
    admission_.Step(now_ms_ += 200);
  }
  EXPECT_TRUE(Refused());
}

TEST_F(AdmissionTest, ARiseIsFollowedAtOnceAndAFallByAndBy) {
  Enter(2'000);
  Run(1'000);
  Answer(2'000);
  Enter(2'000);
  admission_.Step(now_ms_ += 200);  // 10,000 a second.
  EXPECT_FALSE(Refused());
  Run(1'000);
  Run(1'000);
  EXPECT_TRUE(Refused());
}

}  // namespace
}  // namespace holdfast::node
