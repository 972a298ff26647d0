// Runs simulated clusters, seed after seed, until one fails or all have passed.
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>

#include "sim/run.h"
#include "src/base/reached.h"
#include "src/base/testing/stopped.h"

namespace holdfast::sim {
namespace {

using std::chrono::steady_clock;

struct Options {
  std::string folder = HOLDFAST_SOURCE_FOLDER "/sim/recipes";
  std::string only;  // One recipe; empty: all.
  uint64_t first = 1;
  uint64_t seeds = 100;
  uint64_t seed = 0;  // This one only, traced.
  uint64_t seconds = 0;
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
  bool quiet = false;
};

struct Totals {
  uint64_t runs = 0;
  uint64_t simulated_ms = 0;
  uint64_t writes = 0;
  uint64_t reads = 0;
  uint64_t entries = 0;
  uint64_t installs = 0;
  uint64_t leaders = 0;
  uint64_t starts = 0;
  uint64_t clock_looks = 0;
  uint64_t clock_excused = 0;
  uint64_t true_logs = 0;
  uint64_t converged_ms = 0;  // The longest.
  std::map<std::string, uint64_t> faults;
  // Of each rare branch, how often it was reached by each recipe.
  std::map<std::string, std::map<std::string, uint64_t>> reached;

  void Add(const std::string& recipe, const Report& report) {
    ++runs;
    simulated_ms += report.simulated_ms;
    writes += report.writes;
    reads += report.reads;
    entries += report.entries;
    installs += report.installs;
    leaders += report.leaders;
    starts += report.starts;
    clock_looks += report.clock_looks;
    clock_excused += report.clock_excused;
    true_logs += report.true_logs;
    converged_ms = std::max(converged_ms, report.converged_ms);
    for (const auto& [name, count] : report.faults) faults[name] += count;
    for (const auto& [mark, count] : report.reached) {
      auto& by_recipe = reached[mark];
      if (count > 0) by_recipe[recipe] += count;
    }
  }
};

class Runner {
 public:
  Runner(Options options, std::vector<Recipe> recipes)
      : options_(std::move(options)), recipes_(std::move(recipes)), next_(options_.first) {}

  int Run() {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < options_.jobs; ++i) threads.emplace_back([this] { Work(); });
    for (std::thread& thread : threads) thread.join();
    if (!failure_.empty()) {
      std::printf("%s\n", failure_.c_str());
      return 1;
    }
    Summarise();
    return 0;
  }

 private:
  double Seconds() const {
    return std::chrono::duration<double>(steady_clock::now() - began_).count();
  }

  void Work() {
    for (;;) {
      const uint64_t seed = next_++;
      if (seed >= options_.first + options_.seeds || failed_) return;
      if (options_.seconds != 0 && Seconds() > static_cast<double>(options_.seconds)) return;
      const Recipe& recipe = recipes_[seed % recipes_.size()];
      try {
        const Report report = sim::Run(recipe, seed, false);
        std::lock_guard lock(mutex_);
        totals_.Add(recipe.name, report);
        Progress();
      } catch (const std::exception& violation) {
        std::lock_guard lock(mutex_);
        if (failed_.exchange(true)) return;
        failure_ = "seed " + std::to_string(seed) + " of recipe " + recipe.name + ": " +
                   violation.what() + "\n\nAgain, step by step:  ./dev sim --recipe " +
                   recipe.name + " --seed " + std::to_string(seed);
      }
    }
  }

  void Progress() {
    if (options_.quiet || Seconds() < told_ + 2) return;
    told_ = Seconds();
    std::printf(
        "%8.0f s: %llu runs, %.2f simulated hours, %llu writes, %.1f simulated hours a "
        "minute\n",
        told_, static_cast<unsigned long long>(totals_.runs), Hours(),
        static_cast<unsigned long long>(totals_.writes), Hours() / told_ * 60);
    std::fflush(stdout);
  }
  double Hours() const { return static_cast<double>(totals_.simulated_ms) / 3.6e6; }

  void Summarise() const {
    const auto number = [](uint64_t n) { return std::to_string(n); };
    std::string text =
        number(totals_.runs) + " runs passed: " + number(totals_.entries) + " entries, " +
        number(totals_.writes) + " writes and " + number(totals_.reads) + " reads checked, " +
        number(totals_.leaders) + " elections, " + number(totals_.starts) + " starts, " +
        number(totals_.installs) + " checkpoints installed, " + number(totals_.clock_looks) +
        " looks at nodes that knew the time (" + number(totals_.clock_excused) +
        " were misled by a majority), " + number(totals_.true_logs) +
        " logs that tell the true time; level again after at "
        "most " +
        number(totals_.converged_ms) + " ms";
    std::printf("%s\n", text.c_str());
    std::printf("%.2f simulated hours in %.0f s\nfaults:", Hours(), Seconds());
    for (const auto& [name, count] : totals_.faults) {
      std::printf(" %s %llu", name.substr(0, name.size() - 3).c_str(),
                  static_cast<unsigned long long>(count));
    }
    std::printf("\n");
    SummariseReached();
  }

  void SummariseReached() const {
    std::string missed;
    for (const auto& [mark, by_recipe] : totals_.reached) {
      if (by_recipe.empty()) missed += (missed.empty() ? " " : ", ") + mark;
      if (by_recipe.empty() || options_.quiet) continue;
      std::string text;
      uint64_t sum = 0;
      for (const auto& [recipe, count] : by_recipe) {
        sum += count;
        text.append(" ").append(recipe).append(" ").append(std::to_string(count));
      }
      std::printf("  %-48s %8llu :%s\n", mark.c_str(), static_cast<unsigned long long>(sum),
                  text.c_str());
    }
    const auto is_missed = [](const auto& mark) { return mark.second.empty(); };
    const auto missing = std::count_if(totals_.reached.begin(), totals_.reached.end(), is_missed);
    std::printf("rare branches: %zu of %zu reached%s%s\n",
                totals_.reached.size() - static_cast<size_t>(missing), totals_.reached.size(),
                missed.empty() ? "" : "; not:", missed.c_str());
  }

  const Options options_;
  const std::vector<Recipe> recipes_;
  const steady_clock::time_point began_ = steady_clock::now();
  std::atomic<uint64_t> next_;
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  Totals totals_;
  std::string failure_;
  double told_ = 0;
};

int RunOne(const Options& options, const std::vector<Recipe>& recipes) {
  const Recipe& recipe = recipes[options.seed % recipes.size()];
  try {
    const Report report = sim::Run(recipe, options.seed, !options.quiet);
    std::printf("seed %llu of recipe %s passed: %llu writes, %llu entries, hash %016llx\n",
                static_cast<unsigned long long>(options.seed), recipe.name.c_str(),
                static_cast<unsigned long long>(report.writes),
                static_cast<unsigned long long>(report.entries),
                static_cast<unsigned long long>(report.hash));
    return 0;
  } catch (const std::exception& violation) {
    std::printf("seed %llu of recipe %s: %s\n", static_cast<unsigned long long>(options.seed),
                recipe.name.c_str(), violation.what());
    return 1;
  }
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Runs whole clusters on simulated time, network, disks and clocks. Each run follows from its "
      "seed and a recipe; a failure prints both.");
  app.add_option("--recipes", options.folder, "The folder of recipes")->capture_default_str();
  app.add_option("--recipe", options.only, "Only this one");
  app.add_option("--seeds", options.seeds, "How many runs")->capture_default_str();
  app.add_option("--first", options.first, "The first seed")->capture_default_str();
  app.add_option("--seed", options.seed, "Only this seed, and say what happens");
  app.add_option("--seconds", options.seconds, "Begin no run after so long");
  app.add_option("--jobs", options.jobs, "Runs at a time")->capture_default_str();
  app.add_flag("--quiet", options.quiet, "No progress, no trace");
  CLI11_PARSE(app, argc, argv);
  const bool tells = options.seed != 0 && !options.quiet;
  spdlog::set_level(tells ? spdlog::level::info : spdlog::level::off);
  const testing::StopThrows stop_throws;
  reached::Enable();
  auto recipes = ReadRecipes(options.folder);
  if (!recipes) {
    std::fprintf(stderr, "%s: %s\n", recipes.error().field.c_str(),
                 recipes.error().message.c_str());
    return 2;
  }
  if (!options.only.empty()) {
    std::erase_if(*recipes, [&](const Recipe& recipe) { return recipe.name != options.only; });
    if (recipes->empty()) {
      std::fprintf(stderr, "there is no recipe %s\n", options.only.c_str());
      return 2;
    }
  }
  if (options.seed != 0) return RunOne(options, *recipes);
  return Runner(options, std::move(*recipes)).Run();
}

}  // namespace
}  // namespace holdfast::sim

int main(int argc, char** argv) { return holdfast::sim::Main(argc, argv); }
