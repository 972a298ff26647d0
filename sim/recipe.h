// What happens in a run: a small TOML file under sim/recipes/. Every value is a range, "from..to",
// or a number; a run draws its own from it. Faults come at random times, so many milliseconds apart
// on average; 0, or no line, is never.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sim/world.h"
#include "src/base/error.h"

namespace holdfast::sim {

struct Range {
  uint64_t from = 0;
  uint64_t to = 0;
  uint64_t Draw(Random& random) const { return random.Between(from, to); }
};

struct Recipe {
  std::string name;
  std::map<std::string, Range> values;

  uint64_t Draw(const std::string& key, Random& random) const {
    return values.at(key).Draw(random);
  }
};

// The keys of a recipe, each with its value where a recipe does not say.
const std::map<std::string, Range>& RecipeDefaults();

// An Error names the line or the key.
Result<Recipe> ParseRecipe(const std::string& name, std::string_view text);
// All of a folder, by name.
Result<std::vector<Recipe>> ReadRecipes(const std::string& folder);

}  // namespace holdfast::sim
