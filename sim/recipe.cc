#include "sim/recipe.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "src/base/file_system.h"

namespace holdfast::sim {
namespace {

constexpr size_t kRecipeBytesMax = 64 << 10;

bool ParseNumber(std::string_view text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseRange(const toml::node& value, Range* range) {
  if (const auto number = value.value_exact<int64_t>()) {
    *range = {static_cast<uint64_t>(*number), static_cast<uint64_t>(*number)};
    return *number >= 0;
  }
  const std::string_view text = value.value_or<std::string_view>("");
  const size_t dots = text.find("..");
  return dots != std::string_view::npos && ParseNumber(text.substr(0, dots), &range->from) &&
         ParseNumber(text.substr(dots + 2), &range->to) && range->from <= range->to;
}

}  // namespace

const std::map<std::string, Range>& RecipeDefaults() {
  static const std::map<std::string, Range> kDefaults = {
      // The cluster.
      {"nodes", {3, 5}},   // That found it.
      {"spares", {0, 0}},  // Machines for nodes that are added; 7 in all at most.
      {"duration_ms", {5'000, 20'000}},
      {"election_timeout_ms", {150, 400}},
      {"checkpoint_rows", {20, 400}},
      {"checkpoint_interval_ms", {500, 10'000}},
      {"keep_entries", {5, 400}},  // Little, so that who was away needs a checkpoint.
      {"segment_kib", {64, 1'024}},
      {"disk_us", {100, 2'000}},    // The longest that a write takes.
      {"drift_ppm", {0, 500}},      // How much too fast or too slow a clock may be.
      {"clock_offset_ms", {0, 0}},  // How far ahead of the true time, from the beginning.
      {"kept_clocks", {0, 0}},      // 1: wall clocks are set right all the time, and do not drift.
      {"liars", {0, 0}},            // Nodes whose wall clock may say anything; a minority.
      {"lie_ms", {0, 0}},           // Between two of their stories.
      {"clock_error_ms", {100, 100}},      // What a machine's clock is said to be kept to ...
      {"clock_limit_ms", {1'000, 1'000}},  // ... and known no better than this, it is not known.
      {"clock_sample_ms", {200, 1'000}},
      // The clients.
      {"clients", {1, 12}},
      {"accounts", {2, 12}},
      // Of what they ask, how much is for whom (mix.h).
      {"ledger", {1, 1}},
      {"coordination", {0, 0}},
      {"queues", {0, 0}},
      {"cache", {0, 0}},
      {"todo", {0, 0}},
      {"chat", {0, 0}},
      {"journal", {0, 0}},
      {"orders", {0, 0}},
      {"rounds", {0, 0}},
      {"execute", {0, 0}},
      {"writes", {200, 4'000}},  // Then they only read: the model's time grows with the square.
      {"pause_us", {1'000, 40'000}},
      {"patience_ms", {100, 3'000}},
      {"near_caches", {0, 0}},  // Beside the clients (near_caches.h).
      // Changes of who the members are: the mean time between two plans.
      {"change_members_ms", {0, 0}},
      {"voters", {1, 5}},  // How many there are to be, at one time and another.
      {"wipe_at_change_percent",
       {0, 0}},                        // How often a disk is lost with a promotion or removal ...
      {"wipe_within_ms", {20, 300}},   // ... within so long of it.
      {"restart_removed_ms", {0, 0}},  // Who was removed is started again.
      // Faults: the mean time between two of a kind.
      {"crash_ms", {0, 0}},         // A machine loses power.
      {"crash_all_ms", {0, 0}},     // All machines at once.
      {"kill_ms", {0, 0}},          // A process ends.
      {"cut_power_ms", {0, 0}},     // A machine loses power in the middle of what it writes.
      {"fail_sync_ms", {0, 0}},     // A sync fails: the process ends.
      {"fail_write_ms", {0, 0}},    // A write fails: the process ends.
      {"fill_disk_ms", {0, 0}},     // A disk has no more room, for up to three seconds.
      {"rot_ms", {0, 0}},           // A bit of a stored file flips; at a minority of the nodes.
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

Result<Recipe> ParseRecipe(const std::string& name, std::string_view text) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return Fail(InvalidArgument(name, "line " + std::to_string(parsed.error().source().begin.line) +
                                          ": " + std::string(parsed.error().description())));
  }
  Recipe recipe{name, RecipeDefaults()};
  for (const auto& [key, value] : parsed.table()) {
    const auto found = recipe.values.find(std::string(key.str()));
    if (found == recipe.values.end()) {
      return Fail(
          InvalidArgument(name, "'" + std::string(key.str()) + "' is nothing a recipe knows"));
    }
    if (!ParseRange(value, &found->second)) {
      return Fail(
          InvalidArgument(name, "'" + found->first + "' is neither a number nor \"from..to\""));
    }
  }
  return recipe;
}

Result<std::vector<Recipe>> ReadRecipes(const std::string& folder) {
  PosixFileSystem files;
  std::vector<Recipe> recipes;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() != ".toml") continue;
    const auto text = ReadFile(files, it->path().string(), kRecipeBytesMax);
    if (!text) return Fail(text.error());
    auto recipe = ParseRecipe(it->path().stem().string(), *text);
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
