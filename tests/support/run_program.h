// Runs the `holdfast` program that was built beside the test, to its end.
#pragma once

#include <string>

namespace holdfast::testing {

struct Ended {
  int code = -1;       // -1: it did not end by itself.
  std::string output;  // Standard output and error.
};

// `arguments` as a shell takes them.
Ended RunHoldfast(const std::string& arguments);

}  // namespace holdfast::testing
