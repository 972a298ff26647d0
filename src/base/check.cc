#include "src/base/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace holdfast {
namespace {
std::atomic<CheckHandler> g_handler{nullptr};
}  // namespace

void SetCheckHandler(CheckHandler handler) { g_handler.store(handler); }

void CheckFailed(const char* file, int line, const char* condition, const std::string& what) {
  const std::string report = std::string("broken invariant at ") + file + ":" +
                             std::to_string(line) + ": " + condition + ": " + what;
  if (CheckHandler handler = g_handler.load()) handler(report);
  std::fprintf(stderr,
               "%s\nThe node stops here rather than serve a state it cannot be in. Keep its data "
               "folder and this line for the report.\n",
               report.c_str());
  std::abort();
}

void DiskFailed(const std::string& what) {
  const std::string report = "the disk failed: " + what;
  if (CheckHandler handler = g_handler.load()) handler(report);
  std::fprintf(stderr, "holdfast: %s\nThe node stops: what was acknowledged is on other disks.\n",
               report.c_str());
  std::_Exit(5);
}

void ProgramUnfit(const std::string& what) {
  if (CheckHandler handler = g_handler.load()) handler(what);
  std::fprintf(stderr, "holdfast: %s\n", what.c_str());
  std::_Exit(5);
}

}  // namespace holdfast
