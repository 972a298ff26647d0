#include "src/api/json.h"

#include <gtest/gtest.h>

#include "holdfast/atomic.pb.h"
#include "src/api/testing/shop.pb.h"
#include "src/base/bounds.h"
#include "src/state_machine/canonical.h"

namespace holdfast::api {
namespace {

using testing::Everything;
using testing::Tree;

template <class Message = Everything>
Message Parsed(std::string_view text) {
  Message message;
  const Result<void> parsed = ParseJson(text, &message);
  EXPECT_TRUE(parsed) << text << ": " << parsed.error().field << ": " << parsed.error().message;
  return message;
}

// "field: message" of the refusal, or "accepted".
template <class Message = Everything>
std::string Refusal(std::string_view text) {
  Message message;
  const Result<void> parsed = ParseJson(text, &message);
  if (parsed) return "accepted";
  EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
  return parsed.error().field + ": " + parsed.error().message;
}

TEST(Json, ReadsEveryKindOfField) {
  const Everything e = Parsed(R"({
      "id": "caf\u00e9 \ud83d\ude00", "big": -9223372036854775808, "natural": 18446744073709551615,
      "small": "-7", "tiny": 4294967295, "flag": true, "real": 1.5e3, "single": 0.25,
      "blob": "aGk=", "colour": "GREEN", "metadata": {"a": "1", "b.c": "2"},
      "prices": {"-3": {"amount": 4}}, "offers": [{"amount": 1}, {"currency": "EUR"}],
      "numbers": [1, "2", -3], "at": "2024-02-29T12:34:56.789012Z", "limit": true, "maybe": 0,
      "price": {}, "left": "l", "tagNames": ["x"]})");
  EXPECT_EQ(e.id(), "caf\xC3\xA9 \xF0\x9F\x98\x80");
  EXPECT_EQ(e.big(), INT64_MIN);
  EXPECT_EQ(e.natural(), UINT64_MAX);
  EXPECT_EQ(e.small(), -7);
  EXPECT_EQ(e.tiny(), UINT32_MAX);
  EXPECT_TRUE(e.flag());
  EXPECT_EQ(e.real(), 1500.0);
  EXPECT_EQ(e.single(), 0.25f);
  EXPECT_EQ(e.blob(), "hi");
  EXPECT_EQ(e.colour(), testing::GREEN);
  EXPECT_EQ(e.metadata().at("b.c"), "2");
  EXPECT_EQ(e.prices().at(-3).amount(), 4);
  ASSERT_EQ(e.offers_size(), 2);
  EXPECT_EQ(e.offers(1).currency(), "EUR");
  ASSERT_EQ(e.numbers_size(), 3);
  EXPECT_EQ(e.numbers(1), 2);
  EXPECT_EQ(e.at().seconds(), 1709210096);
  EXPECT_EQ(e.at().nanos(), 789012000);
  EXPECT_EQ(e.limit(), INT64_MAX);
  EXPECT_TRUE(e.has_maybe());
  EXPECT_TRUE(e.has_price());
  EXPECT_EQ(e.left(), "l");
  EXPECT_EQ(e.tagnames(0), "x");
}

TEST(Json, TakesCamelCaseNullAndAnEmptyObject) {
  EXPECT_EQ(Parsed("{}").ByteSizeLong(), 0u);
  EXPECT_EQ(Parsed(R"( {"big": null, "offers": null, "price": null} )").ByteSizeLong(), 0u);
  google::protobuf::FieldDescriptorProto other;
  ASSERT_TRUE(ParseJson(R"({"typeName": "x", "json_name": "y"})", &other));
  EXPECT_EQ(other.type_name(), "x");
  EXPECT_EQ(other.json_name(), "y");
}

TEST(Json, RefusesWithThePathAndTheReason) {
  EXPECT_EQ(Refusal(R"({"offers": [{}, {"amount": "x"}]})"),
            "offers[1].amount: must be an integer");
  EXPECT_EQ(Refusal(R"({"offers": [{}, {"amnt": 1}]})"), "offers[1].amnt: unknown field");
  EXPECT_EQ(Refusal<Tree>(R"({"child": {"child": {"flag": 1}}})"),
            "child.child.flag: must be true or false");
  EXPECT_EQ(Refusal(R"({"metadata": {"k": 5}})"), "metadata.k: must be a string");
  EXPECT_EQ(Refusal(R"({"metadata": {"k": null}})"), "metadata.k: must not be null");
  EXPECT_EQ(Refusal(R"({"metadata": {"k": "1", "k": "1"}})"), "metadata.k: appears more than once");
  EXPECT_EQ(Refusal(R"({"metadata": []})"), "metadata: must be an object");
  EXPECT_EQ(Refusal(R"({"metadata": "x"})"), "metadata: must be an object");
  EXPECT_EQ(Refusal(R"({"prices": {"x": {}}})"), "prices.x: the key must be an integer");
  EXPECT_EQ(Refusal(R"({"numbers": [1, null]})"), "numbers[1]: must not be null");
  EXPECT_EQ(Refusal(R"({"numbers": 1})"), "numbers: must be an array");
  EXPECT_EQ(Refusal(R"({"numbers": [[1]]})"), "numbers[0]: must be an integer");
  EXPECT_EQ(Refusal(R"({"offers": {}})"), "offers: must be an array");
  EXPECT_EQ(Refusal(R"({"offers": [1]})"), "offers[0]: must be an object");
  EXPECT_EQ(Refusal(R"({"offers": [{},{},{},{},{}]})"), "offers: must have at most 4 entries");
  EXPECT_EQ(Refusal(R"({"id": 5})"), "id: must be a string");
  EXPECT_EQ(Refusal(R"({"id": "a", "id": "a"})"), "id: appears more than once");
  EXPECT_EQ(Refusal(R"({"tagNames": [], "tagNames": []})"), "tagNames: appears more than once");
  EXPECT_EQ(Refusal(R"({"left": "a", "right": 1})"), "right: must not be given together with left");
  EXPECT_EQ(Refusal(R"({"colour": "PINK"})"),
            "colour: must be one of COLOUR_UNSPECIFIED, RED, GREEN");
  EXPECT_EQ(Refusal(R"({"colour": 1})"), "colour: must be one of COLOUR_UNSPECIFIED, RED, GREEN");
  EXPECT_EQ(Refusal(R"({"blob": "%"})"), "blob: must be a string of base64");
  EXPECT_EQ(Refusal(R"({"limit": "true"})"), "limit: must be an integer or true");
  EXPECT_EQ(Refusal(R"({"price": 1})"), "price: must be an object");
  for (const char* text : {"[]", "1", "\"x\"", "null", "true"}) {
    EXPECT_EQ(Refusal(text), ": must be an object") << text;
  }
}

TEST(Json, NeverPutsAnIntegerThroughADouble) {
  EXPECT_EQ(Parsed(R"({"big": 9007199254740993})").big(), 9007199254740993);
  EXPECT_EQ(Parsed(R"({"big": -0})").big(), 0);
  const std::string fraction = "big: must be an integer, without a fraction or exponent";
  EXPECT_EQ(Refusal(R"({"big": 1.5})"), fraction);
  EXPECT_EQ(Refusal(R"({"big": 1.0})"), fraction);
  EXPECT_EQ(Refusal(R"({"big": 1e3})"), fraction);
  const std::string range =
      "big: must be an integer from -9223372036854775808 to "
      "9223372036854775807";
  EXPECT_EQ(Refusal(R"({"big": 9223372036854775808})"), range);
  EXPECT_EQ(Refusal(R"({"big": -9223372036854775809})"), range);
  EXPECT_EQ(Refusal(R"({"big": 123456789012345678901234567890})"), range);
  EXPECT_EQ(Refusal(R"({"natural": -1})"),
            "natural: must be an integer from 0 to "
            "18446744073709551615");
  EXPECT_EQ(Refusal(R"({"small": 2147483648})"),
            "small: must be an integer from -2147483648 to "
            "2147483647");
  for (const char* text : {"", " 1", "1 ", "+1", "01", "0x1", "1_0", "-", "1.0", "true"}) {
    EXPECT_EQ(Refusal(std::string(R"({"big": ")") + text + "\"}"), "big: must be an integer")
        << text;
  }
}

TEST(Json, RefusesWhatIsNotStrictJson) {
  for (std::string_view text : {"",
                                " ",
                                "{",
                                "}",
                                "{} {}",
                                "{},",
                                "{'id': 'a'}",
                                "{\"id\": \"a\",}",
                                "{id: 1}",
                                "{\"big\": 01}",
                                "{\"big\": +1}",
                                "{\"big\": .5}",
                                "{\"real\": NaN}",
                                "{\"id\": \"a\n\"}",
                                "{\"numbers\": [1,]}",
                                "// x\n{}",
                                "{\"id\": \"\\x\"}",
                                "{\"id\": \"\\ud800\"}",
                                "{\"id\": \"\xFF\"}",
                                "{\"id\": \"\xC0\xAF\"}",
                                "{\"id\": \"\xED\xA0\x80\"}",
                                "{\"\xFF\": 1}",
                                "{\"id\": \"a\"",
                                "{\"id\" \"a\"}",
                                "{\"real\": 1e999}"}) {
    EXPECT_NE(Refusal(text).find("not valid JSON at byte"), std::string::npos)
        << text << " -> " << Refusal(text);
  }
  // A NUL byte ends nothing.
  EXPECT_EQ(Refusal(std::string_view("{}\0x", 4)),
            ": not valid JSON at byte 2: text after the value");
  EXPECT_NE(Refusal(std::string_view("{\"id\": \"\0\"}", 11)), "accepted");
  EXPECT_EQ(Parsed(R"({"id": "\u0000"})").id(), std::string(1, '\0'));
}

// It became bytes that are no UTF-8, which a reply could not carry.
TEST(Json, RefusesTheSecondHalfOfASurrogatePairAlone) {
  EXPECT_EQ(Refusal(R"({"id": "a\udc00b"})"), "id: must be valid UTF-8");
  EXPECT_EQ(Refusal(R"({"metadata": {"k": "\udfff"}})"), "metadata.k: must be valid UTF-8");
  EXPECT_EQ(Refusal(R"({"metadata": {"a": "1", "\udc00": "2"}})"),
            "metadata: has a name that is not valid UTF-8");
  EXPECT_EQ(Refusal(R"({"offers": [{"\ude00": 1}]})"),
            "offers[0]: has a name that is not valid UTF-8");
  EXPECT_EQ(Refusal(R"({"\udc00": 1})"), ": has a name that is not valid UTF-8");
  EXPECT_EQ(Parsed(R"({"id": "\ud83d\ude00"})").id(), "\xF0\x9F\x98\x80");
}

TEST(Json, BoundsDepthAndElements) {
  const auto nested = [](size_t depth) {
    std::string text;
    for (size_t i = 1; i < depth; ++i) text += R"({"child":)";
    text += "{}";
    return text + std::string(depth - 1, '}');
  };
  Parsed<Tree>(nested(bounds::kJsonDepthMax));
  EXPECT_NE(Refusal<Tree>(nested(bounds::kJsonDepthMax + 1)).find("nested deeper than 32 levels"),
            std::string::npos);
  EXPECT_NE(Refusal(std::string(1'000'000, '[')), "accepted");
  EXPECT_NE(Refusal("{\"numbers\":" + std::string(1'000'000, '[')), "accepted");

  const auto list = [](size_t elements) {
    std::string text = R"({"numbers":[0)";
    for (size_t i = 1; i < elements; ++i) text += ",0";
    return text + "]}";
  };
  EXPECT_EQ(Parsed(list(bounds::kJsonElementsMax)).numbers_size(),
            static_cast<int>(bounds::kJsonElementsMax));
  EXPECT_NE(Refusal(list(bounds::kJsonElementsMax + 1)).find("more than 65536 elements"),
            std::string::npos);
}

TEST(Json, ShortensNamesThatTheCallerMadeUp) {
  std::string name;
  for (int i = 0; i < 1000; ++i) name += "\xC3\xA9";
  const std::string refusal = Refusal("{\"" + name + "\": 1}");
  EXPECT_EQ(refusal, name.substr(0, 64) + "...: unknown field");
}

TEST(Json, NamesTheKnownFieldsForAnUnknownOne) {
  testing::Price price;
  const Result<void> parsed = ParseJson(R"({"amonut": 1})", &price);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().hint, "known fields: amount, currency");
}

TEST(Json, Timestamps) {
  const auto seconds = [](const char* text) {
    return Parsed(std::string(R"({"at": ")") + text + "\"}").at().seconds();
  };
  EXPECT_EQ(seconds("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(seconds("1969-12-31T23:59:59Z"), -1);
  EXPECT_EQ(seconds("2024-02-29t23:59:59z"), 1709251199);
  EXPECT_EQ(seconds("2024-03-01T01:59:59+02:00"), 1709251199);
  EXPECT_EQ(seconds("9999-12-31T23:59:59.999999999Z"), 253402300799);
  for (const char* text :
       {"2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z", "2024-01-01 00:00:00Z", "2024-01-01",
        "2024-01-01T00:00:00", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00.1234567890Z",
        "2024-01-01T00:00:00+2:00", "2024-01-01T00:00:00Zx", "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00", "1709251199", ""}) {
    EXPECT_EQ(Refusal(std::string(R"({"at": ")") + text + "\"}"),
              "at: must be a time such as \"2030-12-31T23:59:59Z\"")
        << text;
  }
  EXPECT_NE(Refusal(R"({"at": 5})"), "accepted");

  Everything e;
  const auto shown = [&](int64_t at, int32_t nanos) {
    e.mutable_at()->set_seconds(at);
    e.mutable_at()->set_nanos(nanos);
    return FieldText(e, Everything::descriptor()->FindFieldByName("at"));
  };
  EXPECT_EQ(shown(-1, 0), "1969-12-31T23:59:59Z");
  EXPECT_EQ(shown(1709251199, 5'000'000), "2024-02-29T23:59:59.005Z");
  EXPECT_EQ(shown(1709251199, 5'000), "2024-02-29T23:59:59.000005Z");
  EXPECT_EQ(shown(1709251199, 5), "2024-02-29T23:59:59.000000005Z");
  EXPECT_EQ(shown(INT64_MAX, 0), "9999-12-31T23:59:59Z");
  EXPECT_EQ(shown(INT64_MIN, -5), "0001-01-01T00:00:00Z");
}

TEST(Json, WritesDefaultsLeavesOutWhatIsAbsentAndSortsMaps) {
  testing::Reply reply;
  EXPECT_EQ(ToJson(reply), R"({"outcome":"OUTCOME_UNSPECIFIED"})");
  reply.set_outcome(testing::sold_out);
  Everything& e = *reply.mutable_item();
  e.set_id("q\"\n\xC3\xA9");
  e.set_big(INT64_MIN);
  e.set_natural(UINT64_MAX);
  e.set_real(0.1);
  e.set_single(0.1f);
  e.set_blob(std::string("\xFF\x00", 2));
  e.set_limit(INT64_MAX);
  for (const char* key : {"z", "a", "m"}) (*e.mutable_metadata())[key] = key;
  EXPECT_EQ(ToJson(reply),
            R"({"outcome":"sold_out","item":{"id":"q\"\n)"
            "\xC3\xA9"
            R"(","big":-9223372036854775808,"natural":18446744073709551615,"small":0,"tiny":0,)"
            R"("flag":false,"real":0.1,"single":0.1,"blob":"/wA=","colour":"COLOUR_UNSPECIFIED",)"
            R"("metadata":{"a":"a","m":"m","z":"z"},"prices":{},"offers":[],"numbers":[],)"
            R"("limit":true,"tagNames":[]}})");
}

TEST(Json, WhatIsWrittenIsReadBack) {
  const Everything first = Parsed(R"({
      "id": "x", "big": 5, "real": 1e300, "single": 3.4028235e38, "blob": "AAECAw==",
      "colour": "RED", "metadata": {"k": "v"}, "prices": {"7": {"amount": 8, "currency": "EUR"}},
      "offers": [{"amount": 9}], "numbers": [1,2], "at": "2024-01-01T00:00:00.5Z",
      "limit": true, "maybe": 3, "price": {"amount": 1}, "right": -5, "tagNames": ["a","b"]})");
  for (const JsonStyle style : {JsonStyle::kCompact, JsonStyle::kPretty}) {
    const Everything second = Parsed(ToJson(first, style));
    EXPECT_EQ(state_machine::Canonical(first), state_machine::Canonical(second));
  }
}

// --- Bytes that are a message of the method that is named beside them

Result<atomic::ExecuteRequest> ParsedWrites(const std::string& writes) {
  atomic::ExecuteRequest request;
  Result<void> parsed = ParseJson("{\"writes\": " + writes + "}", &request);
  if (!parsed) return Fail(parsed.error());
  return request;
}

TEST(Json, AMethodsRequestIsAnObject) {
  const char* good[] = {
      R"([{"method": "atomic.Execute", "request": {"writes": [{"method": "m"}]}}])",
      R"([{"request": {"writes": [{"method": "m"}]}, "method": "atomic.Execute"}])",
      R"([{"method": "/holdfast.atomic.Atomic/Execute", "request": {"writes": [{"method": "m"}]}}])",
  };
  for (const char* text : good) {
    const auto request = ParsedWrites(text);
    ASSERT_TRUE(request) << text << request.error().field << request.error().message;
    atomic::ExecuteRequest nested;
    ASSERT_TRUE(nested.ParseFromString(request->writes(0).request()));
    ASSERT_EQ(nested.writes_size(), 1);
    EXPECT_EQ(nested.writes(0).method(), "m");
  }
  const auto written = ParsedWrites(good[0]);
  EXPECT_EQ(ToJson(*written),
            R"({"writes":[{"method":"atomic.Execute","request":{"writes":[{"method":"m"}]}}]})");
}

TEST(Json, WhatIsWrongInAMethodsRequestIsNamedByItsWholePath) {
  const auto refusal = [](const std::string& writes) {
    const auto request = ParsedWrites(writes);
    return request ? "accepted" : request.error().field + ": " + request.error().message;
  };
  const std::string deep_in = R"([{"method": "atomic.Execute", "request": )";
  EXPECT_EQ(refusal(deep_in + R"({"writes": [{"method": 5}]}}])"),
            "writes[0].request.writes[0].method: must be a string");
  EXPECT_EQ(refusal(deep_in + R"({"more": 1}}])"), "writes[0].request.more: unknown field");
  EXPECT_EQ(refusal(deep_in + R"([]}])"), "writes[0].request: must be an object");
  EXPECT_EQ(refusal(R"([{"method": "atomic.No", "request": {}}])"),
            "writes[0].method: there is no atomic.No");
  EXPECT_EQ(refusal(R"([{"request": {}}])"), "writes[0].method: is required");
  EXPECT_EQ(refusal(R"([{"method": "x", "request": {"a": {]}}])").substr(0, 17),
            "writes[0].request");
  std::string nested = R"({})";
  for (int i = 0; i < 40; ++i) {
    nested = R"({"writes": [{"method": "atomic.Execute", "request": )" + nested + "}]}";
  }
  EXPECT_NE(refusal(R"([{"method": "atomic.Execute", "request": )" + nested + "}]")
                .find("is nested deeper than"),
            std::string::npos);
}

TEST(Json, BytesOfAnUnknownMethodAreBytes) {
  atomic::ExecuteRequest request;
  auto* write = request.add_writes();
  write->set_method("no.Such");
  write->set_request("abc");
  EXPECT_EQ(ToJson(request), R"({"writes":[{"method":"no.Such","request":"YWJj"}]})");
  write->set_method("atomic.Execute");
  write->set_request("\xff");
  EXPECT_EQ(ToJson(request), R"({"writes":[{"method":"atomic.Execute","request":"/w=="}]})");
}

TEST(Json, EqualMapsHaveEqualBytes) {
  Everything forwards, backwards;
  for (int i = 0; i < 100; ++i) {
    (*forwards.mutable_metadata())[std::to_string(i)] = "v";
    (*backwards.mutable_metadata())[std::to_string(99 - i)] = "v";
  }
  EXPECT_EQ(state_machine::Canonical(forwards), state_machine::Canonical(backwards));
}

std::string FieldRefusal(FieldWriter& writer, std::string_view name, std::string_view text) {
  const Result<void> set = writer.Set(name, text);
  return set ? "accepted" : set.error().field + ": " + set.error().message;
}

TEST(FieldWriter, SetsByDottedName) {
  Everything e;
  FieldWriter writer(&e);
  for (const auto& [name, text] : std::vector<std::pair<const char*, const char*>>{
           {"id", "a b"},
           {"big", "-5"},
           {"flag", "true"},
           {"colour", "RED"},
           {"limit", "true"},
           {"at", "1970-01-01T00:00:01Z"},
           {"price.amount", "7"},
           {"price.currency", "EUR"},
           {"metadata.a.b", "c"},
           {"metadata.d", "e"},
           {"numbers", "1"},
           {"numbers", "2"},
           {"offers", R"({"amount": 3})"},
           {"offers", R"([{"amount": 4}, {"amount": 5}])"},
           {"prices", R"({"1": {"amount": 6}})"}}) {
    const Result<void> set = writer.Set(name, text);
    EXPECT_TRUE(set) << name << ": " << set.error().field << ": " << set.error().message;
  }
  EXPECT_EQ(e.id(), "a b");
  EXPECT_EQ(e.big(), -5);
  EXPECT_TRUE(e.flag());
  EXPECT_EQ(e.limit(), INT64_MAX);
  EXPECT_EQ(e.at().seconds(), 1);
  EXPECT_EQ(e.price().amount(), 7);
  EXPECT_EQ(e.price().currency(), "EUR");
  EXPECT_EQ(e.metadata().at("a.b"), "c");
  EXPECT_EQ(e.numbers_size(), 2);
  ASSERT_EQ(e.offers_size(), 3);
  EXPECT_EQ(e.offers(2).amount(), 5);
  EXPECT_EQ(e.prices().at(1).amount(), 6);
}

TEST(FieldWriter, ReachesDeepFields) {
  Tree tree;
  FieldWriter writer(&tree);
  ASSERT_TRUE(writer.Set("child.child.id", "deep"));
  ASSERT_TRUE(writer.Set("child.price", R"({"amount": 8})"));
  EXPECT_EQ(tree.child().child().id(), "deep");
  EXPECT_EQ(tree.child().price().amount(), 8);
  EXPECT_EQ(FieldRefusal(writer, "child.child.price", R"({"amount": "x"})"),
            "child.child.price.amount: must be an integer");
}

TEST(FieldWriter, RefusesWithThePathAndTheReason) {
  Everything e;
  FieldWriter writer(&e);
  EXPECT_EQ(FieldRefusal(writer, "nope", "1"), "nope: unknown field");
  EXPECT_EQ(FieldRefusal(writer, "", "1"), ": unknown field");
  EXPECT_EQ(FieldRefusal(writer, "price.nope", "1"), "price.nope: unknown field");
  EXPECT_EQ(FieldRefusal(writer, "id.x", "1"), "id: has no fields of its own");
  EXPECT_EQ(FieldRefusal(writer, "offers.amount", "1"), "offers: has no fields of its own");
  EXPECT_EQ(FieldRefusal(writer, "big", "1.5"), "big: must be an integer");
  EXPECT_EQ(FieldRefusal(writer, "small", "1"), "accepted");
  EXPECT_EQ(FieldRefusal(writer, "small", "1"), "small: appears more than once");
  EXPECT_EQ(FieldRefusal(writer, "id", "\xFF"), "id: must be valid UTF-8");
  EXPECT_EQ(FieldRefusal(writer, "metadata.k", "1"), "accepted");
  EXPECT_EQ(FieldRefusal(writer, "metadata.k", "1"), "metadata.k: appears more than once");
  EXPECT_EQ(FieldRefusal(writer, "left", "a"), "accepted");
  EXPECT_EQ(FieldRefusal(writer, "right", "1"), "right: must not be given together with left");
  EXPECT_EQ(FieldRefusal(writer, "offers", R"([{}, {"amount": "x"}])"),
            "offers[1].amount: must be an integer");
  EXPECT_NE(FieldRefusal(writer, "price", R"({}, "id": "smuggled")"), "accepted");
  EXPECT_NE(FieldRefusal(writer, "price", "5"), "accepted");
}

}  // namespace
}  // namespace holdfast::api
