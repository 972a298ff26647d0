// What clients ask of a service when they mean to get into one another's way: few names, few keys,
// few owners, so that most requests meet something. A service comes with one of these and with a
// judge (judge.h).
#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "sim/world.h"

namespace holdfast::sim {

// A call as a client makes it.
struct Asked {
  std::string method;  // "ledger.CreateTransfer"
  std::shared_ptr<google::protobuf::Message> request;
  uint64_t rows_before = 0;  // Of a list whose rows stay where they are: on the pages before.
};

template <class Request>
Asked AskedOf(const char* method, Request request) {
  return {method, std::make_shared<Request>(std::move(request)), 0};
}

// The same requests from the same numbers and answers. Not thread-safe.
class Requests {
 public:
  virtual ~Requests() = default;
  // A write.
  virtual Asked Make() = 0;
  // A read, of now or of a time in [from_us, to_us).
  virtual Asked MakeRead(int64_t from_us, int64_t to_us) = 0;
  // The question for the page after `reply`, which answered `asked`; none: it was the last, or no
  // page.
  virtual std::optional<Asked> NextPage(const Asked& /*asked*/, const std::string& /*reply*/) {
    return std::nullopt;
  }
  // What a client was told: it may be asked about from now on.
  virtual void Learn(const std::string& /*method*/, const google::protobuf::Message& /*request*/,
                     const std::string& /*reply*/) {}
};

}  // namespace holdfast::sim
