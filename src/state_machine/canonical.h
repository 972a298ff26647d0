// The bytes of a message in one order, maps by key: equal messages have equal bytes. Whatever
// becomes state, is compared or is hashed goes through here.
#pragma once

#include <google/protobuf/message.h>

#include <string>

namespace holdfast::state_machine {

std::string Canonical(const google::protobuf::Message& message);

}  // namespace holdfast::state_machine
