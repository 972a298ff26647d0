// Broken invariants: always-on checks that stop the node. A wrong answer about money is worse than
// no answer, so a node that finds itself in a state it cannot be in does not go on.
#pragma once

#include <string>

namespace holdfast {

// Writes `what` with its place to stderr and aborts. A simulator may install a handler that throws
// instead, so that one node's broken invariant ends that node rather than the whole process.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const std::string& what);
using CheckHandler = void (*)(const std::string& report);

// The disk refuses, loses or spoils what it was given: no bug of ours, and nothing to go on from.
// The node stops: writes `what`, which says what to do, to stderr and ends the process with
// status 5. The handler above is asked first.
[[noreturn]] void DiskFailed(const std::string& what);
// The cluster has agreed on what this program cannot do (behaviour.h). The node stops in the same
// way, before it does something else than the others.
[[noreturn]] void ProgramUnfit(const std::string& what);
void SetCheckHandler(CheckHandler handler);

}  // namespace holdfast

// HOLDFAST_CHECK(a < b, "applied index went back: " + std::to_string(a));
#define HOLDFAST_CHECK(condition, what)                                \
  do {                                                                 \
    if (!(condition)) [[unlikely]] {                                   \
      ::holdfast::CheckFailed(__FILE__, __LINE__, #condition, (what)); \
    }                                                                  \
  } while (false)
