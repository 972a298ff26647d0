// A place where faults can be made without touching this machine: namespaces of their own for
// network, mounts and processes. It ends, with every process in it, when its maker ends, however
// that comes about.
#pragma once

#include <functional>
#include <string>

namespace holdfast::faults {

// Runs `body` in a new process in new namespaces, waits, and returns its exit status. SIGTERM and
// SIGINT reach the body. To be called before there are threads.
// -1: this machine does not permit it; `why` says what was refused.
int RunInSandbox(const std::function<int()>& body, std::string* why);

}  // namespace holdfast::faults
