// What the client knows of a method by the .proto that is linked into the program. Internal to the
// client. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast::client {

struct MethodInfo {
  // A method whose .proto is not part of this program counts as a write, and goes by its name.
  bool write = true;
  uint32_t service = 0;  // Numbers as in the log; 0: not known.
  uint32_t method = 0;
};

// `name` as gRPC writes it: "/holdfast.ledger.Ledger/GetAccount".
MethodInfo FindMethod(const std::string& name);

}  // namespace holdfast::client
