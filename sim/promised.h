// What a user of the services would state, checked against the log, the true time, and what nodes
// and clients were told: it knows no models and no rows (lease_promises.h, queue_promises.h). Here:
// what it looks at.
#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "src/base/ids.h"

namespace holdfast::sim {

// A write in an entry of the log; those of a list each for itself.
struct Logged {
  std::string method;
  std::string body;
};

// An entry that was agreed on, when the first node has applied it.
struct Entry {
  LogIndex index;
  uint64_t true_us = 0;       // When that was.
  bool is_command = false;    // Not one of consensus itself: it carries a time of the log.
  uint64_t led_since_us = 0;  // When the leader that stamped it began, at the earliest.
  std::vector<Logged> writes;
};

// Asks that node; the reply's bytes, empty when it says that there is nothing.
using AskNode =
    std::function<std::string(const std::string& method, const google::protobuf::Message& request)>;

// A write that was answered, or a part of a list that was done.
struct Told {
  std::string method;
  std::string request;
  std::string reply;
  uint64_t began_us = 0;  // When it was first tried.
  // Of the entry that did it. None: it is not known, or the answer to a caller who waited was found
  // by a read.
  std::optional<LogIndex> done_by;
};

}  // namespace holdfast::sim
