// An operating error as it travels (error.proto). No state; any thread.
#pragma once

#include "holdfast/error.pb.h"
#include "src/base/error.h"

namespace holdfast {

ErrorMessage ToWire(const Error& error);
// A code that this build does not know becomes kInternal.
Error FromWire(const ErrorMessage& message);

}  // namespace holdfast
