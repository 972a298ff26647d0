#include "tests/support/run_program.h"

#include <sys/wait.h>

#include <cstdio>

#include "tests/support/process_cluster.h"

namespace holdfast::testing {

Ended RunHoldfast(const std::string& arguments) {
  Ended ended;
  // A test that waits for a program waits not for ever: it is told 124, and what was said so far.
  const std::string command = "timeout 120 " + ProcessCluster::Program() + " ";
  FILE* pipe = popen((command + arguments + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return ended;
  char buffer[4096];
  for (size_t read; (read = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) {
    ended.output.append(buffer, read);
  }
  const int status = pclose(pipe);
  if (WIFEXITED(status)) ended.code = WEXITSTATUS(status);
  return ended;
}

}  // namespace holdfast::testing
