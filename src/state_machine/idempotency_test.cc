// The request layer of exactly-once: what is replayed, what is refused, and for how long.
#include <gtest/gtest.h>

#include "src/base/bounds.h"
#include "src/state_machine/testing/sample.h"

namespace holdfast::state_machine {
namespace {

using namespace testing;  // NOLINT: the sample service and its messages.

constexpr store::TableNumber kKeys{0, 2};
constexpr store::TableNumber kTimers{0, 3};

class IdempotencyTest : public ::testing::Test {
 protected:
  // One entry with one request, a microsecond after the last.
  Outcome Apply(const LogRequest& request) { return node_.Apply(++now_us_, {request})[0]; }
  bool Replayed(const LogRequest& request) {
    const Outcome outcome = Apply(request);
    EXPECT_TRUE(outcome.reply);
    return outcome.replayed;
  }

  MachineOnDisk node_;
  int64_t now_us_ = 1'000;
};

TEST_F(IdempotencyTest, TheFirstOutcomeIsReplayedByteForByte) {
  const Outcome first = Apply(RequestOf(PutOf("a", 5), "key"));
  EXPECT_FALSE(first.replayed);
  Apply(RequestOf(PutOf("a", 100)));
  const Outcome second = Apply(RequestOf(PutOf("a", 5), "key"));
  EXPECT_TRUE(second.replayed);
  EXPECT_EQ(*second.reply, *first.reply) << "total and time of the first";
  EXPECT_EQ(node_.Total("a"), 105);
}

TEST_F(IdempotencyTest, WithinOneEntryToo) {
  const LogRequest request = RequestOf(PutOf("a", 5), "key");
  const auto outcomes = node_.Apply(100, {request, request});
  EXPECT_FALSE(outcomes[0].replayed);
  EXPECT_TRUE(outcomes[1].replayed);
  EXPECT_EQ(*outcomes[0].reply, *outcomes[1].reply);
  EXPECT_EQ(node_.Total("a"), 5);
}

TEST_F(IdempotencyTest, ADomainRefusalIsAnOutcome) {
  EXPECT_FALSE(Replayed(RequestOf(PutOf("a", 5, refused), "key")));
  EXPECT_TRUE(Replayed(RequestOf(PutOf("a", 5, refused), "key")));
  EXPECT_EQ(node_.Total("a"), 5);
}

TEST_F(IdempotencyTest, ErrorsAreNotStored) {
  for (int i = 0; i < 2; ++i) {
    const Outcome outcome = Apply(RequestOf(PutOf("a", 5, failed), "key"));
    EXPECT_EQ(outcome.reply.error().field, "ending");
    EXPECT_FALSE(outcome.replayed);
    EXPECT_EQ(Apply(RequestOf(PutOf(""), "key")).reply.error().field, "name");
  }
  EXPECT_TRUE(node_.Rows(kKeys).empty());
  EXPECT_TRUE(node_.Rows(kTimers).empty());
  EXPECT_FALSE(Replayed(RequestOf(PutOf("a", 5), "key"))) << "the key is still free";
}

TEST_F(IdempotencyTest, AnotherRequestUnderTheSameKeyIsRefused) {
  Apply(RequestOf(PutOf("a", 5), "key"));
  const Outcome other = Apply(RequestOf(PutOf("a", 6), "key"));
  ASSERT_FALSE(other.reply);
  EXPECT_EQ(other.reply.error().code, ErrorCode::kIdempotencyKeyReused);
  EXPECT_EQ(other.reply.error().field, "idempotency-key");
  EXPECT_FALSE(other.replayed);
  EXPECT_EQ(node_.Total("a"), 5);
  EXPECT_TRUE(Replayed(RequestOf(PutOf("a", 5), "key"))) << "the first one stands";
}

TEST_F(IdempotencyTest, NoTwoScopesShareAKey) {
  // Put together without lengths, many of these would be the same.
  const LogRequest scopes[] = {
      RequestOf(kPut, PutOf("a", 1), "key"),
      RequestOf(kPutMore, PutOf("a", 1), "key"),
      RequestOf(kPut, PutOf("a", 1), "key", "me"),
      RequestOf(kPut, PutOf("a", 1), "ekey", "m"),
      RequestOf(kPut, PutOf("a", 1), "mekey"),
      RequestOf(kPut, PutOf("a", 1), "ey", "mek"),
      RequestOf(kPut, PutOf("a", 1), "KEY"),
      RequestOf(kPut, PutOf("a", 1), "key "),
      RequestOf(kPut, PutOf("a", 1), "\1mkey"),
      RequestOf(kPut, PutOf("a", 1), "m", "\1"),
      RequestOf(kPut, PutOf("a", 1), std::string("key\0", 4)),
      RequestOf(kPut, PutOf("a", 1), std::string("\0key", 4)),
  };
  for (const LogRequest& scope : scopes) EXPECT_FALSE(Replayed(scope)) << scope.ShortDebugString();
  for (const LogRequest& scope : scopes) EXPECT_TRUE(Replayed(scope)) << scope.ShortDebugString();
  EXPECT_EQ(node_.Rows(kKeys).size(), std::size(scopes));
}

TEST_F(IdempotencyTest, TheLongestKeyAndPrincipalFitTheStore) {
  const LogRequest longest =
      RequestOf(PutOf("a", 1), std::string(bounds::kIdempotencyKeyBytesMax, '\0'),
                std::string(bounds::kPrincipalBytesMax, '\0'));
  EXPECT_FALSE(Replayed(longest));
  EXPECT_TRUE(Replayed(longest));
}

// What is compared is the request, not how some library wrote it down.
TEST_F(IdempotencyTest, TheOrderOfAMapAndOfFieldsDoesNotMatter) {
  LogRequest request = RequestOf(PutOf("a", 5), "key");
  const std::string name =
                        "\x0a\x01"
                        "a",
                    amount = "\x10\x05";
  const std::string first = "\x22\x06\x0a\x01k\x12\x01v", second = "\x22\x06\x0a\x01l\x12\x01w";
  request.set_body(name + amount + first + second);
  EXPECT_FALSE(Replayed(request));
  request.set_body(second + amount + name + first);
  EXPECT_TRUE(Replayed(request));
  request.set_body(name + amount + first);
  EXPECT_EQ(Apply(request).reply.error().code, ErrorCode::kIdempotencyKeyReused);
}

TEST_F(IdempotencyTest, KeptForADayOfLogTimeThenGone) {
  node_.Apply(1'000, {RequestOf(PutOf("a", 5), "key")});
  const int64_t end_us = 1'000 + bounds::kIdempotencyRetentionUs;
  EXPECT_EQ(node_.machine().NextTimer(), LogTime{end_us});
  EXPECT_TRUE(node_.Apply(end_us - 1, {RequestOf(PutOf("a", 5), "key")})[0].replayed);
  EXPECT_EQ(node_.machine().NextTimer(), LogTime{end_us}) << "a replay does not prolong it";
  node_.Apply(end_us);
  EXPECT_TRUE(node_.Rows(kKeys).empty());
  EXPECT_TRUE(node_.Rows(kTimers).empty());
  EXPECT_FALSE(node_.machine().NextTimer());
  // Usable anew, for another request, and for a day of its own.
  EXPECT_FALSE(node_.Apply(end_us + 1, {RequestOf(PutOf("a", 6), "key")})[0].replayed);
  EXPECT_EQ(node_.Total("a"), 11);
  EXPECT_EQ(node_.machine().NextTimer(), LogTime{end_us + 1 + bounds::kIdempotencyRetentionUs});
}

TEST_F(IdempotencyTest, TheEntryThatEndsTheDayTakesTheKeyAnew) {
  node_.Apply(1'000, {RequestOf(PutOf("a", 5), "key")});
  const auto outcomes =
      node_.Apply(1'000 + bounds::kIdempotencyRetentionUs, {RequestOf(PutOf("a", 5), "key")});
  EXPECT_FALSE(outcomes[0].replayed) << "timers fire before requests";
  EXPECT_EQ(node_.Rows(kKeys).size(), 1u);
}

}  // namespace
}  // namespace holdfast::state_machine
