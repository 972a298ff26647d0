#include "src/client/causal_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

namespace holdfast::client {
namespace {

using Buffer = CausalBuffer<std::string>;
using Took = Buffer::Took;
using Kind = Buffer::Kind;

Buffer::Item Of(uint64_t number, std::vector<uint64_t> follows = {}, size_t bytes = 1) {
  return {number, std::move(follows), bytes, "m" + std::to_string(number)};
}

// "1 2 gap3-4 5!3 late3": what came out, and with ! what of it is missing.
std::string Text(const std::vector<Buffer::Out>& out) {
  std::string text;
  for (const Buffer::Out& one : out) {
    text += text.empty() ? "" : " ";
    if (one.kind == Kind::kGap) {
      text += "gap" + std::to_string(one.from) + "-" + std::to_string(one.to);
      continue;
    }
    text += (one.kind == Kind::kLate ? "late" : "") + std::to_string(one.item->number);
    EXPECT_EQ(one.item->payload, "m" + std::to_string(one.item->number));
    for (const uint64_t missing : one.missing) text += "!" + std::to_string(missing);
  }
  return text;
}

class CausalBufferTest : public ::testing::Test {
 protected:
  std::string Add(Buffer& buffer, Buffer::Item item, int64_t now_ms = 0, Took took = Took::kNew) {
    std::vector<Buffer::Out> out;
    EXPECT_EQ(buffer.Add(std::move(item), now_ms, &out), took);
    return Text(out);
  }
  std::string Pass(Buffer& buffer, int64_t now_ms) {
    std::vector<Buffer::Out> out;
    buffer.Pass(now_ms, &out);
    return Text(out);
  }
};

TEST_F(CausalBufferTest, WhatComesInOrderComesOutAtOnce) {
  Buffer buffer;
  EXPECT_EQ(Add(buffer, Of(1)), "1");
  EXPECT_EQ(Add(buffer, Of(2, {1})), "2");
  EXPECT_EQ(buffer.held(), 0u);
  EXPECT_EQ(buffer.next(), 3u);
  EXPECT_FALSE(buffer.next_due_ms());
}

TEST_F(CausalBufferTest, AMessageWaitsForWhatItFollows) {
  Buffer buffer;
  EXPECT_EQ(Add(buffer, Of(3, {2})), "");
  EXPECT_EQ(Add(buffer, Of(2, {1})), "");
  EXPECT_EQ(buffer.held(), 2u);
  EXPECT_EQ(Add(buffer, Of(1)), "1 2 3");
  EXPECT_EQ(buffer.held_bytes(), 0u);
}

TEST_F(CausalBufferTest, WhoComesLaterHasSeenWhatWasBefore) {
  Buffer buffer(7);
  EXPECT_EQ(Add(buffer, Of(7), 0, Took::kRepeat), "");
  EXPECT_EQ(Add(buffer, Of(8, {2, 7})), "8") << "2 was before";
}

TEST_F(CausalBufferTest, WhatComesTwiceComesOutOnce) {
  Buffer buffer;
  Add(buffer, Of(2));
  EXPECT_EQ(Add(buffer, Of(2), 0, Took::kRepeat), "");
  EXPECT_EQ(Add(buffer, Of(1)), "1 2");
  EXPECT_EQ(Add(buffer, Of(1), 0, Took::kRepeat), "");
  EXPECT_EQ(Add(buffer, Of(2), 0, Took::kRepeat), "");
}

TEST_F(CausalBufferTest, ADependencyThatNeverComesIsAGapInTheEnd) {
  Buffer buffer(0, {.patience_ms = 100});
  EXPECT_EQ(Add(buffer, Of(1), 0), "1");
  EXPECT_EQ(Add(buffer, Of(4, {3, 1}), 10), "");
  EXPECT_EQ(Add(buffer, Of(5, {4}), 20), "");
  EXPECT_EQ(buffer.next_due_ms(), 110);
  EXPECT_EQ(Pass(buffer, 109), "");
  EXPECT_EQ(Pass(buffer, 110), "gap2-3 4!3 5");
  EXPECT_FALSE(buffer.next_due_ms());
  EXPECT_EQ(Add(buffer, Of(6, {2, 5}), 120), "6!2");
  // After all: told as what it is, once, and not missing from then on.
  EXPECT_EQ(Add(buffer, Of(2, {1}), 130, Took::kLate), "late2");
  EXPECT_EQ(Add(buffer, Of(2, {1}), 130, Took::kRepeat), "");
  EXPECT_EQ(Add(buffer, Of(7, {2, 3}), 140), "7!3");
}

TEST_F(CausalBufferTest, NothingIsHeldBackForLongerThanThePatience) {
  Buffer buffer(0, {.patience_ms = 100});
  Add(buffer, Of(9), 0);
  Add(buffer, Of(5), 60);
  EXPECT_EQ(Pass(buffer, 99), "");
  EXPECT_EQ(Pass(buffer, 100), "gap1-4 5 gap6-8 9") << "9 has waited long enough";
  Buffer other(0, {.patience_ms = 100});
  Add(other, Of(5), 0);
  Add(other, Of(9), 60);
  EXPECT_EQ(Pass(other, 100), "gap1-4 5") << "9 may wait for 6";
  EXPECT_EQ(other.next_due_ms(), 160);
  EXPECT_EQ(Add(other, Of(6), 159), "6");
  EXPECT_EQ(Pass(other, 160), "gap7-8 9");
}

TEST_F(CausalBufferTest, AnArrivalAfterThePatienceEndsItAsWell) {
  Buffer buffer(0, {.patience_ms = 100});
  Add(buffer, Of(3), 0);
  EXPECT_EQ(Add(buffer, Of(4), 500), "gap1-2 3 4") << "nobody had called Pass";
}

TEST_F(CausalBufferTest, NoMoreIsHeldBackThanFits) {
  Buffer by_count(0, {.held_max = 3});
  for (const uint64_t number : {4u, 6u, 7u}) EXPECT_EQ(Add(by_count, Of(number)), "");
  EXPECT_EQ(Add(by_count, Of(9)), "gap1-3 4");
  EXPECT_EQ(Add(by_count, Of(11)), "gap5-5 6 7");
  EXPECT_EQ(by_count.held(), 2u);
  Buffer by_bytes(0, {.held_bytes_max = 10});
  EXPECT_EQ(Add(by_bytes, Of(2, {}, 6)), "");
  EXPECT_EQ(Add(by_bytes, Of(4, {}, 4)), "");
  EXPECT_EQ(Add(by_bytes, Of(6, {}, 1)), "gap1-1 2");
  EXPECT_EQ(by_bytes.held_bytes(), 5u);
  EXPECT_EQ(Add(by_bytes, Of(8, {}, 99)), "gap3-3 4 gap5-5 6 gap7-7 8") << "too large to wait";
  EXPECT_EQ(by_bytes.held(), 0u);
  Buffer none(0, {.held_max = 0});
  EXPECT_EQ(Add(none, Of(2)), "gap1-1 2");
}

// What went wrong: of what was lost at the very end nobody ever learned.
TEST_F(CausalBufferTest, WhatTheSourceHasReachedAndNeverComesIsAGapInTheEnd) {
  Buffer buffer(0, {.patience_ms = 100});
  EXPECT_FALSE(buffer.next_due_ms());
  buffer.Reached(3, 10);
  EXPECT_EQ(buffer.next_due_ms(), 110);
  EXPECT_EQ(Add(buffer, Of(1), 20), "1");
  EXPECT_EQ(Pass(buffer, 109), "");
  EXPECT_EQ(Pass(buffer, 110), "gap2-3");
  EXPECT_EQ(buffer.next(), 4u);
  EXPECT_FALSE(buffer.next_due_ms());
  EXPECT_EQ(Add(buffer, Of(3), 120, Took::kLate), "late3");
  // What comes in time is none, and what is held back stands in its place.
  buffer.Reached(8, 200);
  EXPECT_EQ(Add(buffer, Of(6), 250), "");
  EXPECT_EQ(Add(buffer, Of(4), 260), "4");
  EXPECT_EQ(Pass(buffer, 300), "gap5-5 6 gap7-8");
  buffer.Reached(9, 400);
  EXPECT_EQ(Add(buffer, Of(9), 410), "9");
  EXPECT_FALSE(buffer.next_due_ms()) << "nothing is waited for";
}

TEST_F(CausalBufferTest, WhatWasReachedLaterIsWaitedForLonger) {
  Buffer buffer(0, {.patience_ms = 100});
  buffer.Reached(2, 50);
  buffer.Reached(2, 60);  // Known.
  buffer.Reached(5, 40);  // Not before what is below it.
  buffer.Reached(7, 90);
  EXPECT_EQ(Pass(buffer, 149), "");
  EXPECT_EQ(Pass(buffer, 150), "gap1-2 gap3-5");
  EXPECT_EQ(buffer.next_due_ms(), 190);
  EXPECT_EQ(Pass(buffer, 190), "gap6-7");
  buffer.Reached(7, 200);
  buffer.Reached(UINT64_MAX, 200);
  EXPECT_FALSE(buffer.next_due_ms()) << "is behind, and cannot be";
  // However many wait, no more are remembered than fit: the newest are told together.
  for (uint64_t i = 1; i <= bounds::kCausalGapsMax + 5; ++i) {
    buffer.Reached(7 + i, 200 + static_cast<int64_t>(i));
  }
  std::vector<Buffer::Out> out;
  buffer.Pass(10'000, &out);
  EXPECT_EQ(out.size(), bounds::kCausalGapsMax);
  EXPECT_EQ(out.back().to, 7 + bounds::kCausalGapsMax + 5);
  EXPECT_EQ(out.back().to - out.back().from, 5u);
}

TEST_F(CausalBufferTest, NumbersThatCannotBeAreDropped) {
  Buffer buffer;
  EXPECT_EQ(Add(buffer, Of(0), 0, Took::kMalformed), "");
  EXPECT_EQ(Add(buffer, Of(UINT64_MAX), 0, Took::kMalformed), "");
  EXPECT_EQ(Add(buffer, Of(3, {3}), 0, Took::kMalformed), "");
  EXPECT_EQ(Add(buffer, Of(3, {1, 8}), 0, Took::kMalformed), "");
  EXPECT_EQ(buffer.held(), 0u);
  // However far a number jumps, a gap is two numbers.
  EXPECT_EQ(Add(buffer, Of(UINT64_MAX - 1), 0), "");
  EXPECT_EQ(Pass(buffer, 1'000'000), "gap1-18446744073709551613 18446744073709551614");
}

TEST_F(CausalBufferTest, OldGapsAreForgotten) {
  Buffer buffer(0, {.held_max = 0});
  for (uint64_t i = 1; i <= bounds::kCausalGapsMax + 1; ++i) Add(buffer, Of(2 * i));
  EXPECT_EQ(Add(buffer, Of(1), 0, Took::kRepeat), "");
  EXPECT_EQ(Add(buffer, Of(3), 0, Took::kLate), "late3");
}

// A conversation: each message follows some of those before it.
std::vector<Buffer::Item> Conversation(std::mt19937_64& random, uint64_t size) {
  std::vector<Buffer::Item> all;
  for (uint64_t number = 1; number <= size; ++number) {
    std::vector<uint64_t> follows;
    for (uint64_t i = 0; number > 1 && i < random() % 3; ++i) {
      follows.push_back(number - 1 - random() % std::min<uint64_t>(number - 1, 5));
    }
    all.push_back(Of(number, follows, 1 + random() % 50));
  }
  return all;
}

TEST_F(CausalBufferTest, AnyOrderOfArrivalsComesOutTheSameAndAfterWhatItFollows) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    const std::vector<Buffer::Item> all = Conversation(random, 1 + random() % 60);
    std::vector<Buffer::Item> arrivals = all;
    for (uint64_t i = random() % all.size(); i > 0; --i) {
      arrivals.push_back(all[random() % all.size()]);  // Twice, or three times.
    }
    std::shuffle(arrivals.begin(), arrivals.end(), random);
    Buffer buffer;
    std::vector<Buffer::Out> out;
    for (const Buffer::Item& item : arrivals) buffer.Add(item, 0, &out);
    ASSERT_EQ(out.size(), all.size()) << "round " << round;
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out[i].kind, Kind::kMessage);
      ASSERT_EQ(out[i].item->number, i + 1) << "round " << round;
      ASSERT_TRUE(out[i].missing.empty());
    }
    EXPECT_EQ(buffer.held(), 0u);
  }
}

TEST_F(CausalBufferTest, WhateverIsLostAndLateNothingComesTwiceOrBeforeWhatItFollowsUnsaid) {
  std::mt19937_64 random(2);
  uint64_t gaps = 0, late = 0;
  for (int round = 0; round < 300; ++round) {
    const CausalBounds bounds{.held_max = 1 + random() % 12,
                              .held_bytes_max = 50 + random() % 500,
                              .patience_ms = static_cast<int64_t>(1 + random() % 40)};
    const std::vector<Buffer::Item> all = Conversation(random, 1 + random() % 60);
    std::multimap<int64_t, Buffer::Item> arrivals;  // By when.
    for (const Buffer::Item& item : all) {
      if (random() % 10 == 0) continue;  // Never.
      for (uint64_t copies = 1 + random() % 2; copies > 0; --copies) {
        arrivals.emplace(item.number * 2 + random() % 30, item);
      }
    }
    Buffer buffer(0, bounds);
    std::vector<Buffer::Out> out;
    std::map<uint64_t, int64_t> first;  // When each arrived first.
    int64_t now_ms = 0;
    std::set<uint64_t> shown, given_up;
    uint64_t last = 0;
    size_t looked_at = 0;
    const auto look = [&] {
      for (; looked_at < out.size(); ++looked_at) {
        const Buffer::Out& one = out[looked_at];
        if (one.kind == Kind::kGap) {
          ++gaps;
          ASSERT_EQ(one.from, last + 1);
          for (last = one.from; last < one.to; ++last) given_up.insert(last);
          given_up.insert(last);
          continue;
        }
        const uint64_t number = one.item->number;
        ASSERT_TRUE(shown.insert(number).second) << number << " twice, round " << round;
        if (one.kind == Kind::kLate) {
          ++late;
          ASSERT_EQ(given_up.erase(number), 1u) << number << " was never given up";
        } else {
          ASSERT_EQ(number, last + 1) << "round " << round;
          last = number;
          ASSERT_LE(now_ms, first[number] + bounds.patience_ms) << "held back for too long";
        }
        for (const uint64_t other : one.item->follows) {
          const bool told = std::count(one.missing.begin(), one.missing.end(), other) > 0;
          ASSERT_NE(shown.contains(other), told) << number << " after " << other;
        }
      }
      ASSERT_LE(buffer.held(), bounds.held_max);
      ASSERT_LE(buffer.held_bytes(), bounds.held_bytes_max);
    };
    for (const auto& [at_ms, item] : arrivals) {
      while (buffer.next_due_ms() && *buffer.next_due_ms() <= at_ms) {
        now_ms = *buffer.next_due_ms();
        buffer.Pass(now_ms, &out);
        look();
      }
      now_ms = at_ms;
      first.emplace(item.number, at_ms);
      buffer.Add(item, now_ms, &out);
      look();
      ASSERT_FALSE(HasFatalFailure());
    }
    while (buffer.next_due_ms()) {
      now_ms = *buffer.next_due_ms();
      buffer.Pass(now_ms, &out);
      look();
    }
    EXPECT_EQ(shown.size(), first.size()) << "what arrived was shown";
  }
  EXPECT_GT(gaps, 300u);
  EXPECT_GT(late, 100u);
}

}  // namespace
}  // namespace holdfast::client
