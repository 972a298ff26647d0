#include "src/base/reached.h"

#include <utility>

// The linker's words for where the section begins and ends; weak, as a program may have no mark.
extern "C" {
[[gnu::weak]] extern holdfast::reached::Mark __start_holdfast_reached[];  // NOLINT
[[gnu::weak]] extern holdfast::reached::Mark __stop_holdfast_reached[];   // NOLINT
}

namespace holdfast::reached {
namespace {

std::vector<uint64_t>& Counts() {
  static thread_local std::vector<uint64_t> counts(
      static_cast<size_t>(__stop_holdfast_reached - __start_holdfast_reached));
  return counts;
}

}  // namespace

std::atomic<bool> g_enabled{false};

void Enable() { g_enabled.store(true); }

void Count(const Mark& mark) { ++Counts()[static_cast<size_t>(&mark - __start_holdfast_reached)]; }

std::map<std::string, uint64_t> Take() {
  std::map<std::string, uint64_t> taken;
  std::vector<uint64_t>& counts = Counts();
  for (size_t i = 0; i < counts.size(); ++i) {
    taken[__start_holdfast_reached[i].name] += std::exchange(counts[i], 0);
  }
  return taken;
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const Mark* mark = __start_holdfast_reached; mark != __stop_holdfast_reached; ++mark) {
    names.emplace_back(mark->name);
  }
  return names;
}

}  // namespace holdfast::reached
