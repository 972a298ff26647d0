#include "src/store/key_filter.h"

#include <gtest/gtest.h>

namespace holdfast::store {
namespace {

// As poor as a hash may be.
uint64_t HashOf(uint64_t key) { return key * 0x10001; }

TEST(KeyFilter, SaysMaybeToEverythingUntilItIsComplete) {
  KeyFilter filter;
  filter.Add(HashOf(1));
  EXPECT_TRUE(filter.MayHave(HashOf(2)));
  filter.Complete();
  EXPECT_TRUE(filter.MayHave(HashOf(1)));
  EXPECT_FALSE(filter.MayHave(HashOf(2)));
}

TEST(KeyFilter, AnEmptyBaseHasNoKey) {
  KeyFilter filter;
  filter.Complete();
  EXPECT_FALSE(filter.MayHave(0));
}

// Across stages: it never denies a key, and seldom claims one.
TEST(KeyFilter, KnowsItsKeysAndFewOthers) {
  KeyFilter filter;
  filter.Complete();
  constexpr uint64_t kKeys = 1'000'000;
  uint64_t checked = 0;
  for (uint64_t keys : {100u, 20'000u, 300'000u, 1'000'000u}) {
    for (; checked < keys; ++checked) filter.Add(HashOf(checked));
    for (uint64_t key = 0; key < keys; key += 7) ASSERT_TRUE(filter.MayHave(HashOf(key)));
    uint64_t wrong = 0;
    for (uint64_t key = 0; key < 100'000; ++key) wrong += filter.MayHave(HashOf(kKeys + key));
    EXPECT_LT(wrong, 4'000) << "of 100,000 after " << keys << " keys";
  }
}

}  // namespace
}  // namespace holdfast::store
