// Entries in, replies out: order, log time, what is kept and what is dropped, equal states on equal
// logs, and when a node must stop.
#include "src/state_machine/machine.h"

#include <gtest/gtest.h>

#include <random>

#include "src/base/bounds.h"
#include "src/state_machine/testing/sample.h"

namespace holdfast::state_machine {
namespace {

using namespace testing;  // NOLINT: the sample service and its messages.

TEST(MachineTest, TakesEntriesInOrderOnly) {
  MachineOnDisk node;
  node.Apply(100);
  std::vector<Outcome> outcomes;
  const std::string entry = EntryOf(200).SerializeAsString();
  for (const uint64_t index : {0, 1, 3}) {
    const std::string stop =
        StopOf([&] { node.machine().Apply(LogIndex(index), entry, &outcomes); });
    EXPECT_NE(stop.find("entry " + std::to_string(index) + " after 1"), std::string::npos) << stop;
  }
  node.machine().Apply(LogIndex(2), entry, &outcomes);
  EXPECT_EQ(node.machine().applied(), LogIndex(2));
}

TEST(MachineTest, AnEntryOfConsensusOnlyMovesThePosition) {
  MachineOnDisk node;
  node.Apply(100, {RequestOf(PutOf("a", 5))});
  const Position before = node.machine().position();
  EXPECT_TRUE(node.Apply("").empty());
  EXPECT_EQ(node.machine().position().applied, LogIndex(2));
  EXPECT_EQ(node.machine().position().now, before.now);
  EXPECT_EQ(node.Total("a"), 5);
}

TEST(MachineTest, LogTimeGrowsWhateverTheLeadersClockSays) {
  MachineOnDisk node;
  const std::pair<int64_t, int64_t> rows[] = {
      // The leader's clock, log time.
      {1'000, 1'000}, {1'000, 1'001}, {500, 1'002}, {-7, 1'003}, {0, 1'004}, {2'000, 2'000}};
  for (const auto& [clock_us, log_us] : rows) {
    const auto outcomes = node.Apply(clock_us, {RequestOf(PutOf("a"))});
    EXPECT_EQ(ReplyIn(outcomes[0]).now_us(), log_us);
    EXPECT_EQ(node.machine().position().now, LogTime{log_us});
  }
}

TEST(MachineTest, EachRequestStandsForItself) {
  MachineOnDisk node;
  const auto outcomes =
      node.Apply(100, {RequestOf(PutOf("a", 1)), RequestOf(PutOf("a", 10, failed)),
                       RequestOf(PutOf("")), RequestOf(PutOf("a", 100, refused)),
                       RequestOf(PutOf("b", 1'000, failed)), RequestOf(PutOf("a", 10'000))});
  ASSERT_EQ(outcomes.size(), 6u);
  EXPECT_EQ(ReplyIn(outcomes[0]).total(), 1);
  EXPECT_EQ(outcomes[1].reply.error().field, "ending") << "an error: all of it is dropped";
  EXPECT_EQ(outcomes[2].reply.error().field, "name") << "refused by the field's options";
  EXPECT_EQ(ReplyIn(outcomes[3]).total(), 101) << "a domain outcome keeps what was done";
  EXPECT_EQ(ReplyIn(outcomes[3]).ending(), refused);
  EXPECT_EQ(ReplyIn(outcomes[5]).total(), 10'101);
  EXPECT_EQ(node.Total("a"), 10'101);
  EXPECT_EQ(node.Total("b").error().code, ErrorCode::kNotFound);
}

TEST(MachineTest, NodesThatTellNobodyEndInTheSameState) {
  MachineOnDisk leader;
  MachineOnDisk follower;
  const std::vector<LogRequest> requests = {
      RequestOf(PutOf("a", 1)), RequestOf(PutOf("a", 2), "key"), RequestOf(PutOf("a", 4, failed)),
      RequestOf(PutOf("a", 2), "key")};
  const std::string entry = EntryOf(100, requests).SerializeAsString();
  const auto outcomes = leader.Apply(entry);
  EXPECT_EQ(follower.machine().Apply(LogIndex(1), entry, nullptr), requests.size());
  EXPECT_EQ(follower.machine().position().digest, leader.machine().position().digest);
  EXPECT_EQ(follower.Total("a"), 3);
  // The reply under the key is kept all the same.
  const auto again = follower.Apply(200, {requests[1]});
  EXPECT_TRUE(again[0].replayed);
  EXPECT_EQ(*again[0].reply, *outcomes[1].reply);
}

TEST(MachineTest, ABodyThatDoesNotParseIsTheCallersFault) {
  MachineOnDisk node;
  LogRequest garbage = RequestOf(PutOf("a"));
  garbage.set_body("\xff\xff");
  const auto outcomes = node.Apply(100, {garbage, RequestOf(PutOf("a", 1))});
  EXPECT_EQ(outcomes[0].reply.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ReplyIn(outcomes[1]).total(), 1);
}

TEST(MachineTest, RepliesAreCanonical) {
  MachineOnDisk node;
  PutRequest request = PutOf("a");
  for (int i = 0; i < 40; ++i) (*request.mutable_labels())[std::to_string(i)] = "x";
  const auto outcomes = node.Apply(100, {RequestOf(request)});
  std::vector<std::string> labels;  // As they lie in the bytes: field 4, an entry of two strings.
  const std::string& bytes = *outcomes[0].reply;
  for (size_t at = 0; (at = bytes.find("\x12\x01x", at)) != std::string::npos; ++at) {
    const size_t key = bytes.rfind('\x0a', at);
    labels.push_back(bytes.substr(key + 2, at - key - 2));
  }
  EXPECT_EQ(labels.size(), 40u);
  EXPECT_TRUE(std::is_sorted(labels.begin(), labels.end()));
}

// Going on would be divergence: other nodes may know what to do.
TEST(MachineTest, StopsAtWhatItDoesNotUnderstand) {
  MachineOnDisk node;
  const auto stop_at = [&](std::string entry) {
    MachineOnDisk fresh;
    return StopOf([&] { fresh.Apply(std::move(entry)); });
  };
  EXPECT_NE(stop_at("\x12\xff").find("log entry 1 does not parse"), std::string::npos);
  struct Row {
    uint32_t service;
    uint32_t method;
  };
  // Nobody's, the machine's, an unknown method, a read, a stateless method; and what would be known
  // if it were cut to a byte.
  for (const Row& row : {Row{9, 1}, Row{0, 1}, Row{kSample, 99}, Row{kSample, 4}, Row{kSample, 5},
                         Row{256 + kSample, kPut}, Row{kSample, 256 + kPut}}) {
    LogRequest request = RequestOf(PutOf("a", 1));
    request.set_service(row.service);
    request.set_method(row.method);
    const std::string stop = stop_at(EntryOf(100, {request}).SerializeAsString());
    EXPECT_NE(stop.find("a write of service " + std::to_string(row.service) + ", method " +
                        std::to_string(row.method)),
              std::string::npos)
        << stop;
  }
}

TEST(MachineTest, ReadsSeeAStateBetweenTwoEntriesAndSayWhich) {
  MachineOnDisk node;
  Position at;
  EXPECT_EQ(node.Total("a", &at).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(at.applied, LogIndex(0)) << "a refusal speaks of a state too";
  node.Apply(100, {RequestOf(PutOf("a", 1)), RequestOf(PutOf("a", 2))});
  EXPECT_EQ(node.Total("a", &at), 3);
  EXPECT_EQ(at.applied, LogIndex(1));
  EXPECT_EQ(at.now, LogTime{100});
  node.Apply("");
  EXPECT_EQ(node.Total("a", &at), 3);
  EXPECT_EQ(at.applied, LogIndex(2));
  EXPECT_EQ(at.digest, node.machine().position().digest);
}

TEST(MachineTest, ContinuesFromACheckpoint) {
  MachineOnDisk node;
  node.Apply(100, {RequestOf(PutOf("a", 1), "key")});
  node.Checkpoint();
  const Position before = node.machine().position();
  node.Restart();
  EXPECT_EQ(node.machine().applied(), LogIndex(1));
  EXPECT_EQ(node.machine().position().now, before.now);
  EXPECT_EQ(node.machine().position().digest, before.digest);
  EXPECT_EQ(node.Total("a"), 1);
  EXPECT_TRUE(node.Apply(200, {RequestOf(PutOf("a", 1), "key")})[0].replayed);
}

// --- Equal logs, equal states

// Writes, repeats, errors, timers and ticks, from a seed.
std::string RandomEntry(std::mt19937_64& random, int64_t* now_us) {
  *now_us += static_cast<int64_t>(random() % 1'000);
  if (random() % 50 == 0) *now_us += bounds::kIdempotencyRetentionUs;
  if (random() % 10 == 0) return "";
  std::vector<LogRequest> requests;
  for (uint64_t left = random() % 8; left > 0; --left) {
    PutRequest put = PutOf(std::string(1, static_cast<char>('a' + random() % 4)),
                           static_cast<int64_t>(random() % 100), static_cast<Ending>(random() % 3));
    if (random() % 2 == 0) {
      put.set_ring_us(*now_us + static_cast<int64_t>(random() % 2'000));
      if (random() % 4 == 0) put.set_name("again");
    }
    const std::string key = random() % 2 == 0 ? "" : std::to_string(random() % 20);
    requests.push_back(RequestOf(random() % 2 == 0 ? kPut : kPutMore, put, key));
  }
  return EntryOf(*now_us, requests).SerializeAsString();
}

TEST(MachineTest, EqualLogsGiveEqualDigestsWhoeverRestarts) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    std::mt19937_64 random(seed);
    std::mt19937_64 fate(seed + 100);
    MachineOnDisk steady;
    MachineOnDisk shaky;
    int64_t now_us = 1'000;
    for (int i = 0; i < 300; ++i) {
      const std::string entry = RandomEntry(random, &now_us);
      const auto expected = steady.Apply(entry);
      const auto outcomes = shaky.Apply(entry);
      ASSERT_EQ(outcomes.size(), expected.size());
      for (size_t r = 0; r < outcomes.size(); ++r) {
        ASSERT_EQ(outcomes[r].reply.has_value(), expected[r].reply.has_value());
        ASSERT_EQ(outcomes[r].reply.value_or(""), expected[r].reply.value_or(""));
        ASSERT_EQ(outcomes[r].replayed, expected[r].replayed);
      }
      if (fate() % 10 == 0) shaky.Checkpoint();
      if (fate() % 20 == 0) shaky.Restart();
      ASSERT_EQ(shaky.machine().position().digest, steady.machine().position().digest)
          << "seed " << seed << ", entry " << i + 1;
      ASSERT_EQ(shaky.machine().position().now, steady.machine().position().now);
    }
    for (const store::TableNumber table :
         {store::TableNumber{0, 1}, {0, 2}, {0, 3}, {kSample, 1}, {kSample, 2}}) {
      EXPECT_EQ(shaky.Rows(table), steady.Rows(table));
    }
    EXPECT_FALSE(steady.Rows({kSample, 2}).empty()) << "no timer rang: the log is too tame";
  }
}

TEST(MachineTest, AnotherEntryGivesAnotherDigestForGood) {
  MachineOnDisk one;
  MachineOnDisk other;
  one.Apply(100, {RequestOf(PutOf("a", 1))});
  other.Apply(100, {RequestOf(PutOf("a", 2))});
  EXPECT_NE(one.machine().position().digest, other.machine().position().digest);
  // The same from here on, and even the same totals.
  one.Apply(200, {RequestOf(PutOf("a", 1))});
  other.Apply(200, {RequestOf(PutOf("a", 0))});
  EXPECT_EQ(*one.Total("a"), *other.Total("a"));
  EXPECT_NE(one.machine().position().digest, other.machine().position().digest);
}

}  // namespace
}  // namespace holdfast::state_machine
