// A node that stops on a broken invariant, as a test sees it.
#pragma once

#include <stdexcept>
#include <string>

#include "src/base/check.h"

namespace holdfast::testing {

struct Stopped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// While it lives, a broken invariant throws Stopped instead of ending the process.
class StopThrows {
 public:
  StopThrows() {
    SetCheckHandler([](const std::string& report) { throw Stopped(report); });
  }
  ~StopThrows() { SetCheckHandler(nullptr); }
  StopThrows(const StopThrows&) = delete;
};

}  // namespace holdfast::testing
