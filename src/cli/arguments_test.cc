#include "src/cli/arguments.h"

#include <gtest/gtest.h>

#include <fstream>

#include "src/api/json.h"
#include "src/api/testing/shop.pb.h"
#include "src/base/bounds.h"
#include "tests/support/temp_folder.h"

namespace holdfast::cli {
namespace {

using api::testing::Everything;
using api::testing::Tree;

using Texts = std::vector<std::pair<std::string, std::string>>;

// Applies flags by name ("--price.amount"), each once more for every further text.
Result<Everything> Apply(const Texts& texts, Everything request = {}) {
  const std::vector<Flag> flags = FlagsOf(*Everything::descriptor());
  std::vector<Given> given;
  for (const auto& [name, text] : texts) {
    const auto flag =
        std::find_if(flags.begin(), flags.end(), [&name = name](const Flag& candidate) {
          return ("," + candidate.names + ",").find("," + name + ",") != std::string::npos;
        });
    EXPECT_NE(flag, flags.end()) << name;
    if (!given.empty() && given.back().first == &*flag) {
      given.back().second.push_back(text);
    } else {
      given.push_back({&*flag, {text}});
    }
  }
  if (auto applied = ApplyFlags(given, &request); !applied) return Fail(applied.error());
  return request;
}

std::string ErrorOf(const Texts& texts) {
  const auto applied = Apply(texts);
  return applied ? "none" : applied.error().field + ": " + applied.error().message;
}

TEST(ArgumentsTest, EveryKindOfFieldHasAFlag) {
  const auto request = Apply({{"--id", "x"},
                              {"--big", "-9223372036854775808"},
                              {"--flag", "true"},
                              {"--colour", "RED"},
                              {"--blob", "aGk="},
                              {"--at", "2030-12-31T23:59:59Z"},
                              {"--limit", "true"},
                              {"--price.amount", "5"},
                              {"--price.currency", "EUR"}});
  ASSERT_TRUE(request) << request.error().field << request.error().message;
  EXPECT_EQ(request->id(), "x");
  EXPECT_EQ(request->big(), INT64_MIN);
  EXPECT_TRUE(request->flag());
  EXPECT_EQ(request->colour(), api::testing::RED);
  EXPECT_EQ(request->blob(), "hi");
  EXPECT_EQ(request->at().seconds(), 1924991999);
  EXPECT_EQ(request->limit(), INT64_MAX);
  EXPECT_EQ(request->price().amount(), 5);
  EXPECT_EQ(request->price().currency(), "EUR");
}

TEST(ArgumentsTest, MapsTakeKeyValuePairsOrJson) {
  const auto request =
      Apply({{"--metadata", "a=1"}, {"--metadata", "b.c=x=y"}, {"--metadata", "e="}});
  ASSERT_TRUE(request);
  EXPECT_EQ(request->metadata().at("a"), "1");
  EXPECT_EQ(request->metadata().at("b.c"), "x=y") << "the first = ends the key";
  EXPECT_EQ(request->metadata().at("e"), "");
  const auto json =
      Apply({{"--metadata", R"({"k": "v"})"}, {"--prices", R"({"1": {"amount": 3}})"}});
  ASSERT_TRUE(json);
  EXPECT_EQ(json->metadata().at("k"), "v");
  EXPECT_EQ(json->prices().at(1).amount(), 3);
  EXPECT_EQ(ErrorOf({{"--metadata", "plain"}}), "metadata: must be KEY=VALUE or a JSON object");
  EXPECT_EQ(ErrorOf({{"--metadata", "a=1"}, {"--metadata", "a=2"}}),
            "metadata.a: appears more than once");
}

TEST(ArgumentsTest, RepeatedFieldsTakeRepetitionOrJson) {
  const auto request = Apply({{"--numbers", "1"},
                              {"--numbers", "[2, 3]"},
                              {"--tagNames", "a"},
                              {"--offers", R"({"amount": 1})"},
                              {"--offers", R"([{"amount": 2}, {"amount": 3}])"}});
  ASSERT_TRUE(request) << request.error().field << request.error().message;
  ASSERT_EQ(request->numbers_size(), 3);
  EXPECT_EQ(request->numbers(2), 3);
  EXPECT_EQ(request->tagnames(0), "a");
  ASSERT_EQ(request->offers_size(), 3);
  EXPECT_EQ(request->offers(2).amount(), 3);
}

TEST(ArgumentsTest, ErrorsNameTheField) {
  EXPECT_EQ(ErrorOf({{"--big", "1.5"}}), "big: must be an integer");
  EXPECT_EQ(ErrorOf({{"--limit", "yes"}}), "limit: must be an integer or true");
  EXPECT_EQ(ErrorOf({{"--price.amount", "x"}}), "price.amount: must be an integer");
  EXPECT_EQ(ErrorOf({{"--id", "a"}, {"--id", "b"}}), "id: appears more than once");
  EXPECT_EQ(ErrorOf({{"--id", "\xff"}}), "id: must be valid UTF-8");
  EXPECT_EQ(ErrorOf({{"--numbers", "[1, x]"}}).substr(0, 8), "numbers[") << "path of the element";
  EXPECT_EQ(ErrorOf({{"--price", R"({"wrong": 1})"}}).substr(0, 11), "price.wrong");
}

TEST(ArgumentsTest, NestedTypesHaveFlagsUnlessTheyContainThemselves) {
  std::set<std::string> paths;
  const std::vector<Flag> flags = FlagsOf(*Tree::descriptor());
  for (const Flag& flag : flags) paths.insert(flag.path);
  EXPECT_EQ(paths, (std::set<std::string>{"child", "flag", "id", "price", "price.amount",
                                          "price.currency"}));
  Tree tree;
  ASSERT_EQ(flags.back().path, "child");
  ASSERT_TRUE(ApplyFlags({{&flags.back(), {R"({"id": "inner"})"}}}, &tree));
  EXPECT_EQ(tree.child().id(), "inner");
}

TEST(ArgumentsTest, JsonComesFromTextFileOrInputAndFlagsGoOverIt) {
  testing::TempFolder folder;
  const std::string path = folder.path() + "/request.json";
  std::ofstream(path) << R"({"id": "file"})";
  std::istringstream in(R"({"id": "input"})");
  for (const auto& [text, id] :
       Texts{{R"({"id": "text"})", "text"}, {"@" + path, "file"}, {"-", "input"}}) {
    Everything request;
    const auto applied = ApplyJson(text, in, &request);
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_EQ(request.id(), id);
  }
  Everything base;
  base.set_id("json");
  base.set_big(1);
  const auto over = Apply({{"--id", "flag"}}, base);
  ASSERT_TRUE(over);
  EXPECT_EQ(over->id(), "flag");
  EXPECT_EQ(over->big(), 1);

  Everything request;
  const auto missing = ApplyJson("@" + folder.path() + "/none", in, &request);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().field, "json");
  std::istringstream endless(std::string(bounds::kHttpBodyBytesMax + 1, ' '));
  const auto too_long = ApplyJson("-", endless, &request);
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().code, ErrorCode::kTooLarge);
  EXPECT_FALSE(ApplyJson(R"({"unknown": 1})", in, &request));
}

TEST(ArgumentsTest, SamplesAreValidRequests) {
  EXPECT_EQ(SampleFlags(*Everything::descriptor()), " --id ID");
  Everything request;
  std::istringstream in;
  EXPECT_TRUE(ApplyJson(SampleJson(*Everything::descriptor()), in, &request));
  EXPECT_EQ(request.id(), "ID");
}

// The reference showed a GET without what it requires, which answers 400.
TEST(ArgumentsTest, SamplesOverHttpHaveWhatIsRequiredOnceOnly) {
  const auto query = SampleHttp(*Everything::descriptor(), "/v1/things");
  EXPECT_EQ(query.path + query.query, "/v1/things?id=ID");
  EXPECT_EQ(query.body, R"({"id": "ID"})");
  const auto path = SampleHttp(*Everything::descriptor(), "/v1/things/{id}:mend");
  EXPECT_EQ(path.path + path.query, "/v1/things/ID:mend");
  EXPECT_EQ(path.body, "{}") << "it is in the path";
}

TEST(ArgumentsTest, MethodWordsAreKebabCase) {
  EXPECT_EQ(ToWord("CreateTransfer"), "create-transfer");
  EXPECT_EQ(ToWord("Pay"), "pay");
}

}  // namespace
}  // namespace holdfast::cli
