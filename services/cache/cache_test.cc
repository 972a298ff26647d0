// Values through the machine that runs the cache: every outcome, time to live, what is evicted, and
// malformed requests.
#include "services/cache/testing.h"
#include "src/base/bounds.h"

namespace holdfast::cache {
namespace {

class CacheTest : public testing::CacheFixture {};

TEST_F(CacheTest, WhatIsSetIsThereUnderAVersionThatGrows) {
  EXPECT_FALSE(Get("a"));
  EXPECT_EQ(Get("a").error().code, ErrorCode::kNotFound);
  const WriteReply first = Set("a", "x");
  EXPECT_EQ(first.outcome(), WriteOutcome::stored);
  EXPECT_EQ(Get("a")->value(), "x");
  EXPECT_EQ(Get("a")->version(), first.version());
  const WriteReply other = Set("b", "y");
  EXPECT_GT(other.version(), first.version());
  EXPECT_GT(Set("a", "z").version(), other.version());
  EXPECT_EQ(ValueOf("a"), "z");
  GetRequest by_k;
  by_k.set_k("a");
  EXPECT_EQ(Read<Entry>("cache.Get", by_k)->value(), "z");
}

TEST_F(CacheTest, BytesComeBackAsBytes) {
  SetRequest request;
  request.set_key("a");
  request.set_data(std::string("\0\xff", 2));
  Do<WriteReply>("Set", request);
  EXPECT_EQ(Get("a")->data(), std::string("\0\xff", 2));
  EXPECT_EQ(Get("a")->value(), "");
}

TEST_F(CacheTest, AValueOfAMebibyteAndTheLongestKeyFit) {
  const std::string key(bounds::kCacheKeyBytesMax, 'k');
  const std::string value(bounds::kCacheValueBytesMax, 'v');
  EXPECT_EQ(FieldOf("cache.Set", SetOf(key, value)), "fine");
  EXPECT_LE(SetOf(key, value, 2'592'000'000, 1, 1).ByteSizeLong(), bounds::kRequestBytesMax);
  EXPECT_EQ(Set(key, value).outcome(), WriteOutcome::stored);
  Restart();
  EXPECT_EQ(ValueOf(key), value);
}

TEST_F(CacheTest, AVersionThatWasSeenIsReplacedAndNoOther) {
  EXPECT_EQ(Cas("a", "x", 1).outcome(), WriteOutcome::version_mismatch);
  const WriteReply created = Cas("a", "x", 0);
  EXPECT_EQ(created.outcome(), WriteOutcome::stored);
  const WriteReply again = Cas("a", "y", 0);
  EXPECT_EQ(again.outcome(), WriteOutcome::version_mismatch);
  EXPECT_EQ(again.version(), created.version());
  EXPECT_EQ(ValueOf("a"), "x");
  EXPECT_EQ(Cas("a", "y", created.version()).outcome(), WriteOutcome::stored);
  EXPECT_EQ(ValueOf("a"), "y");
}

TEST_F(CacheTest, AVersionIsCheckedAndNothingChanged) {
  const auto check = [&](const std::string& key, uint64_t version) {
    CheckVersionRequest request;
    request.set_key(key);
    request.set_version(version);
    const auto reply = Do<CheckVersionReply>("CheckVersion", request);
    EXPECT_EQ(reply.version(), Get(key) ? Get(key)->version() : 0);
    return CheckOutcome::Code_Name(reply.outcome());
  };
  EXPECT_EQ(check("a", 0), "valid");
  EXPECT_EQ(check("a", 1), "version_mismatch");
  const uint64_t version = Set("a", "x", 2'000).version();
  EXPECT_EQ(check("a", version), "valid");
  EXPECT_EQ(check("a", version + 1), "version_mismatch");
  EXPECT_EQ(check("a", 0), "version_mismatch");
  // Who holds it exclusively may have written it; who holds it shared cannot.
  const uint64_t session = OpenSession();
  EXPECT_EQ(Fetch("a", session, 1, shared), FetchOutcome::granted);
  EXPECT_EQ(check("a", version), "valid");
  EXPECT_EQ(Fetch("a", session, 2, exclusive), FetchOutcome::granted);
  EXPECT_EQ(check("a", version), "held");
  EXPECT_EQ(Recalled(session), "") << "nothing is asked of it";
  PassMs(10'000);
  EXPECT_EQ(check("a", version), "version_mismatch") << "the session is over, and so is the value";
  EXPECT_EQ(check("a", 0), "valid");
}

TEST_F(CacheTest, ADeletedKeyIsAbsent) {
  Set("a", "x");
  const WriteReply gone = Delete("a");
  EXPECT_EQ(gone.outcome(), WriteOutcome::deleted);
  EXPECT_EQ(gone.deleted(), 1u);
  EXPECT_EQ(Delete("a").outcome(), WriteOutcome::not_found);
  EXPECT_EQ(ValueOf("a"), "absent");
  EXPECT_EQ(Stats().bytes(), 0u);
}

TEST_F(CacheTest, NumbersAreAddedTo) {
  EXPECT_EQ(Increment("n").number(), 1);
  EXPECT_EQ(Increment("n", 41).number(), 42);
  EXPECT_EQ(Increment("n", -50).number(), -8);
  EXPECT_EQ(ValueOf("n"), "-8");
  for (const char* text : {"x", "", " 1", "01", "+1", "1.0", "-0", "9223372036854775808"}) {
    Set("n", text);
    EXPECT_EQ(Increment("n").outcome(), WriteOutcome::not_a_number) << "'" << text << "'";
    EXPECT_EQ(ValueOf("n"), text);
  }
  Set("n", "9223372036854775807");
  EXPECT_EQ(Increment("n").outcome(), WriteOutcome::overflow);
  EXPECT_EQ(Increment("n", -1).number(), INT64_MAX - 1);
}

TEST_F(CacheTest, AKeyIsAbsentWhenItsTimeIsOver) {
  Set("a", "x", 2'000);
  PassMs(1'999);
  EXPECT_EQ(ValueOf("a"), "x");
  EXPECT_GE(Get("a")->ttl_ms(), 1u);
  PassMs(1);
  EXPECT_EQ(ValueOf("a"), "absent");
  EXPECT_EQ(Stats().expired(), 1u);
  EXPECT_EQ(Stats().entries(), 0u);
  // Written anew it lasts as long as that says.
  Set("a", "x", 2'000);
  PassMs(1'000);
  Set("a", "y", 3'000);
  PassMs(2'000);
  EXPECT_EQ(ValueOf("a"), "y");
  Set("a", "z");
  PassMs(100'000);
  EXPECT_EQ(ValueOf("a"), "z");
  // A counter keeps the time that it began with.
  Increment("n", 1, 1'000);
  PassMs(500);
  Increment("n", 1, 1'000);
  PassMs(500);
  EXPECT_EQ(Increment("n").number(), 1);
}

TEST_F(CacheTest, ManyAreStoredAtOnceAndReadAtOnePosition) {
  SetManyRequest many;
  GetManyRequest get;
  for (const char* key : {"b", "a", "c"}) {
    NewEntry* entry = many.add_entries();
    entry->set_key(key);
    entry->set_value(std::string("of ") + key);
    get.add_keys(key);
  }
  get.add_keys("d");
  EXPECT_EQ(Do<WriteReply>("SetMany", many).outcome(), WriteOutcome::stored);
  const auto got = *Read<GetManyReply>("cache.GetMany", get);
  ASSERT_EQ(got.entries_size(), 3);
  EXPECT_EQ(got.answered(), 4u);
  EXPECT_EQ(got.entries(0).key(), "b");
  EXPECT_EQ(got.entries(2).value(), "of c");
}

TEST_F(CacheTest, AReplyOfManyIsBounded) {
  GetManyRequest get;
  for (int i = 0; i < 5; ++i) {
    Set(std::to_string(i), std::string(1 << 20, 'v'));
    get.add_keys(std::to_string(i));
  }
  const auto got = *Read<GetManyReply>("cache.GetMany", get);
  EXPECT_EQ(got.answered(), 2u);
  EXPECT_EQ(got.entries_size(), 2);
}

TEST_F(CacheTest, APrefixIsDeletedAThousandKeysAtATime) {
  for (int i = 0; i < 1'200; ++i) {
    Write<WriteReply>("cache.Set", SetOf("p/" + std::to_string(i), "x"));
  }
  Set("p", "x");
  Set("q", "x");
  const WriteReply first = DeletePrefix("p/");
  EXPECT_EQ(first.outcome(), WriteOutcome::deleted);
  EXPECT_EQ(first.deleted(), 1'000u);
  EXPECT_TRUE(first.more());
  const WriteReply second = DeletePrefix("p/");
  EXPECT_EQ(second.deleted(), 200u);
  EXPECT_FALSE(second.more());
  EXPECT_EQ(Stats().entries(), 2u);
}

TEST_F(CacheTest, WhatWasUsedLongestAgoIsEvictedFirst) {
  Limit(2 << 20);
  const std::string half((1 << 20) - 1'000, 'v');
  Set("a", half);
  Set("b", half);
  EXPECT_EQ(Touch({"a", "nothing"}), 1u);
  Set("c", half);
  EXPECT_EQ(ValueOf("b"), "absent");
  EXPECT_EQ(ValueOf("a"), half);
  EXPECT_EQ(Stats().evicted(), 1u);
  // To take a line is a use as well.
  const uint64_t session = OpenSession();
  Fetch("a", session, 1);
  Set("d", half);
  EXPECT_EQ(ValueOf("c"), "absent");
  EXPECT_EQ(ValueOf("a"), half);
  // What is replaced makes room for itself.
  Release(session, "a", 1);
  Set("a", "small");
  Set("e", half);
  EXPECT_EQ(ValueOf("d"), half);
  EXPECT_EQ(Stats().evicted(), 2u);
}

TEST_F(CacheTest, ALowerLimitIsReachedBitByBit) {
  for (int i = 0; i < 3'000; ++i) {
    Write<WriteReply>("cache.Set", SetOf(std::to_string(i), std::string(2'000, 'v')));
  }
  Limit(2 << 20);
  EXPECT_GT(Stats().bytes(), uint64_t{2} << 20);
  for (int i = 0; i < 20; ++i) PassMs(1);
  EXPECT_LE(Stats().bytes(), uint64_t{2} << 20);
  EXPECT_EQ(ValueOf("0"), "absent");
  EXPECT_EQ(ValueOf("2999"), std::string(2'000, 'v'));
  EXPECT_EQ(Broken(testing::kCache), "");
}

TEST_F(CacheTest, MalformedRequestsNameTheField) {
  const auto set = [&](auto spoil) {
    SetRequest request = SetOf("a", "x");
    spoil(request);
    return FieldOf("cache.Set", request);
  };
  EXPECT_EQ(set([](auto&) {}), "fine");
  EXPECT_EQ(set([](auto& r) { r.clear_key(); }), "key");
  EXPECT_EQ(set([](auto& r) { r.set_key(std::string(257, 'x')); }), "key");
  EXPECT_EQ(set([](auto& r) { r.set_value(std::string((1 << 20) + 1, 'x')); }), "value");
  EXPECT_EQ(set([](auto& r) { r.set_data("y"); }), "data");
  EXPECT_EQ(set([](auto& r) { r.set_ttl_ms(2'592'000'001); }), "ttl_ms");
  EXPECT_EQ(set([](auto& r) { r.set_session(1); }), "line");
  EXPECT_EQ(set([](auto& r) { r.set_line(1); }), "session");
  EXPECT_EQ(set([](auto& r) { r.set_wait_ms(60'001); }), "wait_ms");

  GetRequest get;
  EXPECT_EQ(FieldOf("cache.Get", get), "key");
  get.set_key("a");
  get.set_k("a");
  EXPECT_EQ(FieldOf("cache.Get", get), "k");

  SetManyRequest many;
  EXPECT_EQ(FieldOf("cache.SetMany", many), "entries");
  many.add_entries()->set_key("a");
  many.add_entries()->set_key("a");
  EXPECT_EQ(FieldOf("cache.SetMany", many), "entries[1].key");
  many.mutable_entries(1)->set_key("b");
  many.mutable_entries(1)->set_value("x");
  many.mutable_entries(1)->set_data("x");
  EXPECT_EQ(FieldOf("cache.SetMany", many), "entries[1].data");

  TouchRequest touch;
  touch.add_keys("a");
  touch.add_keys("");
  EXPECT_EQ(FieldOf("cache.Touch", touch), "keys[1]");
  GetManyRequest get_many;
  get_many.add_keys(std::string(257, 'x'));
  EXPECT_EQ(FieldOf("cache.GetMany", get_many), "keys[0]");
  ConfigureRequest configure;
  configure.set_max_bytes((2 << 20) - 1);
  EXPECT_EQ(FieldOf("cache.Configure", configure), "max_bytes");

  const auto write_back = [&](auto spoil) {
    WriteBackRequest request = WriteBackOf("a", 1, 1, 1, "x");
    spoil(request);
    return FieldOf("cache.WriteBack", request);
  };
  EXPECT_EQ(write_back([](auto&) {}), "fine");
  EXPECT_EQ(write_back([](auto& r) { r.clear_write(); }), "write");
  EXPECT_EQ(write_back([](auto& r) { r.set_change(erase); }), "value");
  EXPECT_EQ(write_back([](auto& r) { r.set_keep(any); }), "keep");
  EXPECT_EQ(write_back([](auto& r) { r.set_data("x"); }), "data");
  EXPECT_EQ(FieldOf("cache.Fetch", FetchOf("a", 0, 1, shared)), "session");
  EXPECT_EQ(FieldOf("cache.Fetch", FetchOf("a", 1, 0, shared)), "line");
  EXPECT_EQ(FieldOf("cache.Release", ReleaseRequest()), "session");
  EXPECT_EQ(FieldOf("cache.DeletePrefix", DeletePrefixRequest()), "prefix");
  CheckVersionRequest check;
  EXPECT_EQ(FieldOf("cache.CheckVersion", check), "key");
  check.set_key(std::string(257, 'x'));
  EXPECT_EQ(FieldOf("cache.CheckVersion", check), "key");
}

}  // namespace
}  // namespace holdfast::cache
