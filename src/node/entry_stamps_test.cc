#include "src/node/entry_stamps.h"

#include <gtest/gtest.h>

namespace holdfast::node {
namespace {

class HeldClock : public Clock {
 public:
  uint64_t MonotonicMs() const override { return 0; }
  int64_t ElapsedUs() const override { return 77; }
  int64_t WallUs() const override { return 1'700'000'000'000'000; }
};

class EntryStampsTest : public ::testing::Test {
 protected:
  const HeldClock clock_{};
  clock::Estimate known_;  // Nothing.
  EntryStamps stamps_{clock_, [this](int64_t) { return known_; }};
};

TEST_F(EntryStampsTest, TheFirstWaitsForAgreement) {
  stamps_.Begin(5'000);
  EXPECT_FALSE(stamps_.MayStamp(5'001));
  known_.status = clock::Status::kSynchronised;
  EXPECT_TRUE(stamps_.MayStamp(5'002));
  known_.status = clock::Status::kUnsynchronised;
  EXPECT_TRUE(stamps_.MayStamp(5'003)) << "who knew the time once goes on from there";
}

TEST_F(EntryStampsTest, ButNotForEver) {
  stamps_.Begin(5'000);
  EXPECT_FALSE(stamps_.MayStamp(5'000 + bounds::kClockFirstStampMsMax - 1));
  EXPECT_TRUE(stamps_.MayStamp(5'000 + bounds::kClockFirstStampMsMax));
}

}  // namespace
}  // namespace holdfast::node
