#include "src/base/utc_text.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(UtcText, ShowsAsManyDecimalsAsAreAskedFor) {
  EXPECT_EQ(UtcText(1'714'564'800'000'000, 0), "2024-05-01T12:00:00Z");
  EXPECT_EQ(UtcText(1'714'564'800'001'234, 3), "2024-05-01T12:00:00.001Z");
  EXPECT_EQ(UtcText(1'714'564'800'001'234, 6), "2024-05-01T12:00:00.001234Z");
  EXPECT_EQ(UtcText(0, 6), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(UtcText(-1, 6), "1969-12-31T23:59:59.999999Z");
}

}  // namespace
}  // namespace holdfast
