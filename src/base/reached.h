// Marks of rare branches that matter for correctness: whoever tests by chance wants to know which
// of them it has come through. Nothing is counted, and a mark costs a relaxed load, unless a test
// program asks for it.
//
//   if (term < floor) {
//     HOLDFAST_REACHED("raft.rejoin.floor");  // The part, the file, what happens; once each.
//     ...
//
// In .cc files only, and not in templates: the marks of a program lie side by side in it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace holdfast::reached {

struct Mark {
  const char* name;
};

// From now on all marks count, for the thread that passes them.
void Enable();
// How often this thread has passed each mark of the program since it last asked; 0 is there, too.
std::map<std::string, uint64_t> Take();
// Of all marks, as often as there are marks of that name.
std::vector<std::string> Names();

extern std::atomic<bool> g_enabled;
void Count(const Mark& mark);

}  // namespace holdfast::reached

#define HOLDFAST_REACHED(mark_name)                                                    \
  do {                                                                                 \
    [[gnu::section("holdfast_reached"),                                                \
      gnu::used]] static ::holdfast::reached::Mark holdfast_mark{mark_name};           \
    if (::holdfast::reached::g_enabled.load(std::memory_order_relaxed)) [[unlikely]] { \
      ::holdfast::reached::Count(holdfast_mark);                                       \
    }                                                                                  \
  } while (false)
