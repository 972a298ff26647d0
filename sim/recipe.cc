#include "sim/recipe.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace holdfast::sim {
namespace {

std::string Trimmed(std::string text) {
  const size_t from = text.find_first_not_of(" \t");
  if (from == std::string::npos) return "";
  return text.substr(from, text.find_last_not_of(" \t\r") - from + 1);
}

bool ParseNumber(std::string_view text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseRange(const std::string& text, Range* range) {
  const size_t dots = text.find("..");
  if (dots == std::string::npos) {
    range->to = 0;
    if (!ParseNumber(text, &range->from)) return false;
    range->to = range->from;
    return true;
  }
  return ParseNumber(std::string_view(text).substr(0, dots), &range->from) &&
         ParseNumber(std::string_view(text).substr(dots + 2), &range->to) &&
         range->from <= range->to;
}

}  // namespace

const std::map<std::string, Range>& RecipeDefaults() {
  static const std::map<std::string, Range> kDefaults = {
      // The cluster.
      {"nodes", {3, 5}},
      {"duration_ms", {5'000, 20'000}},
      {"election_timeout_ms", {150, 400}},
      {"checkpoint_rows", {20, 400}},
      {"checkpoint_interval_ms", {500, 10'000}},
      {"keep_entries", {5, 400}},  // Little, so that who was away needs a checkpoint.
      {"segment_kib", {64, 1'024}},
      {"disk_us", {100, 2'000}},  // The longest that a write takes.
      {"drift_ppm", {0, 500}},    // How much too fast or too slow a clock may be.
      // The clients.
      {"clients", {1, 12}},
      {"accounts", {2, 12}},
      {"writes", {200, 4'000}},  // Then they only read: the model's time grows with the square.
      {"pause_us", {1'000, 40'000}},
      {"patience_ms", {100, 3'000}},
      // Faults: the mean time between two of a kind.
      {"crash_ms", {0, 0}},         // A machine loses power.
      {"crash_all_ms", {0, 0}},     // All machines at once.
      {"kill_ms", {0, 0}},          // A process ends.
      {"cut_power_ms", {0, 0}},     // A machine loses power in the middle of what it writes.
      {"fail_sync_ms", {0, 0}},     // A sync fails: the process ends.
      {"fail_write_ms", {0, 0}},    // A write fails: the process ends.
      {"wipe_ms", {0, 0}},          // A disk is lost; of a minority at a time.
      {"pause_node_ms", {0, 0}},    // A process stands still, longer than an election at times.
      {"slow_disk_ms", {0, 0}},     // Disks change their pace.
      {"partition_ms", {0, 0}},     // The network falls into two or three.
      {"isolate_ms", {0, 0}},       // One node, the leader rather, both ways or one.
      {"cut_links_ms", {0, 0}},     // Some links, each for itself.
      {"slow_links_ms", {0, 0}},    // Delays up to half an election timeout.
      {"break_link_ms", {0, 0}},    // A connection breaks, and is opened anew.
      {"heal_network_ms", {0, 0}},  // All links are well again.
      {"jump_clock_ms", {0, 0}},    // A wall clock is set, by up to a minute.
  };
  return kDefaults;
}

Result<Recipe> ParseRecipe(const std::string& name, const std::string& text) {
  Recipe recipe{name, "", RecipeDefaults()};
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::string trimmed = Trimmed(line);
    const auto wrong = [&](const std::string& why) {
      return Fail(
          InvalidArgument(name, "line " + std::to_string(number) + ", '" + trimmed + "', " + why));
    };
    if (trimmed.empty()) continue;
    if (trimmed.front() == '#') {
      if (recipe.about.empty()) recipe.about = Trimmed(trimmed.substr(1));
      continue;
    }
    const size_t equals = trimmed.find('=');
    if (equals == std::string::npos) return wrong("is not key = value");
    const std::string key = Trimmed(trimmed.substr(0, equals));
    const auto found = recipe.values.find(key);
    if (found == recipe.values.end()) return wrong("names nothing that a recipe knows");
    std::string value = Trimmed(trimmed.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    if (!ParseRange(value, &found->second)) return wrong("is neither a number nor \"from..to\"");
  }
  return recipe;
}

Result<std::vector<Recipe>> ReadRecipes(const std::string& folder) {
  std::vector<Recipe> recipes;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() != ".toml") continue;
    std::ifstream file(it->path());
    std::stringstream text;
    text << file.rdbuf();
    auto recipe = ParseRecipe(it->path().stem().string(), text.str());
    if (!recipe) return Fail(recipe.error());
    recipes.push_back(std::move(*recipe));
  }
  if (error || recipes.empty()) {
    return Fail(InvalidArgument("recipes", "there are none in " + folder));
  }
  std::sort(recipes.begin(), recipes.end(),
            [](const Recipe& a, const Recipe& b) { return a.name < b.name; });
  return recipes;
}

}  // namespace holdfast::sim
