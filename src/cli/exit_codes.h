// How a command ends, for the shell: told in `holdfast --help`, relied on by scripts, never
// changed. No state; any thread.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>

#include "src/base/error.h"

namespace holdfast::cli {

enum ExitCode : int {
  kExitOk = 0,
  kExitRefused = 1,         // By the state: insufficient_funds, no such account, ...
  kExitUsage = 2,           // The command line or the request is malformed.
  kExitUnavailable = 3,     // No node answered, or not in time; nothing was done.
  kExitOutcomeUnknown = 4,  // It may have been done: ask, or repeat under the same id or key.
  kExitFault = 5,           // A fault of a node or of this machine.
};

ExitCode ExitCodeOf(const Error& error);

// How a reply's request ended, by the field that its .proto marks as the outcome.
struct Outcome {
  std::string name;  // Empty: the reply has no such field.
  int http_status = 200;
  std::string help;

  bool refused() const { return http_status >= 400; }
};
Outcome OutcomeOf(const google::protobuf::Message& reply);

// Of a reply that lists a result for each item of its request.
struct ItemOutcomes {
  size_t items = 0;  // 0: the reply has no such list, or an empty one.
  size_t refused = 0;
  std::string place;  // Of the first that was refused: "results[3]".
  Outcome first;
};
ItemOutcomes ItemOutcomesOf(const google::protobuf::Message& reply);

// The outcomes that `reply` can have, its own or those of its items; null: it has none.
const google::protobuf::FieldDescriptor* OutcomeFieldOf(const google::protobuf::Descriptor& reply);

// "amount: must be an integer (see holdfast ledger pay --help)": all of it on one line.
std::string OneLine(const Error& error);

}  // namespace holdfast::cli
