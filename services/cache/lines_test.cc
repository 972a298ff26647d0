// Lines through the machine that runs the cache: who may hold what, recalls, writes that wait, and
// messages that come late.
#include "services/cache/testing.h"
#include "src/base/bounds.h"

namespace holdfast::cache {
namespace {

class LinesTest : public testing::CacheFixture {
 protected:
  uint64_t a_ = OpenSession(60'000);
  uint64_t b_ = OpenSession(60'000);
  uint64_t c_ = OpenSession(60'000);
};

TEST_F(LinesTest, ManyReadOneWrites) {
  Set("k", "x");
  EXPECT_EQ(Fetch("k", a_, 1), FetchOutcome::granted);
  EXPECT_EQ(Fetch("k", b_, 1), FetchOutcome::granted);
  const FetchReply got = AwaitFetch("k", a_, 1);
  EXPECT_EQ(got.outcome(), FetchOutcome::fetched);
  EXPECT_EQ(got.mode(), shared);
  EXPECT_EQ(got.entry().value(), "x");
  EXPECT_EQ(Fetch("k", c_, 1, exclusive), FetchOutcome::waiting);
  EXPECT_EQ(Recalled(a_), "k/1");
  EXPECT_EQ(Recalled(b_), "k/1");
  EXPECT_EQ(Fetch("k", OpenSession(), 1), FetchOutcome::waiting) << "no reader overtakes";
  std::optional<state_machine::Topic> topic;
  EXPECT_EQ(AwaitFetch("k", c_, 1, &topic).outcome(), FetchOutcome::waiting);
  Release(a_, "k", 1);
  EXPECT_EQ(AwaitFetch("k", c_, 1).outcome(), FetchOutcome::waiting);
  Release(b_, "k", 1);
  EXPECT_TRUE(WasTouched(topic));
  EXPECT_EQ(AwaitFetch("k", c_, 1).mode(), exclusive);
  EXPECT_TRUE(Get("k")->exclusive());
}

TEST_F(LinesTest, AnAbsentKeyHasALineAsWell) {
  EXPECT_EQ(Fetch("k", a_, 1), FetchOutcome::granted);
  const FetchReply got = AwaitFetch("k", a_, 1);
  EXPECT_EQ(got.outcome(), FetchOutcome::fetched);
  EXPECT_FALSE(got.found());
  EXPECT_FALSE(got.has_entry());
  EXPECT_EQ(Set("k", "x").outcome(), WriteOutcome::held);
}

TEST_F(LinesTest, AWriteWaitsUntilEveryHolderHasGivenUp) {
  Set("k", "old");
  Fetch("k", a_, 1);
  Fetch("k", b_, 1);
  SetRequest request = SetOf("k", "new");
  request.set_wait_ms(5'000);
  const WriteReply held = Do<WriteReply>("Set", request);
  EXPECT_EQ(held.outcome(), WriteOutcome::held);
  EXPECT_EQ(held.held_key(), "k");
  EXPECT_EQ(ValueOf("k"), "old") << "nobody sees it yet";
  std::optional<state_machine::Topic> topic;
  EXPECT_EQ(AwaitSet(request, &topic), WriteOutcome::held);
  Release(a_, "k", 1);
  EXPECT_EQ(AwaitSet(request), WriteOutcome::held);
  Release(b_, "k", 1);
  EXPECT_TRUE(WasTouched(topic));
  EXPECT_EQ(AwaitSet(request), WriteOutcome::free);
  EXPECT_EQ(Fetch("k", a_, 2), FetchOutcome::waiting) << "the writer comes first";
  EXPECT_EQ(Do<WriteReply>("Set", request).outcome(), WriteOutcome::stored);
  EXPECT_EQ(AwaitFetch("k", a_, 2).entry().value(), "new");
}

TEST_F(LinesTest, EveryKindOfWriteWaits) {
  Set("k", "1");
  Fetch("k", a_, 1);
  const uint64_t version = Get("k")->version();
  EXPECT_EQ(Cas("k", "2", version).outcome(), WriteOutcome::held);
  EXPECT_EQ(Delete("k").outcome(), WriteOutcome::held);
  EXPECT_EQ(Increment("k").outcome(), WriteOutcome::held);
  EXPECT_EQ(DeletePrefix("k").outcome(), WriteOutcome::held);
  SetManyRequest many;
  many.add_entries()->set_key("j");
  many.add_entries()->set_key("k");
  const WriteReply reply = Do<WriteReply>("SetMany", many);
  EXPECT_EQ(reply.outcome(), WriteOutcome::held);
  EXPECT_EQ(reply.held_key(), "k");
  EXPECT_EQ(ValueOf("j"), "absent") << "all or none";
  for (const char* method : {"AwaitCompareAndSet", "AwaitDelete", "AwaitIncrement"}) {
    DeleteRequest key_only;  // Field 1 of all of them is the key.
    key_only.set_key("k");
    const auto& prototype = *MethodOf(std::string("cache.") + method).request;
    std::unique_ptr<google::protobuf::Message> request(prototype.New());
    request->ParseFromString(key_only.SerializeAsString());
    EXPECT_EQ(Read<WriteReply>(std::string("cache.") + method, *request)->outcome(),
              WriteOutcome::held);
  }
  EXPECT_EQ(Read<WriteReply>("cache.AwaitSetMany", many)->held_key(), "k");
  DeletePrefixRequest prefix;
  prefix.set_prefix("k");
  EXPECT_EQ(Read<WriteReply>("cache.AwaitDeletePrefix", prefix)->held_key(), "k");
  EXPECT_EQ(Recalled(a_), "k/1") << "told once";
  Release(a_, "k", 1);
  EXPECT_EQ(Read<WriteReply>("cache.AwaitDeletePrefix", prefix)->outcome(), WriteOutcome::free);
  EXPECT_EQ(DeletePrefix("k").outcome(), WriteOutcome::deleted);
}

TEST_F(LinesTest, AWriterTakesTheLineUnlessSomebodyWaits) {
  const WriteReply first = Set("k", "x", 0, a_, 1);
  EXPECT_TRUE(first.holding());
  EXPECT_EQ(AwaitFetch("k", a_, 1).entry().value(), "x");
  EXPECT_TRUE(Set("k", "y", 0, a_, 2).holding()) << "its own line is in nobody's way";
  EXPECT_EQ(AwaitFetch("k", a_, 1).outcome(), FetchOutcome::not_held);
  EXPECT_EQ(Fetch("k", b_, 1, exclusive), FetchOutcome::waiting);
  EXPECT_EQ(Recalled(a_), "k/2");
  EXPECT_FALSE(Set("k", "z", 0, a_, 3).holding());
  EXPECT_EQ(AwaitFetch("k", b_, 1).entry().value(), "z");
}

TEST_F(LinesTest, TwoWhoWriteToALineTheyShareBothGetThrough) {
  Fetch("k", a_, 1);
  Fetch("k", b_, 1);
  SetRequest of_a = SetOf("k", "a", 0, a_, 2);
  SetRequest of_b = SetOf("k", "b", 0, b_, 2);
  of_a.set_wait_ms(5'000);
  of_b.set_wait_ms(5'000);
  EXPECT_EQ(Do<WriteReply>("Set", of_a).outcome(), WriteOutcome::held);
  EXPECT_EQ(Recalled(b_), "k/1");
  // B has given up its own by writing.
  EXPECT_EQ(Do<WriteReply>("Set", of_b).outcome(), WriteOutcome::stored);
  EXPECT_EQ(AwaitSet(of_a), WriteOutcome::free);
  EXPECT_EQ(Do<WriteReply>("Set", of_a).outcome(), WriteOutcome::stored);
  EXPECT_EQ(ValueOf("k"), "a");
}

TEST_F(LinesTest, TwoWhoUpgradeALineTheyShareBothGetThrough) {
  Fetch("k", a_, 1);
  Fetch("k", b_, 1);
  EXPECT_EQ(Fetch("k", a_, 2, exclusive), FetchOutcome::waiting);
  EXPECT_EQ(Fetch("k", b_, 2, exclusive), FetchOutcome::waiting);
  EXPECT_EQ(AwaitFetch("k", a_, 2).mode(), exclusive);
  EXPECT_EQ(Recalled(a_), "k/2");
  EXPECT_EQ(WriteBack(WriteBackOf("k", a_, 2, 1, "a")), WriteBackOutcome::written);
  EXPECT_EQ(AwaitFetch("k", b_, 2).mode(), exclusive);
  EXPECT_EQ(AwaitFetch("k", b_, 2).entry().value(), "a");
}

TEST_F(LinesTest, AReaderAsksAnExclusiveHolderForItsValueOnly) {
  EXPECT_EQ(Fetch("k", a_, 1, any), FetchOutcome::granted);
  EXPECT_EQ(AwaitFetch("k", a_, 1).mode(), exclusive) << "nobody else was there";
  EXPECT_EQ(Fetch("k", b_, 1, any), FetchOutcome::waiting);
  EXPECT_EQ(Recalled(a_), "k/1+");
  EXPECT_EQ(WriteBack(WriteBackOf("k", a_, 1, 1, "x", shared)), WriteBackOutcome::written);
  EXPECT_EQ(Recalled(a_), "");
  const FetchReply got = AwaitFetch("k", b_, 1);
  EXPECT_EQ(got.mode(), shared);
  EXPECT_EQ(got.entry().value(), "x");
  EXPECT_EQ(AwaitFetch("k", a_, 1).mode(), shared);
}

TEST_F(LinesTest, ARecallMayBecomeStricter) {
  Fetch("k", a_, 1, exclusive);
  Fetch("k", b_, 1, shared, 1'000);
  const uint64_t cursor = Recalls(a_).cursor();
  EXPECT_EQ(Recalled(a_), "k/1+");
  EXPECT_EQ(Recalled(a_, cursor), "");
  PassMs(2'000);  // The reader has gone.
  EXPECT_EQ(Set("k", "x").outcome(), WriteOutcome::held);
  EXPECT_EQ(Recalled(a_, cursor), "k/1");
  EXPECT_EQ(Recalled(a_), "k/1") << "and no other";
  EXPECT_EQ(WriteBack(WriteBackOf("k", a_, 1, 1, "y", shared)), WriteBackOutcome::written);
  EXPECT_EQ(Recalled(a_), "k/1") << "shared is still too much";
  Release(a_, "k", 1);
  EXPECT_EQ(Set("k", "x").outcome(), WriteOutcome::stored);
}

TEST_F(LinesTest, WriteBacksInTheirOrderOfPrecedence) {
  EXPECT_EQ(WriteBack(WriteBackOf("k", 999, 1, 1, "x")), WriteBackOutcome::session_not_found);
  EXPECT_EQ(WriteBack(WriteBackOf("k", a_, 1, 1, "x")), WriteBackOutcome::not_held);
  Fetch("k", a_, 1);
  EXPECT_EQ(WriteBack(WriteBackOf("k", a_, 1, 1, "x")), WriteBackOutcome::not_held) << "shared";
  Fetch("k", a_, 2, exclusive);
  EXPECT_EQ(WriteBack(WriteBackOf("k", a_, 1, 1, "x")), WriteBackOutcome::not_held) << "late";
  EXPECT_EQ(WriteBack(WriteBackOf("k", a_, 2, 5, "x", exclusive)), WriteBackOutcome::written);
  EXPECT_EQ(WriteBack(WriteBackOf("k", a_, 2, 4, "w", exclusive)), WriteBackOutcome::superseded);
  EXPECT_EQ(ValueOf("k"), "x");
  EXPECT_TRUE(Get("k")->exclusive());
  WriteBackRequest gone = WriteBackOf("k", a_, 2, 6, "");
  gone.set_change(erase);
  EXPECT_EQ(WriteBack(gone), WriteBackOutcome::written);
  EXPECT_EQ(ValueOf("k"), "absent");
  EXPECT_EQ(Fetch("k", b_, 1, exclusive), FetchOutcome::granted);
}

TEST_F(LinesTest, MessagesThatComeLateDoNothing) {
  Fetch("k", a_, 5);
  EXPECT_EQ(Fetch("k", a_, 4, exclusive), FetchOutcome::superseded);
  EXPECT_EQ(Fetch("k", a_, 5), FetchOutcome::granted) << "asked again";
  EXPECT_EQ(Release(a_, "k", 4), 0u);
  EXPECT_EQ(Set("k", "late", 0, a_, 4).outcome(), WriteOutcome::superseded);
  EXPECT_EQ(Delete("k", a_, 4).outcome(), WriteOutcome::superseded);
  EXPECT_EQ(AwaitFetch("k", a_, 5).outcome(), FetchOutcome::fetched);
  EXPECT_EQ(Release(a_, "k", 5), 1u);
  EXPECT_EQ(Release(a_, "k", 5), 0u);
}

TEST_F(LinesTest, AFetchThatWaitsIsNotReplacedByAnEarlierOne) {
  Fetch("k", b_, 1, exclusive);
  EXPECT_EQ(Fetch("k", a_, 3, exclusive), FetchOutcome::waiting);
  EXPECT_EQ(Fetch("k", a_, 2), FetchOutcome::superseded);
  EXPECT_EQ(Set("k", "late", 0, a_, 2).outcome(), WriteOutcome::superseded);
  Release(b_, "k", 1);
  EXPECT_EQ(AwaitFetch("k", a_, 3).mode(), exclusive);
}

TEST_F(LinesTest, ASessionsLinesEndWithIt) {
  const uint64_t session = OpenSession(2'000);
  for (int i = 0; i < 600; ++i) {
    Write<FetchReply>("cache.Fetch", FetchOf(std::to_string(i), session, 1, exclusive));
  }
  SetRequest request = SetOf("599", "x");
  request.set_wait_ms(60'000);
  EXPECT_EQ(Do<WriteReply>("Set", request).outcome(), WriteOutcome::held);
  PassMs(2'000);
  EXPECT_EQ(AwaitSet(request), WriteOutcome::free) << "what is not swept yet is in nobody's way";
  EXPECT_FALSE(Recalls(session).session_found());
  EXPECT_EQ(Do<WriteReply>("Set", request).outcome(), WriteOutcome::stored);
  for (int i = 0; i < 4; ++i) PassMs(1);
  EXPECT_EQ(Stats().lines(), 0u);
  EXPECT_EQ(Fetch("1", session, 2), FetchOutcome::session_not_found);
  EXPECT_EQ(Set("1", "x", 0, session, 3).outcome(), WriteOutcome::session_not_found);
}

TEST_F(LinesTest, WhoFollowsTheRecallsIsWokenAlsoByTheEnd) {
  const uint64_t session = OpenSession(2'000);
  Fetch("k", session, 1);
  std::optional<state_machine::Topic> topic;
  EXPECT_TRUE(Recalls(session, 0, &topic).session_found());
  Set("k", "x");
  EXPECT_TRUE(WasTouched(topic));
  PassMs(2'000);
  EXPECT_TRUE(WasTouched(topic));
}

TEST_F(LinesTest, AFailoverShortensNoLine) {
  const uint64_t session = OpenSession(2'000);
  Fetch("k", session, 1);
  PassMs(1'000);
  NewLeader();
  PassMs(60'000);
  EXPECT_EQ(Set("k", "x").outcome(), WriteOutcome::held);
  PassMs(1'000);
  EXPECT_EQ(Set("k", "x").outcome(), WriteOutcome::stored);
}

TEST_F(LinesTest, AWriterThatDoesNotComeBackLosesItsPlace) {
  Fetch("k", a_, 1);
  SetRequest request = SetOf("k", "x");
  request.set_wait_ms(60'000);
  Do<WriteReply>("Set", request);
  EXPECT_EQ(Fetch("k", b_, 1, shared, 60'000), FetchOutcome::waiting);
  Release(a_, "k", 1);
  PassMs(bounds::kCachePlaceMs - 1);
  EXPECT_EQ(AwaitFetch("k", b_, 1).outcome(), FetchOutcome::waiting);
  PassMs(1);
  EXPECT_EQ(AwaitFetch("k", b_, 1).outcome(), FetchOutcome::fetched);
}

TEST_F(LinesTest, AWriteThatCannotBeRecallsForASecond) {
  Set("k", "x");
  Fetch("k", a_, 1);
  EXPECT_EQ(Cas("k", "y", UINT64_MAX).outcome(), WriteOutcome::held);
  EXPECT_EQ(Fetch("k", b_, 1), FetchOutcome::waiting);
  Release(a_, "k", 1);
  PassMs(bounds::kCachePlaceMs / 2);
  EXPECT_EQ(AwaitFetch("k", b_, 1).outcome(), FetchOutcome::waiting);
  EXPECT_EQ(Cas("k", "y", UINT64_MAX).outcome(), WriteOutcome::version_mismatch);
  EXPECT_EQ(ValueOf("k"), "x");
  EXPECT_EQ(AwaitFetch("k", b_, 1).outcome(), FetchOutcome::fetched) << "that was its turn";
}

TEST_F(LinesTest, WhoHasNoTimeToWaitIsToldSo) {
  Fetch("k", a_, 1, exclusive);
  EXPECT_EQ(Fetch("k", b_, 1, shared, 0), FetchOutcome::held);
  EXPECT_EQ(AwaitFetch("k", b_, 1).outcome(), FetchOutcome::not_held);
  EXPECT_EQ(Recalled(a_), "k/1+") << "it was recalled all the same";
  EXPECT_EQ(Fetch("k", b_, 2, shared, 1'000), FetchOutcome::waiting);
  PassMs(1'001);
  EXPECT_EQ(AwaitFetch("k", b_, 2).outcome(), FetchOutcome::not_held);
}

TEST_F(LinesTest, WhatIsEvictedIsForgottenAndItsLinesStay) {
  Limit(2 << 20);
  Set("k", "x");
  Fetch("k", a_, 1);
  for (int i = 0; i < 3; ++i) Set(std::to_string(i), std::string(1 << 20, 'v'));
  EXPECT_EQ(ValueOf("k"), "absent");
  EXPECT_EQ(Recalled(a_), "");
  EXPECT_EQ(Set("k", "y").outcome(), WriteOutcome::held) << "A may still serve x";
}

// A fetch that waits for a session which is over is not left behind by a write of several keys.
TEST_F(LinesTest, WhoWaitsIsServedWhenAWriteOfSeveralKeysFindsOneFreeAndAnotherHeld) {
  const uint64_t gone = OpenSession(2'000);
  for (int i = 0; i < 600; ++i) {
    Write<FetchReply>("cache.Fetch", FetchOf(std::to_string(i), gone, 1, shared));
  }
  Fetch("k2", gone, 1, exclusive);
  EXPECT_EQ(Fetch("k2", b_, 1, shared, 60'000), FetchOutcome::waiting);
  Fetch("k1", a_, 1);
  PassMs(2'000);  // It is over, and k2 not swept yet.
  EXPECT_EQ(AwaitFetch("k2", b_, 1).outcome(), FetchOutcome::waiting);
  SetManyRequest many;
  many.add_entries()->set_key("k1");
  many.add_entries()->set_key("k2");
  many.set_wait_ms(60'000);
  const WriteReply held = Do<WriteReply>("SetMany", many);
  EXPECT_EQ(held.outcome(), WriteOutcome::held);
  EXPECT_EQ(held.held_key(), "k1");
  EXPECT_EQ(AwaitFetch("k2", b_, 1).outcome(), FetchOutcome::fetched);
}

TEST_F(LinesTest, AWriteOfSeveralKeysThatComesBackKeepsWhatWasGivenUpForIt) {
  Fetch("k1", a_, 1);
  Fetch("k2", b_, 1);
  SetManyRequest many;
  many.add_entries()->set_key("k1");
  many.add_entries()->set_key("k2");
  many.set_wait_ms(60'000);
  EXPECT_EQ(Do<WriteReply>("SetMany", many).outcome(), WriteOutcome::held);
  Release(a_, "k1", 1);
  EXPECT_EQ(Fetch("k1", c_, 1, shared, 60'000), FetchOutcome::waiting);
  PassMs(600);
  EXPECT_EQ(Do<WriteReply>("SetMany", many).outcome(), WriteOutcome::held);
  PassMs(600);
  EXPECT_EQ(AwaitFetch("k1", c_, 1).outcome(), FetchOutcome::waiting);
  PassMs(bounds::kCachePlaceMs);
  EXPECT_EQ(AwaitFetch("k1", c_, 1).outcome(), FetchOutcome::fetched) << "it did not come back";
}

// A thousand keys that a thousand near caches hold are a million lines.
TEST_F(LinesTest, OneEntryRecallsNotAllLinesOfAllKeys) {
  std::vector<uint64_t> sessions;
  for (uint32_t i = 0; i < bounds::kCacheHoldersMax; ++i) sessions.push_back(OpenSession(60'000));
  const std::vector<std::string> keys{"k0", "k1", "k2", "k3"};
  for (const std::string& key : keys) {
    Write<WriteReply>("cache.Set", SetOf(key, "x"));
    for (size_t i = 0; i < 600; ++i) {
      Write<FetchReply>("cache.Fetch", FetchOf(key, sessions[i], 1, shared));
    }
  }
  DeletePrefixRequest request;
  request.set_prefix("k");
  request.set_wait_ms(60'000);
  EXPECT_EQ(Do<WriteReply>("DeletePrefix", request).outcome(), WriteOutcome::held);
  EXPECT_EQ(Stats().recalls(), 1'200u);
  EXPECT_EQ(Do<WriteReply>("DeletePrefix", request).outcome(), WriteOutcome::held);
  EXPECT_EQ(Stats().recalls(), 1'200u) << "these have not answered yet";
  const auto await = [&] {
    return Read<WriteReply>("cache.AwaitDeletePrefix", request)->outcome();
  };
  const auto release = [&](const std::string& key) {
    for (size_t i = 0; i < 600; ++i) {
      ReleaseRequest gives_up;
      gives_up.set_session(sessions[i]);
      Line* line = gives_up.add_lines();
      line->set_key(key);
      line->set_line(1);
      Write<ReleaseReply>("cache.Release", gives_up);
    }
  };
  release("k0");
  EXPECT_EQ(await(), WriteOutcome::held);
  release("k1");
  EXPECT_EQ(await(), WriteOutcome::free) << "to recall the rest";
  EXPECT_EQ(Do<WriteReply>("DeletePrefix", request).outcome(), WriteOutcome::held);
  EXPECT_EQ(Stats().recalls(), 2'400u);
  release("k2");
  release("k3");
  EXPECT_EQ(await(), WriteOutcome::free);
  EXPECT_EQ(Do<WriteReply>("DeletePrefix", request).deleted(), 4u);
}

TEST_F(LinesTest, LinesAreBounded) {
  for (uint32_t i = 0; i < bounds::kCacheHoldersMax; ++i) {
    Write<FetchReply>("cache.Fetch", FetchOf("k", OpenSession(), 1, shared));
  }
  EXPECT_EQ(Fetch("k", a_, 1), FetchOutcome::too_many_lines);
  Fetch("j", a_, 1, exclusive);
  for (uint32_t i = 0; i < bounds::kCacheWaitersMax; ++i) {
    Write<FetchReply>("cache.Fetch", FetchOf("j", OpenSession(), 1, shared));
  }
  EXPECT_EQ(Fetch("j", b_, 1), FetchOutcome::too_many_lines);
}

TEST_F(LinesTest, ASessionHoldsSoManyLinesAndNoMore) {
  for (uint32_t i = 0; i < bounds::kCacheSessionLinesMax; ++i) {
    Write<FetchReply>("cache.Fetch", FetchOf(std::to_string(i), a_, 1, shared));
  }
  EXPECT_EQ(Write<FetchReply>("cache.Fetch", FetchOf("x", a_, 1, shared)).outcome(),
            FetchOutcome::too_many_lines);
  EXPECT_FALSE(Write<WriteReply>("cache.Set", SetOf("x", "v", 0, a_, 1)).holding());
}

}  // namespace
}  // namespace holdfast::cache
