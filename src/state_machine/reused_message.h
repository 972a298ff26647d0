// A message that is parsed into again and again. What it has allocated for one request (elements,
// strings) serves the next, so that parsing requests of a kind hardly allocates.
//
// Memory: what it keeps is what was allocated while parsing, so it grows with the bytes parsed at
// most; after bounds::kReusedMessageBytes of them it starts anew.
#pragma once

#include <google/protobuf/message.h>

#include <cstddef>
#include <memory>
#include <string_view>

#include "src/base/bounds.h"

namespace holdfast::state_machine {

// Thread-compatible.
class ReusedMessage {
 public:
  // The message that `bytes` say, of the type of `prototype`, which is the same in every call;
  // nullptr when they do not parse. Valid until the next call.
  google::protobuf::Message* Parse(const google::protobuf::Message& prototype,
                                   std::string_view bytes) {
    if (message_ == nullptr || parsed_bytes_ + bytes.size() > bounds::kReusedMessageBytes) {
      message_.reset(prototype.New());
      parsed_bytes_ = 0;
    }
    parsed_bytes_ += bytes.size();
    const bool parsed = message_->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
    return parsed ? message_.get() : nullptr;
  }

 private:
  std::unique_ptr<google::protobuf::Message> message_;
  size_t parsed_bytes_ = 0;
};

}  // namespace holdfast::state_machine
