#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>

#include "sim/file_base.h"
#include "sim/run.h"
#include "src/base/file_system_faulty.h"
#include "src/base/reached.h"
#include "src/base/testing/stopped.h"

namespace holdfast::sim {
namespace {

Recipe Parsed(const std::string& text) {
  auto recipe = ParseRecipe("test", text);
  EXPECT_TRUE(recipe) << recipe.error().message;
  return *recipe;
}

std::string Refusal(const std::string& text) {
  auto recipe = ParseRecipe("test", text);
  return recipe ? "" : recipe.error().message;
}

TEST(RecipeTest, SaysWhatItChanges) {
  const Recipe recipe = Parsed("# What it is about.\n\nnodes = 5\ncrash_ms = \"10..20\"\n");
  EXPECT_EQ(recipe.values.at("nodes").from, 5U);
  EXPECT_EQ(recipe.values.at("nodes").to, 5U);
  EXPECT_EQ(recipe.values.at("crash_ms").to, 20U);
  EXPECT_EQ(recipe.values.at("clients").to, RecipeDefaults().at("clients").to);
}

TEST(RecipeTest, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(Refusal("# a\nnode = 5"), "'node' is nothing a recipe knows");
  EXPECT_NE(Refusal("nodes = five"), "");
  EXPECT_NE(Refusal("nodes = \"5..3\""), "");
  EXPECT_NE(Refusal("nodes = -1"), "");
  EXPECT_EQ(Refusal("# a\nnodes").substr(0, 6), "line 2");
}

class FileBaseTest : public ::testing::Test {
 protected:
  void Open() {
    auto base = FileBase::Open(files_, "/db");
    ASSERT_TRUE(base) << base.error().message;
    base_ = std::move(*base);
  }
  void Put(const std::string& key, std::optional<std::string> value) {
    bool given = false;
    base_->Ingest([&]() -> std::optional<store::Change> {
      if (std::exchange(given, true)) return std::nullopt;
      store::Change change{key, std::nullopt};
      if (value) change.value = *value;
      return change;
    });
  }
  std::string Get(const std::string& key) {
    std::string value;
    return base_->Get(key, &value) ? value : "(absent)";
  }

  const holdfast::testing::StopThrows stop_throws_;
  FaultyFileSystem files_;
  std::unique_ptr<FileBase> base_;
};

TEST_F(FileBaseTest, HoldsWhatWasIngestedAcrossCrashes) {
  Open();
  for (int i = 0; i < 20; ++i) {
    Put("k" + std::to_string(i % 7), std::to_string(i));
    if (i == 10) Put("k3", std::nullopt);
    files_.Crash();
    Open();
  }
  EXPECT_EQ(Get("k6"), "13");
  EXPECT_EQ(Get("k5"), "19");
  EXPECT_EQ(Get("k3"), "17");
  EXPECT_EQ(Get("k9"), "(absent)");
}

TEST_F(FileBaseTest, FindsAFlippedBit) {
  Open();
  Put("key", "value");
  files_.FlipBit("/db/run-0000000001", 9, 3);
  const auto base = FileBase::Open(files_, "/db");
  ASSERT_FALSE(base);
  EXPECT_NE(base.error().message.find("run-0000000001 is damaged"), std::string::npos);
}

TEST_F(FileBaseTest, StopsWhenTheDiskFails) {
  Open();
  files_.FailSync(1, EIO);
  EXPECT_THROW(Put("key", "value"), holdfast::testing::Stopped);
}

class SimulatorTest : public ::testing::Test {
 protected:
  SimulatorTest() { spdlog::set_level(spdlog::level::off); }
  ~SimulatorTest() override { spdlog::set_level(spdlog::level::info); }
  const holdfast::testing::StopThrows stop_throws_;
};

// A mark names one place: else a branch that nobody reaches would hide behind another.
TEST(ReachedTest, EachMarkIsThereOnce) {
  const std::vector<std::string> names = reached::Names();
  EXPECT_GE(names.size(), 25U);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  for (const std::string& name : names) {
    EXPECT_EQ(std::count(name.begin(), name.end(), '.'), 2) << name << " is part.file.what";
  }
}

// Whatever is decided by an address, a thread or a real clock shows as a difference.
TEST_F(SimulatorTest, ASeedIsARun) {
  const auto recipes = ReadRecipes(HOLDFAST_SOURCE_FOLDER "/sim/recipes");
  ASSERT_TRUE(recipes) << recipes.error().message;
  for (const Recipe& recipe : *recipes) {
    Recipe shorter = recipe;
    shorter.values["duration_ms"] = {3'000, 3'000};
    const Report first = sim::Run(shorter, 7, false);
    const Report again = sim::Run(shorter, 7, false);
    EXPECT_EQ(first.hash, again.hash) << recipe.name;
    EXPECT_EQ(first.steps, again.steps) << recipe.name;
    EXPECT_NE(first.hash, sim::Run(shorter, 8, false).hash) << recipe.name;
    EXPECT_GT(first.writes, 0U) << recipe.name;
    // Only against a log that tells the true time is held what journals make of it.
    EXPECT_TRUE(recipe.name != "journal" || first.true_logs == 1);
  }
}

}  // namespace
}  // namespace holdfast::sim
